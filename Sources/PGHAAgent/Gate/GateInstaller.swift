import FoundationEssentials

/// Copies this program with everything that it loads, so that it runs where none of that is: the loader included, which
/// is named on the command line.
package enum GateInstaller {
    /// Blocks.
    package static func install(into directory: String) throws {
        let manager = FileManager.default
        try manager.createDirectory(atPath: directory + "/lib", withIntermediateDirectories: true)
        let executable = DurableFile.linkTarget("/proc/self/exe") ?? ""
        try self.copy(executable, to: directory + "/pgha")
        // Read to its end: Foundation takes a file of `/proc`, whose size is 0, for one page.
        let maps = try DurableFile.read("/proc/self/maps") ?? ""
        let mapped = Set(maps.split(separator: "\n").compactMap { $0.split(separator: " ").last.map(String.init) })
        for path in mapped.sorted() where path.contains(".so") && path != executable {
            let name = path.split(separator: "/").last.map(String.init) ?? path
            try self.copy(path, to: "\(directory)/lib/\(name)")
            // Mapped is the file; asked for is the name in it: libpq.so.5.15 and libpq.so.5.
            if let short = self.shortName(name), short != name {
                try self.link("\(directory)/lib/\(short)", to: name)
            }
            if name.hasPrefix("ld-") { try self.link("\(directory)/lib/ld.so", to: name) }
        }
    }

    /// `libpq.so.5.15` is asked for as `libpq.so.5`, `libldap-2.5.so.0.1.8` as `libldap-2.5.so.0`.
    static func shortName(_ name: String) -> String? {
        guard let end = name.firstRange(of: ".so."), let major = name[end.upperBound...].split(separator: ".").first
        else { return nil }
        return String(name[..<end.upperBound]) + major
    }

    private static func link(_ path: String, to name: String) throws {
        let manager = FileManager.default
        try? manager.removeItem(atPath: path)
        try manager.createSymbolicLink(atPath: path, withDestinationPath: name)
    }

    /// Moved into place: a container that starts at the same moment never runs a half of it.
    private static func copy(_ source: String, to target: String) throws {
        let manager = FileManager.default
        let temporary = target + ".new"
        try? manager.removeItem(atPath: temporary)
        try manager.copyItem(atPath: source, toPath: temporary)
        try? manager.removeItem(atPath: target)
        try manager.moveItem(atPath: temporary, toPath: target)
    }
}
