import Glibc

/// A file that only its owner may read.
enum PrivateFile {
    /// Creates the file with mode 0600, or gives an existing one that mode. SQLite gives its log the same.
    static func ensure(at path: String) throws(StoreError) {
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw .unavailable("cannot open \(path): \(StoreLock.reason(errno))") }
        defer { close(descriptor) }
        guard fchmod(descriptor, 0o600) == 0 else {
            throw .unavailable("cannot set the mode of \(path): \(StoreLock.reason(errno))")
        }
    }
}
