/// The agent's own password file (PostgreSQL manual, "The Password File"), mode 0600: passwords reach libpq and
/// PostgreSQL's programs through it, never through an argument.
enum Passfile {
    static func content(user: String, password: String) -> String {
        "*:*:*:\(self.escaped(user)):\(self.escaped(password))\n"
    }

    private static func escaped(_ text: String) -> String {
        text.unicodeScalars.reduce(into: "") { result, scalar in
            if scalar == ":" || scalar == "\\" { result.append("\\") }
            result.unicodeScalars.append(scalar)
        }
    }
}
