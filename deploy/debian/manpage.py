#!/usr/bin/env python3
"""Turns `pgha --experimental-dump-help` into the manual page pgha(1).

    pgha --experimental-dump-help | manpage.py VERSION > pgha.1

One page for all commands, made from what the commands say of themselves, so that it is never older than they are.
"""
import json
import sys

SYNOPSIS_ORDER = ("positional", "option", "flag")


def escaped(text):
    """Text for roff: its own characters are made harmless, and a line never begins with a control character."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("…", "...")
    return "\n".join("\\&" + line if line.startswith((".", "'")) else line for line in text.split("\n"))


def spelled(name):
    return ("--" if name["kind"] == "long" else "-") + name["name"]


def term(argument):
    """How an argument is given: `-f, --file <path>`."""
    value = f" <{argument['valueName']}>" if argument["kind"] == "option" else ""
    if argument["kind"] == "positional":
        return f"<{argument['valueName']}>" + (" ..." if argument["isRepeating"] else "")
    names = sorted(argument["names"], key=lambda name: name["kind"] == "long")
    return ", ".join(spelled(name) for name in names) + value


def brief(argument):
    """The same in a synopsis: brackets around what may be left out."""
    if argument["kind"] == "positional":
        text = term(argument)
    else:
        value = f" <{argument['valueName']}>" if argument["kind"] == "option" else ""
        text = spelled(argument["preferredName"]) + value
    return f"[{text}]" if argument["isOptional"] else text


def shown(items):
    return [item for item in items or [] if item.get("shouldDisplay", True)]


def paragraphs(text):
    return [".PP\n" + escaped(part) for part in text.split("\n\n") if part.strip()]


def described(command, path, out):
    name = " ".join(path)
    arguments = shown(command.get("arguments"))
    subcommands = [sub for sub in shown(command.get("subcommands")) if sub["commandName"] != "help"]
    # Of those that only hold others, the program itself included, there is nothing to say.
    if not subcommands or (len(path) > 1 and any(argument["kind"] == "option" for argument in arguments)):
        out.append(f'.SS "{escaped(name)}"')
        out.append(f".B {escaped(name)}")
        ordered = sorted(arguments, key=lambda argument: SYNOPSIS_ORDER.index(argument["kind"]))
        words = [brief(a) for a in ordered if "help" not in [n["name"] for n in a.get("names") or []]]
        if len(words) > 12:
            words = ["[options]"]
        out.append(escaped(" ".join(words)))
        out.append(".PP\n" + escaped(command.get("abstract", "")))
        out.extend(paragraphs(command.get("discussion", "")))
        for argument in arguments:
            if "help" in [n["name"] for n in argument.get("names") or []]:
                continue
            out.append(".TP\n.B " + escaped(term(argument)))
            out.append(escaped(argument.get("abstract") or "See above."))
    for sub in subcommands:
        described(sub, path + [sub["commandName"]], out)


def page(tool, version):
    command = tool["command"]
    name = command["commandName"]
    out = [
        f'.TH {name.upper()} 1 "" "{name} {escaped(version)}" "User Commands"',
        ".SH NAME",
        f"{name} \\- {escaped(command['abstract'].rstrip('.').lower())}".replace("postgresql", "PostgreSQL"),
        ".SH SYNOPSIS",
        f".B {name}\n.I command\n[options]",
        ".SH DESCRIPTION",
        escaped(command.get("discussion") or command["abstract"]),
        ".SH COMMANDS",
    ]
    described(command, [name], out)
    out += [
        ".SH FILES",
        ".TP\n.B /etc/pgha/pgha.yaml\nSettings of the services, each in its section; "
        + escaped("`pgha config --print-defaults` prints all of them with their defaults and reasons."),
        ".TP\n.B /etc/default/pgha\nEnvironment of the services; PGHA_... goes over the file.",
        ".SH ENVIRONMENT",
        ".TP\n.B PGHA_CONTROLLER\nThe address of the controller, for the commands of the cluster.",
        ".TP\n.B PGHA_TOKEN_FILE\nThe file with the token of the cluster.",
        ".SH EXIT STATUS",
        "0 done; 1 it failed; 2 the cluster refused and nothing was changed; 3 the controller cannot be reached; "
        "64 wrong usage.",
        ".SH SEE ALSO",
        ".BR psql (1),\n.BR pg_rewind (1),\n.BR pg_basebackup (1)",
    ]
    return "\n".join(out) + "\n"


if __name__ == "__main__":
    sys.stdout.write(page(json.load(sys.stdin), sys.argv[1] if len(sys.argv) > 1 else "unreleased"))
