import CPGHASystem
import FoundationEssentials
import Glibc

/// Root's demo runs as user `postgres` altogether: PostgreSQL refuses to run as root, and nothing else needs it.
///
/// Everything below the demo's directory is written after root's rights are gone, so that nobody who owns that
/// directory can make root write elsewhere. What that user may not read (the executable, Swift's libraries) is
/// opened before and copied after.
enum DemoIdentity {
    static let userName = "postgres"

    /// Goes on as that user with a copy of this executable in `directory`. `owned`, the directory or one above it,
    /// is what root makes for that user. Returns only by an error.
    static func becomeServerUser(directory: String, owned: String, arguments: [String]) throws -> Never {
        guard let entry = getpwnam(self.userName) else {
            throw CommandError(
                .failed, "there is no user \(self.userName) for the servers to run as",
                hint: "Install PostgreSQL ('apt-get install postgresql'), or run the demo as an ordinary user.")
        }
        let user = (id: entry.pointee.pw_uid, group: entry.pointee.pw_gid, home: String(cString: entry.pointee.pw_dir))
        try self.makeDirectory(owned, owner: user.id, group: user.group)
        let executable = try OpenedFile("/proc/self/exe")
        let libraries = try self.runtimeLibraries().map { try OpenedFile($0) }
        try self.dropRights(user: user.id, group: user.group)
        guard mkdir(directory, 0o755) == 0 || errno == EEXIST else { throw self.failure("make directory \(directory)") }
        let copy = directory + "/bin/pgha"
        try executable.copy(to: copy, mode: 0o755)
        for library in libraries where access(library.path, R_OK) != 0 {
            try library.copy(to: directory + "/lib/" + library.name, mode: 0o644)
            setenv("LD_LIBRARY_PATH", directory + "/lib", 1)
        }
        setenv("HOME", user.home, 1)
        setenv("USER", self.userName, 1)
        setenv("LOGNAME", self.userName, 1)
        chdir("/")
        self.execute(copy, ["demo", "--dir", directory] + arguments)
    }

    private static func execute(_ program: String, _ arguments: [String]) -> Never {
        var argv = (["pgha"] + arguments).map { strdup($0) } + [nil]
        execv(program, &argv)
        CommandError.report(
            CommandError(
                .failed, "\(program) cannot be run as user \(self.userName): \(String(cString: strerror(errno)))",
                hint: "Choose a directory that this user can reach, on a file system without noexec, with --dir."))
    }

    /// Makes the directory and those above it; only a directory that did not exist, or is root's, changes hands.
    private static func makeDirectory(_ path: String, owner: uid_t, group: gid_t) throws {
        var parent = ""
        for part in path.split(separator: "/") {
            parent += "/" + part
            guard mkdir(parent, 0o755) == 0 || errno == EEXIST else { throw self.failure("make directory \(parent)") }
        }
        let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        guard descriptor >= 0 else { throw self.failure("open \(path)") }
        defer { close(descriptor) }
        var status = pgha_file_status()
        guard pgha_file_status(path, 0, &status) == 0 else { throw self.failure("stat \(path)") }
        guard status.owner != owner else { return }
        let names = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
        guard status.owner == 0, names.isEmpty else {
            throw CommandError(
                .failed, "\(path) is not empty and does not belong to user \(self.userName)",
                hint: "Choose a directory that is empty, or does not exist, with --dir.")
        }
        guard fchown(descriptor, owner, group) == 0 else { throw self.failure("change the owner of \(path)") }
    }

    private static func dropRights(user: uid_t, group: gid_t) throws {
        guard setgroups(0, nil) == 0, setgid(group) == 0, setuid(user) == 0, setuid(0) != 0 else {
            throw self.failure("become user \(self.userName)")
        }
    }

    /// The shared libraries of this process that do not come with the system, by proc(5) `maps`.
    private static func runtimeLibraries() -> [String] {
        let maps = ProcessFiles.read("/proc/self/maps") ?? ""
        let paths = maps.split(separator: "\n").compactMap { line in
            line.firstIndex(of: "/").map { String(line[$0...]) }
        }
        let system = ["/lib", "/usr/lib", "/lib64"]
        return Set(paths.filter { path in path.contains(".so") && !system.contains { path.hasPrefix($0 + "/") } })
            .sorted()
    }

    static func failure(_ what: String) -> CommandError {
        CommandError(
            .failed, "cannot \(what): \(String(cString: strerror(errno)))",
            hint: "Choose another directory with --dir, or mend its rights.")
    }
}

/// A file opened with the rights of now, to be copied with those of later.
struct OpenedFile {
    let path: String
    private let descriptor: Int32
    private let size: Int64

    init(_ path: String) throws {
        self.path = path
        self.descriptor = open(path, O_RDONLY | O_CLOEXEC)
        var status = pgha_file_status()
        guard self.descriptor >= 0, pgha_file_status(path, 1, &status) == 0 else {
            throw DemoIdentity.failure("read \(path)")
        }
        self.size = status.size
    }

    var name: String { String(self.path.split(separator: "/").last ?? "") }

    /// Written beside and moved into place: an executable that still runs cannot be overwritten.
    func copy(to target: String, mode: mode_t) throws {
        let folder = String(target[..<(target.lastIndex(of: "/") ?? target.startIndex)])
        guard mkdir(folder, 0o755) == 0 || errno == EEXIST else {
            throw DemoIdentity.failure("make directory \(folder)")
        }
        let temporary = target + ".new"
        let output = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, mode)
        guard output >= 0 else { throw DemoIdentity.failure("write \(temporary)") }
        defer { close(output) }
        var offset = off_t(0)
        while Int64(offset) < self.size {
            guard sendfile(output, self.descriptor, &offset, 1 << 30) > 0 else {
                throw DemoIdentity.failure("write \(temporary)")
            }
        }
        guard fchmod(output, mode) == 0, rename(temporary, target) == 0 else {
            throw DemoIdentity.failure("write \(target)")
        }
    }
}
