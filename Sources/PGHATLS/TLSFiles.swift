internal import Glibc

/// Where what a process shows and trusts over TLS stands: files in PEM.
package struct TLSFiles: Hashable, Sendable {
    /// The certificate of this process, then those between it and the authority.
    package let certificate: String?
    /// Its key, without a passphrase, which nobody else may read.
    package let key: String?
    /// Whose certificates are trusted; nil: the system's authorities', and no certificate is asked for.
    package let authority: String?

    /// Nil when nothing is set: plain HTTP.
    package init?(certificate: String?, key: String?, authority: String?) throws(TLSFailure) {
        guard certificate != nil || key != nil || authority != nil else { return nil }
        guard (certificate == nil) == (key == nil) else {
            throw .incomplete(missing: certificate == nil ? "http_tls_cert_file" : "http_tls_key_file")
        }
        self.certificate = certificate
        self.key = key
        self.authority = authority
    }

    /// For a process that others ask: an authority alone says who may come in, but over nothing.
    package func requireCertificate() throws(TLSFailure) {
        guard self.certificate != nil else { throw .incomplete(missing: "http_tls_cert_file") }
    }

    static func requireReadable(_ path: String) throws(TLSFailure) {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw .unreadable(path, reason: String(cString: strerror(errno))) }
        close(descriptor)
    }

    /// How the files are now. Blocks.
    var stamps: [FileStamp?] { [self.certificate, self.key, self.authority].map { $0.flatMap(FileStamp.init) } }
}

/// Tells whether a file, or what a link on the way to it points to, is another one than before.
struct FileStamp: Equatable {
    private let device: dev_t
    private let inode: ino_t
    private let size: off_t
    private let seconds: time_t
    private let nanoseconds: Int

    /// Nil when there is no file to look at.
    init?(_ path: String) {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        self.device = status.st_dev
        self.inode = status.st_ino
        self.size = status.st_size
        // Of the inode, not of the content: what was unusable for its mode is looked at again after a chmod.
        self.seconds = status.st_ctim.tv_sec
        self.nanoseconds = status.st_ctim.tv_nsec
    }
}

/// The rule for files with keys, PostgreSQL's: of the present user and for it alone, or of root and perhaps for a group.
enum KeyFile {
    static func check(_ path: String) throws(TLSFailure) {
        var status = stat()
        guard stat(path, &status) == 0 else { throw .unreadable(path, reason: String(cString: strerror(errno))) }
        guard status.st_mode & S_IFMT == S_IFREG else { throw .unreadable(path, reason: "not a regular file") }
        guard status.st_uid == geteuid() || status.st_uid == 0 else { throw .keyOfAnotherUser(path) }
        let forbidden: mode_t = status.st_uid == 0 ? 0o037 : 0o077
        guard status.st_mode & forbidden == 0 else { throw .keyOpenToOthers(path) }
    }
}
