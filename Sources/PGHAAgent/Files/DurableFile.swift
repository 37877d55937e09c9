import CPGHASystem
import Glibc

/// Small files that must be whole or absent after a crash, and durable when a call returns. All calls block.
enum DurableFile {
    /// Replaces `path`: temporary file, fsync, rename, fsync of the directory.
    static func write(_ content: String, to path: String, mode: mode_t = 0o600) throws {
        let temporary = path + ".tmp"
        try self.create(temporary, content: content, mode: mode)
        guard rename(temporary, path) == 0 else { throw SystemError("rename \(path)") }
        try self.syncDirectory(self.parent(path))
    }

    /// The whole file as text; nil when there is none.
    static func read(_ path: String) throws -> String? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        if descriptor < 0 {
            if errno == ENOENT { return nil }
            throw SystemError("open \(path)")
        }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 16_384)
        while true {
            let count = Glibc.read(descriptor, &chunk, chunk.count)
            if count < 0 {
                if errno == EINTR { continue }
                throw SystemError("read \(path)")
            }
            if count == 0 { return String(decoding: bytes, as: UTF8.self) }
            bytes.append(contentsOf: chunk[..<count])
        }
    }

    /// Removes a file durably; fine when there is none.
    static func remove(_ path: String) throws {
        guard unlink(path) == 0 || errno == ENOENT else { throw SystemError("unlink \(path)") }
        try self.syncDirectory(self.parent(path))
    }

    /// Moves a file or directory within one file system, durably. The target must not exist or be empty.
    static func move(_ from: String, to: String) throws {
        guard rename(from, to) == 0 else { throw SystemError("rename \(from) to \(to)") }
        try self.syncDirectory(self.parent(to))
        if self.parent(from) != self.parent(to) { try self.syncDirectory(self.parent(from)) }
    }

    static func syncDirectory(_ path: String) throws {
        let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw SystemError("open \(path)") }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else { throw SystemError("fsync \(path)") }
    }

    static func parent(_ path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    static func exists(_ path: String) -> Bool {
        var status = pgha_file_status()
        return pgha_file_status(path, 0, &status) == 0
    }

    /// What stat(2) says, symbolic links followed; nil when there is no such file.
    static func status(_ path: String) throws -> pgha_file_status? {
        var status = pgha_file_status()
        if pgha_file_status(path, 1, &status) == 0 { return status }
        if errno == ENOENT { return nil }
        throw SystemError("stat \(path)")
    }

    /// Where a symbolic link points to; nil when it is none.
    static func linkTarget(_ path: String) -> String? {
        var buffer = [UInt8](repeating: 0, count: Int(PATH_MAX))
        let count = buffer.withUnsafeMutableBytes { bytes in
            bytes.baseAddress.map { readlink(path, $0.assumingMemoryBound(to: CChar.self), bytes.count) } ?? -1
        }
        return count > 0 ? String(decoding: buffer[..<count], as: UTF8.self) : nil
    }

    /// Makes a directory for its owner alone; fine when it is there.
    static func makeDirectory(_ path: String, mode: mode_t = 0o700) throws {
        guard mkdir(path, mode) == 0 || errno == EEXIST else { throw SystemError("mkdir \(path)") }
    }

    /// The names in a directory, sorted, `.` and `..` left out; empty when there is no such directory.
    static func list(_ path: String) throws -> [String] {
        guard let directory = opendir(path) else {
            if errno == ENOENT { return [] }
            throw SystemError("opendir \(path)")
        }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != "." && name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    /// Copies a file, keeping its mode to the owner, and makes the copy durable.
    static func copy(_ from: String, to: String) throws {
        let source = open(from, O_RDONLY | O_CLOEXEC)
        guard source >= 0 else { throw SystemError("open \(from)") }
        defer { close(source) }
        let target = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard target >= 0 else { throw SystemError("open \(to)") }
        defer { close(target) }
        var chunk = [UInt8](repeating: 0, count: 1 << 20)
        while true {
            let count = Glibc.read(source, &chunk, chunk.count)
            if count < 0 && errno == EINTR { continue }
            guard count >= 0 else { throw SystemError("read \(from)") }
            if count == 0 { break }
            try self.writeAll(target, chunk[..<count], path: to)
        }
        guard fsync(target) == 0 else { throw SystemError("fsync \(to)") }
    }

    /// Removes a directory and all below it; symbolic links are removed, never followed.
    static func removeTree(_ path: String) throws {
        var status = pgha_file_status()
        guard pgha_file_status(path, 0, &status) == 0 else {
            if errno == ENOENT { return }
            throw SystemError("lstat \(path)")
        }
        if pgha_is_directory(status.mode) != 0 {
            for name in try self.list(path) { try self.removeTree(path + "/" + name) }
            guard rmdir(path) == 0 else { throw SystemError("rmdir \(path)") }
        } else {
            guard unlink(path) == 0 else { throw SystemError("unlink \(path)") }
        }
    }

    /// Bytes that the files below `path` occupy.
    static func treeSize(_ path: String) -> UInt64 {
        var status = pgha_file_status()
        guard pgha_file_status(path, 0, &status) == 0 else { return 0 }
        var total = UInt64(status.occupied)
        if pgha_is_directory(status.mode) != 0 {
            for name in (try? self.list(path)) ?? [] { total += self.treeSize(path + "/" + name) }
        }
        return total
    }

    /// Bytes that an ordinary user may still write on the file system of `path`; nil when it cannot be asked.
    static func freeBytes(_ path: String) -> UInt64? {
        var status = statvfs()
        guard statvfs(path, &status) == 0 else { return nil }
        return UInt64(status.f_bavail) * UInt64(status.f_frsize)
    }

    private static func create(_ path: String, content: String, mode: mode_t) throws {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode)
        guard descriptor >= 0 else { throw SystemError("open \(path)") }
        defer { close(descriptor) }
        try self.writeAll(descriptor, ArraySlice(Array(content.utf8)), path: path)
        guard fsync(descriptor) == 0 else { throw SystemError("fsync \(path)") }
    }

    private static func writeAll(_ descriptor: Int32, _ bytes: ArraySlice<UInt8>, path: String) throws {
        var rest = bytes
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0 && errno == EINTR { continue }
            guard count >= 0 else { throw SystemError("write \(path)") }
            rest = rest.dropFirst(count)
        }
    }
}
