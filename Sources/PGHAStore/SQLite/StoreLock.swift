import Glibc

/// Holds `path` by flock(2) for as long as it lives. The kernel lets go when the process ends, however it ends.
///
/// The file stays behind: removing it would let a second process lock a new file of the same name while the first
/// still holds the old one.
final class StoreLock: Sendable {
    private let descriptor: Int32

    /// Takes the lock at once or throws; never waits.
    init(path: String) throws(StoreError) {
        // O_CLOEXEC: a child that outlives us must not keep the lock.
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw .unavailable("cannot open \(path): \(Self.reason(errno))") }
        while flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
            let code = errno
            if code == EINTR { continue }
            let holder = Self.readPID(descriptor)
            close(descriptor)
            if code == EWOULDBLOCK { throw .lockedByAnotherController(pid: holder, path: path) }
            throw .unavailable("cannot lock \(path): \(Self.reason(code))")
        }
        self.descriptor = descriptor
        Self.writePID(descriptor)
    }

    deinit { close(self.descriptor) }

    static func reason(_ code: Int32) -> String { String(cString: strerror(code)) }

    private static func readPID(_ descriptor: Int32) -> Int32? {
        var bytes = [UInt8](repeating: 0, count: 16)
        let count = pread(descriptor, &bytes, bytes.count, 0)
        guard count > 0 else { return nil }
        return Int32(String(decoding: bytes[..<count], as: UTF8.self).filter(\.isNumber))
    }

    /// Only says who holds the lock: without it the lock is as good.
    private static func writePID(_ descriptor: Int32) {
        let text = Array("\(getpid())\n".utf8)
        _ = ftruncate(descriptor, 0)
        _ = pwrite(descriptor, text, text.count, 0)
    }
}
