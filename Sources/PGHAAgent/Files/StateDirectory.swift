import CPGHASystem
import Glibc

/// The paths of one agent. PGDATA is a subdirectory, so that a base backup can be taken beside it; or, for a server
/// that somebody else made, wherever it is, and then its copies are made beside it.
struct StateDirectory: Hashable, Sendable {
    /// Absolute, symbolic links resolved.
    let root: String
    /// Where the Unix socket of a server that the agent made is.
    let socketDirectory: String
    let data: String

    /// A data directory in the making; never holds the only copy of anything.
    var newData: String { self.data + ".new" }
    /// The former data directory between the two renames of a swap.
    var oldData: String { self.data + ".old" }
    /// The directory that holds the data directory and its copies.
    var volume: String { DurableFile.parent(self.data) }
    /// Where copies of tablespaces are: never where the source has them, which may be the same host.
    var tablespaces: String { self.data + ".tablespaces" }
    /// How the server was run that somebody else made; see ``AdoptedServer``.
    var adoptedFile: String { self.agent + "/adopted.json" }
    var agent: String { self.root + "/agent" }
    var diverged: String { self.root + "/diverged" }
    var log: String { self.root + "/log/postgresql.log" }
    var pledgeFile: String { self.agent + "/pledge" }
    var setupFile: String { self.agent + "/server.json" }
    var passfile: String { self.agent + "/passfile" }
    var lockFile: String { self.agent + "/lock" }
    /// Stands while pg_rewind may have left the data directory half changed: only a clone mends that.
    var rewindMark: String { self.agent + "/rewinding" }
    /// Stands from before the first start of a new cluster until its roles and `sql/` are there.
    var initializingMark: String { self.agent + "/initializing" }
    var standbySignal: String { self.data + "/standby.signal" }
    var autoConf: String { self.data + "/postgresql.auto.conf" }
    var postmasterPID: String { self.data + "/postmaster.pid" }

    /// Whether there is a data directory that initdb or a base backup has finished.
    var hasData: Bool { DurableFile.exists(self.data + "/PG_VERSION") }

    /// `sun_path` holds 108 bytes with the closing zero (unix(7)); the server adds `/.s.PGSQL.65535.lock`.
    private static let socketPathLimit = 107
    private static let socketNameLength = "/.s.PGSQL.65535.lock".utf8.count

    /// Makes what is missing, each directory for its owner alone, and finishes an interrupted swap.
    ///
    /// - Parameter data: the data directory of a server that somebody else made, else nil. What an earlier agent was
    ///   told is kept.
    /// - Parameter socketGroup: who may pass through to the server's socket, and open nothing else; nil: nobody.
    static func open(_ path: String, data: String? = nil, socketGroup: String? = nil) throws -> StateDirectory {
        try DurableFile.makeDirectory(path)
        guard let root = Self.resolved(path) else { throw SystemError("realpath \(path)") }
        let access = try SocketAccess(group: socketGroup)
        try Self.requireOwnership(root)
        try access.apply(to: root)
        let result = StateDirectory(
            root: root, socketDirectory: try Self.socketDirectory(root, access), data: try Self.data(data, root: root))
        for name in ["agent", "diverged", "log"] { try DurableFile.makeDirectory(root + "/" + name) }
        if !DurableFile.exists(result.data), DurableFile.exists(result.oldData) {
            try DurableFile.move(result.oldData, to: result.data)
        }
        return result
    }

    /// Removes a data directory and those of its tablespaces that the agent made. Blocks.
    func removeData(_ path: String) throws {
        let links = try DurableFile.list(path + "/pg_tblspc").compactMap {
            DurableFile.linkTarget("\(path)/pg_tblspc/\($0)")
        }
        try DurableFile.removeTree(path)
        for target in links where target.hasPrefix(self.tablespaces + "/") { try DurableFile.removeTree(target) }
    }

    /// Takes the lock that a second agent for the same directory is refused by; held until the process ends.
    func lock() throws {
        try Self.lock(Glibc.open(self.lockFile, O_RDWR | O_CREAT | O_CLOEXEC, 0o600), of: self.root)
        // Two agents with directories of their own must not share data that neither made.
        if !self.data.hasPrefix(self.root + "/"), self.hasData {
            try Self.lock(Glibc.open(self.data, O_RDONLY | O_DIRECTORY | O_CLOEXEC), of: self.data)
        }
    }

    private static func lock(_ descriptor: Int32, of path: String) throws {
        guard descriptor >= 0 else { throw SystemError("open for locking, for \(path)") }
        guard pgha_lock_exclusively(descriptor) == 0 else {
            close(descriptor)
            throw AgentStartError.directoryInUse(path)
        }
    }

    /// Absolute, with symbolic links resolved; nil when there is no such file.
    private static func resolved(_ path: String) -> String? {
        guard let resolved = realpath(path, nil) else { return nil }
        defer { free(resolved) }
        return String(cString: resolved)
    }

    /// Where the data directory is; see ``open(_:data:)``.
    private static func data(_ given: String?, root: String) throws -> String {
        let kept = try AdoptedServer.kept(root + "/agent/adopted.json")?.data
        guard let given else { return kept ?? root + "/data" }
        // In the middle of a swap it is not there for a moment.
        let path = Self.resolved(given) ?? given
        if let kept {
            guard path == kept else { throw AgentStartError.otherData(path, kept: kept) }
            return kept
        }
        guard path.hasPrefix("/"), DurableFile.exists(path + "/PG_VERSION") else { throw AgentStartError.noData(path) }
        guard path != root, !root.hasPrefix(path + "/"), !DurableFile.exists(root + "/data") else {
            throw AgentStartError.dataAndStateMixed(path, root)
        }
        guard try DurableFile.status(path)?.owner == geteuid() else {
            throw AgentStartError.directoryOfAnotherUser(path)
        }
        return path
    }

    private static func requireOwnership(_ root: String) throws {
        guard try DurableFile.status(root)?.owner == geteuid() else {
            throw AgentStartError.directoryOfAnotherUser(root)
        }
    }

    private static func socketDirectory(_ root: String, _ access: SocketAccess) throws -> String {
        let preferred = root + "/run"
        if preferred.utf8.count + self.socketNameLength <= self.socketPathLimit {
            try DurableFile.makeDirectory(preferred)
            try access.apply(to: preferred)
            return preferred
        }
        // The name depends on the path alone, so that a restarted agent finds the socket again.
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in root.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        let short = "/tmp/pgha-\(geteuid())-\(String(hash, radix: 36))"
        try DurableFile.makeDirectory(short)
        var status = pgha_file_status()
        guard pgha_file_status(short, 0, &status) == 0 else { throw SystemError("lstat \(short)") }
        // All but 0o010, which `SocketAccess` may have given.
        guard pgha_is_directory(status.mode) != 0, status.owner == geteuid(), status.mode & 0o067 == 0 else {
            throw AgentStartError.socketDirectoryOfAnotherUser(short)
        }
        try access.apply(to: short)
        return short
    }
}

/// Who may pass through a directory, besides its owner; nobody else may list it or change it.
private struct SocketAccess {
    private let group: (name: String, number: gid_t)?

    init(group name: String?) throws {
        guard let name else {
            self.group = nil
            return
        }
        guard let group = getgrnam(name) else { throw AgentStartError.noSocketGroup(name) }
        self.group = (name, group.pointee.gr_gid)
    }

    /// In one step, so that nobody who may pass is kept out while an agent starts again.
    func apply(to path: String) throws {
        if let group, chown(path, uid_t.max, group.number) != 0 {
            throw errno == EPERM ? AgentStartError.notInSocketGroup(group.name) : SystemError("chown \(path)")
        }
        guard chmod(path, self.group == nil ? 0o700 : 0o710) == 0 else { throw SystemError("chmod \(path)") }
    }
}

/// Why an agent does not start.
package enum AgentStartError: Error, Hashable, Sendable, CustomStringConvertible {
    case runningAsRoot
    case directoryInUse(String)
    case directoryOfAnotherUser(String)
    case socketDirectoryOfAnotherUser(String)
    case noSocketGroup(String)
    case notInSocketGroup(String)
    case tokenMissing(String)
    case tokenReadableByOthers(String)
    case badListenAddress(String)
    case programsNotFound(tried: [String])
    case versionTooOld(String)
    case noData(String)
    case otherData(String, kept: String)
    case dataAndStateMixed(String, String)
    case otherVersion(data: String, programs: Int)
    case cannotAdopt(String)

    package var code: String {
        switch self {
        case .runningAsRoot: "running_as_root"
        case .directoryInUse: "directory_in_use"
        case .directoryOfAnotherUser: "directory_of_another_user"
        case .socketDirectoryOfAnotherUser: "socket_directory_of_another_user"
        case .noSocketGroup: "no_socket_group"
        case .notInSocketGroup: "not_in_socket_group"
        case .tokenMissing: "token_missing"
        case .tokenReadableByOthers: "token_readable_by_others"
        case .badListenAddress: "bad_listen_address"
        case .programsNotFound: "programs_not_found"
        case .versionTooOld: "version_too_old"
        case .noData: "no_data_directory"
        case .otherData: "other_data_directory"
        case .dataAndStateMixed: "data_and_state_mixed"
        case .otherVersion: "other_version"
        case .cannotAdopt: "cannot_adopt"
        }
    }

    package var description: String {
        switch self {
        case .runningAsRoot:
            """
            The agent must not run as root: PostgreSQL refuses to. Start it as the user who owns the data, with \
            `setpriv --reuid=postgres --regid=postgres --clear-groups pgha agent …`, or `User=postgres` in its \
            systemd unit.
            """
        case .directoryInUse(let path):
            "Another agent runs for \(path). Stop that one, or give this one a directory of its own with --dir."
        case .directoryOfAnotherUser(let path):
            "\(path) belongs to another user. Run the agent as its owner, or choose another --dir."
        case .socketDirectoryOfAnotherUser(let path):
            "\(path), the socket directory, is not this user's alone. Remove it, or choose a shorter --dir."
        case .noSocketGroup(let name):
            "There is no group \(name). Make it with `groupadd --system \(name)`, or leave --socket-group out."
        case .notInSocketGroup(let name):
            """
            The agent's user is not in the group \(name). Run `usermod --append --groups \(name) USER`, and start the \
            agent again.
            """
        case .tokenMissing(let path):
            "No token in \(path). Write a secret of at least 16 bytes into it, readable by its owner alone."
        case .tokenReadableByOthers(let path):
            "Others can read the token in \(path). Run `chmod 600 \(path)`, and change the token if it matters."
        case .badListenAddress(let text):
            "\(text) is no address to listen on. Write host:port, for example 127.0.0.1:8433."
        case .programsNotFound(let tried):
            """
            PostgreSQL's programs were not found in \(tried.joined(separator: ", ")). Install postgresql, or name \
            the directory with --pg-bindir.
            """
        case .versionTooOld(let version):
            "PostgreSQL \(version) is too old: 15 is the oldest version supported. Name another with --pg-bindir."
        case .noData(let path):
            """
            \(path) is no data directory: --data names one that PostgreSQL runs in already. Without --data the agent \
            keeps the data in its own directory.
            """
        case .otherData(let path, let kept):
            "This agent took over \(kept), not \(path). Leave --data out, or choose another --dir."
        case .dataAndStateMixed(let path, let root):
            """
            \(root) and the data directory \(path) must be apart, and the former must hold no data of its own. Choose \
            another --dir.
            """
        case .otherVersion(let data, let programs):
            """
            The data is PostgreSQL \(data)'s, the programs are PostgreSQL \(programs)'s. Name the right ones with \
            --pg-bindir.
            """
        case .cannotAdopt(let why):
            "How the server is configured cannot be found out: \(why) Nothing was changed."
        }
    }
}
