import CPGHASystem
import Glibc

/// Starts processes in sessions of their own, so that the agent's end or a terminal's signal does not reach them.
enum Spawn {
    /// What a started process gets as its standard streams.
    struct Streams {
        var input: Int32
        var output: Int32
        var error: Int32
    }

    /// Blocks until the process has been started.
    static func start(
        _ program: String, _ arguments: [String], environment: [String: String], directory: String? = nil,
        streams: Streams
    ) throws -> pid_t {
        var argv = ([program] + arguments).map { strdup($0) } + [nil]
        var envp = environment.sorted { $0.key < $1.key }.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { for text in argv + envp { free(text) } }
        var pid: pid_t = 0
        let code = pgha_spawn(
            program, &argv, &envp, directory, streams.input, streams.output, streams.error, &pid)
        guard code == 0 else { throw SystemError("start \(program)", code: code) }
        return pid
    }

    /// What PostgreSQL's programs need of the environment: little, and messages in English, which are parsed.
    static func environment(passfile: String? = nil) -> [String: String] {
        var result = ["LC_ALL": "C", "PATH": "/usr/bin:/bin", "PGSYSCONFDIR": "/nonexistent"]
        // The postmaster gives its backends another likelihood of being killed for memory by these (PostgreSQL manual,
        // "Linux Memory Overcommit"): a unit that protects the agent would protect every backend otherwise.
        for name in ["HOME", "PG_OOM_ADJUST_FILE", "PG_OOM_ADJUST_VALUE"] {
            if let value = getenv(name) { result[name] = String(cString: value) }
        }
        if let passfile { result["PGPASSFILE"] = passfile }
        return result
    }
}
