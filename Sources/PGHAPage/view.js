// What the page says, as values: no document, no network, no clock. page.js puts it on the screen.

/** `0 B`, `1.5 KiB`, `16 MiB`; as the command line writes them. */
export function bytes(count) {
  if (count === null || count === undefined) return "unknown";
  let value = count, unit = "B";
  for (const next of ["KiB", "MiB", "GiB", "TiB"]) if (value >= 1024) [value, unit] = [value / 1024, next];
  return `${unit === "B" || value >= 10 ? Math.round(value) : Number(value.toFixed(1))} ${unit}`;
}

/** How long ago, or how long already. */
export function age(seconds) {
  if (seconds === null || seconds === undefined) return "unknown";
  if (seconds < 120) return `${seconds < 10 ? Math.max(0, seconds).toFixed(1) : Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return seconds < 172800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86400)} d`;
}

/** `2026-01-31 12:03:04`, where the reader is. */
export function clock(date) {
  const two = (number) => String(number).padStart(2, "0");
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

/** How long something took. */
export const took = (ms) =>
  ms === null || ms === undefined ? "" : ms < 1000 ? `${ms} ms` : `${(ms / 1000).toFixed(ms < 10000 ? 2 : 0)} s`;

/** Seconds without news after which what is shown counts as old; the stream repeats itself each second. */
export const OLD_AFTER = 4;

const words = (phase) => phase.replaceAll("_", " ");
const changing = ["preparing", "sealing", "promoting"];

/** Standbys whose acknowledgement counts now, and how many of them a commit waits for. */
export function acknowledgers(status) {
  const streaming = status.nodes.filter((node) => node.sync === "quorum" && node.state === "streaming").length;
  const needed = Math.max(0, (status.durability.effective_copies ?? 1) - 1);
  return { streaming, needed };
}

/** The page's first sentence. `silence`: seconds since the controller was heard. */
export function judge(status, silence) {
  const say = (tone, headline, explained = "") => ({ tone, headline, explained });
  if (!status) return say("unknown", "Connecting to the controller");
  if (silence > OLD_AFTER) {
    return say("unknown", "No news from the controller",
      "It cannot be reached from here. Servers and poolers go on without it, but nothing fails over. What follows is old.");
  }
  if (!status.controller.leading) {
    return say("bad", "This controller does not decide",
      `${status.waiting_for ?? "Another one does, or it cannot write to its store"}. What follows may be old.`);
  }
  if (status.cluster === null) {
    return status.phase === "bootstrap"
      ? say("warn", "The cluster is being made", status.waiting_for ?? "")
      : say("unknown", "There is no cluster yet", "Make one with: pgha init -f FILE");
  }
  if (status.phase === "halted") return say("bad", "Halted", status.waiting_for ?? "");
  if (status.leader === null) return say("bad", "Nobody leads", status.waiting_for ?? "");
  if (changing.includes(status.phase)) {
    return say("bad", "The leader is being changed", `New transactions wait at the poolers. ${status.waiting_for ?? ""}`.trim());
  }
  const leader = status.nodes.find((node) => node.name === status.leader);
  const [verdict, why] = split(status.verdict);
  if (leader?.state === "taking over") return say("bad", `${status.leader} is taking over`, status.waiting_for ?? "");
  if (verdict === "replace" || leader?.state !== "leading") {
    const held = status.paused ? "Failover is paused: nothing replaces it. " : "";
    return say("bad", `${status.leader} does not lead`, `${held}${why || (leader ? `It is ${leader.state}.` : "")} ${status.waiting_for ?? ""}`.trim());
  }
  const { streaming, needed } = acknowledgers(status);
  if (streaming < needed) {
    return say("bad", "Commits wait", `${streaming} of ${needed} standbys that a commit waits for stream from ${status.leader}.`);
  }
  if (verdict !== "healthy") return say("warn", `${status.leader} may be in trouble`, why);
  if (status.at_risk) return say("warn", "Writable, but at risk", sentence(status.at_risk_reason));
  if (status.paused) return say("warn", "Writable, but failover is paused", "Nothing replaces the leader by itself.");
  const ill = status.nodes.filter((node) => tone(node) !== "ok").map((node) =>
    ["leading", "streaming"].includes(node.state) ? `${node.name}: ${node.problems[0]}` : `${node.name} does not stream (${node.state})`);
  if (ill.length > 0) return say("warn", "Writable", `${ill.join("; ")}.`);
  return say("ok", "Writable", `${status.leader} leads, and every standby follows.`);
}

/** `replace: its agent saw …` in two. */
function split(verdict) {
  const at = verdict.indexOf(": ");
  return at < 0 ? [verdict, ""] : [verdict.slice(0, at), sentence(verdict.slice(at + 2))];
}

const sentence = (text) => (text ? text[0].toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".") : "");

/** The four questions of somebody who was just woken: each with a tone, an answer and the reason for it. */
export function answers(status, plan, phaseSeconds) {
  const { streaming, needed } = acknowledgers(status);
  const { mode, copies, effective_copies: effective } = status.durability;
  const leader = status.nodes.find((node) => node.name === status.leader);
  const list = [];
  list.push({
    question: "Who leads", tone: status.leader === null ? "bad" : leader?.state === "leading" ? "ok" : "bad",
    answer: status.leader ?? "nobody", detail: leader ? `${leader.host}:${leader.port}, term ${status.term}` : `term ${status.term}`,
  });
  list.push({
    question: "Durability", tone: mode === null ? "unknown" : streaming < needed ? "bad" : effective !== copies ? "warn" : "ok",
    answer: mode === null ? "unknown" : `${mode}, ${copies} ${copies === 1 ? "copy" : "copies"}`,
    detail: effective !== copies && effective !== null ? `at present ${effective}` : needed > 0 ? `a commit waits for ${needed} of ${streaming} standbys` : "",
  });
  list.push(ifItFails(status, plan));
  const resting = ["steady", "none"].includes(status.phase);
  list.push({
    question: "What happens now", tone: status.phase === "halted" ? "bad" : resting && !status.waiting_for ? "ok" : "warn",
    answer: resting ? (status.waiting_for ? "waiting" : "nothing") : words(status.phase),
    detail: status.waiting_for ?? (phaseSeconds === null ? "" : `for ${age(phaseSeconds)}`),
  });
  return list;
}

function ifItFails(status, plan) {
  const question = `If ${status.leader ?? "the leader"} fails now`;
  if (status.leader === null || plan?.leader !== status.leader) return { question, tone: "unknown", answer: "unknown", detail: "" };
  if (!plan.winner) return { question, tone: "bad", answer: "nobody takes over", detail: plan.obstacle ?? status.at_risk_reason ?? "" };
  const lost = plan.bytes_at_risk === 0 ? "nothing is lost" : `at risk: ${bytes(plan.bytes_at_risk)}`;
  const paused = status.paused ? "Paused: only on request. " : "";
  const blocked = plan.obstacle ? `it would wait: ${plan.obstacle}` : `about ${took(plan.expected_ms)}, ${lost}`;
  return {
    question, tone: status.at_risk || plan.obstacle ? "bad" : status.paused || plan.bytes_at_risk !== 0 ? "warn" : "ok",
    answer: `${plan.winner} takes over`, detail: paused + blocked,
  };
}

export function tone(node) {
  if (node.state === "leading" || node.state === "streaming") return node.problems.length > 0 ? "warn" : "ok";
  if (["unreachable", "refused", "stopped", "forked", "demoted", "no data"].includes(node.state)) return "bad";
  return "warn";
}

export const glyphs = { ok: "✓", warn: "!", bad: "✕", unknown: "?" };

/** What a node is to the others. */
export function duty(node) {
  const marks = [node.nofailover && "never leads", node.nosync && "never counts", node.noread && "not read from"].filter(Boolean);
  const sync = { leader: "", quorum: "counts for commits", observer: "does not count for commits" }[node.sync] ?? node.sync;
  return [node.role, sync, ...marks].filter(Boolean).join(" · ");
}

/** The procedure step by step: what has passed with its time, what runs, and that steady comes. */
export function steps(procedure) {
  return procedure.map((step) => ({
    text: words(step.phase), took: step.ms === null ? "" : took(step.ms), current: step.ms === null,
  }));
}

/** `0`, `0.4`, `12`, `3456`, `12.3 k`: so many in a second. */
export function rate(value) {
  if (value === null || value === undefined) return "unknown";
  if (value >= 10000) return `${Number((value / 1000).toFixed(1))} k`;
  return String(value < 10 ? Number(value.toFixed(1)) : Math.round(value));
}

/** Two reports of a pooler that did not come. */
export const POOLER_OLD_AFTER = 12;

/** A row for each pooler that follows: what it last said of itself, and what is wrong with that. */
export function poolerRows(poolers) {
  return poolers.map(({ name, figures, age_ms: ms }) => {
    if (!figures) return { name, tone: "unknown", cells: Array(7).fill("–"), note: "has said nothing yet" };
    const wait = figures.waiting > 0 ? took(figures.longest_wait_ms) : "";
    const cells = [rate(figures.transactions_per_second), rate(figures.statements_per_second), rate(figures.errors_per_second),
      String(figures.clients), String(figures.waiting), wait, `${figures.servers_active} of ${figures.servers} busy`];
    if (ms > POOLER_OLD_AFTER * 1000) return { name, tone: "unknown", cells, note: `as of ${age(Math.floor(ms / 1000))} ago` };
    if (!figures.has_leader) return { name, tone: "bad", cells, note: "knows no leader" };
    const isSlow = figures.waiting > 0 && figures.longest_wait_ms >= 1000;
    return { name, tone: isSlow ? "warn" : "ok", cells, note: isSlow ? "clients wait" : "" };
  });
}

/** Samples in 15 minutes; what is older than the controller is unknown. */
export const SAMPLES = 180;
const padded = (values) => [...Array(Math.max(0, SAMPLES - values.length)).fill(null), ...values].slice(-SAMPLES);

/** One number for each sample: lag of a node in bytes, null where it was unknown. */
export const lagSeries = (samples, name) => padded(samples.map((sample) => sample.lag[name] ?? null));

/** Transactions a second at all poolers. */
export const transactionSeries = (samples) => padded(samples.map((sample) => sample.transactions ?? null));

/** Bytes of WAL a second between samples; null over gaps, and where another server's WAL is measured. */
export function rateSeries(samples) {
  return padded(samples.slice(1).map((sample, index) => {
    const before = samples[index], seconds = (sample.unix_ms - before.unix_ms) / 1000;
    if (sample.wal === null || before.wal === null || sample.leader !== before.leader || seconds <= 0) return null;
    return Math.max(0, sample.wal - before.wal) / seconds;
  }));
}

/** Lines through the values, with gaps where they are null; `top` is what reaches the upper edge. */
export function spark(values, width, height) {
  const known = values.filter((value) => value !== null);
  const top = Math.max(1, ...known), step = width / Math.max(1, values.length - 1);
  let line = "", area = "", start = null;
  const close = (x) => { if (start !== null) area += `L${x} ${height}L${start} ${height}Z`; start = null; };
  values.forEach((value, index) => {
    const x = Number((index * step).toFixed(1));
    if (value === null) return close(Number(((index - 1) * step).toFixed(1)));
    const point = `${x} ${Number((height - (value / top) * (height - 2)).toFixed(1))}`;
    line += (start === null ? "M" : "L") + point;
    area += (start === null ? "M" : "L") + point;
    start ??= x;
  });
  close(width);
  return { line, area, top: known.length > 0 ? Math.max(...known) : null, last: values.at(-1) ?? null };
}
