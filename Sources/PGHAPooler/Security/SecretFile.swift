internal import Glibc
internal import PGHAWire

/// Files with secrets: nobody but their owner may read them.
enum SecretFile {
    /// PostgreSQL's rule for keys: of the present user and for it alone, or of root and perhaps for a group.
    static func check(_ path: String) throws(PoolerFailure) {
        var status = stat()
        guard stat(path, &status) == 0 else { throw .unusableFile(path, reason: String(cString: strerror(errno))) }
        guard status.st_mode & S_IFMT == S_IFREG else { throw .unusableFile(path, reason: "not a regular file") }
        guard status.st_uid == geteuid() || status.st_uid == 0 else {
            throw .unusableFile(path, reason: "owned neither by the present user nor by root")
        }
        let forbidden: mode_t = status.st_uid == 0 ? 0o037 : 0o077
        guard status.st_mode & forbidden == 0 else {
            throw .unusableFile(path, reason: "others may read or write it: chmod 600")
        }
    }

    /// The content, 16 MiB at most.
    static func read(_ path: String) throws(PoolerFailure) -> Secret {
        try Self.check(path)
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw .unusableFile(path, reason: String(cString: strerror(errno))) }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_size <= 16 << 20 else {
            throw .unusableFile(path, reason: "larger than 16 MiB")
        }
        var isWhole = true
        let content = Secret(count: Int(status.st_size)) { memory in
            var position = 0
            while position < memory.count {
                let count = Glibc.read(descriptor, memory.baseAddress.map { $0 + position }, memory.count - position)
                guard count > 0 else {
                    isWhole = false
                    return
                }
                position += count
            }
        }
        guard isWhole else { throw .unusableFile(path, reason: "cannot be read") }
        return content
    }
}
