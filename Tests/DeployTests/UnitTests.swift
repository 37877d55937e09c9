import ArgumentParser
import Foundation
import Testing

@testable import pgha

@Suite struct UnitTests {
    static let roles = ["agent", "controller", "pooler"]

    /// The directives of a unit; one that stands twice keeps both values.
    static func directives(_ role: String) throws -> [String: [String]] {
        var result: [String: [String]] = [:]
        for line in try Deploy.text("deploy/systemd/pgha-\(role).service").split(separator: "\n") {
            guard !line.hasPrefix("#"), !line.hasPrefix("["), let equals = line.firstIndex(of: "=") else { continue }
            result[String(line[..<equals]), default: []].append(String(line[line.index(after: equals)...]))
        }
        return result
    }

    @Test(arguments: Self.roles)
    func eachRunsItsCommandAndIsClosed(role: String) throws {
        let unit = try Self.directives(role)
        #expect(unit["ExecStart"] == ["/usr/bin/pgha \(role) --config /etc/pgha/pgha.yaml"])
        #expect(throws: Never.self) { try PGHA.parseAsRoot([role, "--config", "/etc/pgha/pgha.yaml"]) }
        for (name, value) in [
            ("NoNewPrivileges", "true"), ("ProtectSystem", "strict"), ("ProtectHome", "true"),
            ("CapabilityBoundingSet", ""), ("Restart", "always"), ("SystemCallArchitectures", "native"),
        ] { #expect(unit[name] == [value], "\(role): \(name)") }
        #expect(unit["User"] == [role == "agent" ? "postgres" : "pgha"])
    }

    /// Restarting the agent, by hand or by an upgrade, is no outage.
    @Test func onlyTheAgentsEndLeavesPostgreSQLRunning() throws {
        let agent = try Self.directives("agent")
        #expect(agent["KillMode"] == ["process"])
        // It would take the shared memory of the running server with it.
        #expect(agent["RemoveIPC"] == nil)
        #expect(agent["Conflicts"] == nil && agent["BindsTo"] == nil && agent["PartOf"] == nil)
        for role in ["controller", "pooler"] { #expect(try Self.directives(role)["KillMode"] == nil) }
    }

    /// A later installation would start by itself what nobody enabled.
    @Test func purgingThePackageDisablesItsUnitsAndNoOthers() throws {
        let root = FileManager.default.temporaryDirectory.appending(path: "pgha-purge-\(UUID().uuidString)")
        let wants = root.appending(path: "etc/systemd/system/multi-user.target.wants")
        try FileManager.default.createDirectory(at: wants, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: root) }
        for name in Self.roles.map({ "pgha-\($0)" }) + ["postgresql"] {
            try FileManager.default.createSymbolicLink(
                at: wants.appending(path: "\(name).service"),
                withDestinationURL: URL(filePath: "/lib/systemd/system/\(name).service"))
        }
        let script = Deploy.root.appending(path: "deploy/debian/postrm").path
        for (step, left) in [("remove", 4), ("purge", 1)] {
            let (output, status) = try Tool.run("/usr/bin/env", ["DPKG_ROOT=\(root.path)", "/bin/sh", script, step])
            #expect(status == 0 && output.isEmpty, "\(output)")
            #expect(try FileManager.default.contentsOfDirectory(atPath: wants.path).count == left)
        }
    }

    @Test(.enabled(if: Tool.path("systemd-analyze") != nil, "systemd-analyze is not installed"))
    func systemdUnderstandsThem() throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "pgha-units-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        var paths: [String] = []
        for role in Self.roles {
            // The executable need not be installed here.
            let text = try Deploy.text("deploy/systemd/pgha-\(role).service").replacing(
                "/usr/bin/pgha", with: "/bin/true")
            let file = folder.appending(path: "pgha-\(role).service")
            try Data(text.utf8).write(to: file)
            paths.append(file.path)
        }
        let (output, status) = try Tool.run(
            try #require(Tool.path("systemd-analyze")), ["verify", "--man=no"] + paths)
        #expect(status == 0 && output.isEmpty, "\(output)")
    }

    @Test(arguments: ["build", "postinst", "prerm", "postrm"])
    func theScriptsOfThePackageCanBeRead(name: String) throws {
        let path = "deploy/debian/\(name)"
        let shell = try Deploy.text(path).hasPrefix("#!/bin/bash") ? "/bin/bash" : "/bin/sh"
        let (output, status) = try Tool.run(shell, ["-n", Deploy.root.appending(path: path).path])
        #expect(status == 0, "\(output)")
        #expect(FileManager.default.isExecutableFile(atPath: Deploy.root.appending(path: path).path))
    }

    @Test func whatThePackageInstallsIsThere() throws {
        for match in try Deploy.text("deploy/debian/build").matches(of: #/"\$here/(\.\./[a-zA-Z./]+)"/#) {
            #expect(Deploy.exists("deploy/debian/\(match.1)"), "\(match.1)")
        }
    }

    @Test(.enabled(if: Tool.path("python3") != nil, "python3 is not installed"))
    func theManualPageHasEveryCommand() throws {
        let script = Deploy.root.appending(path: "deploy/debian/manpage.py").path
        let dump = PGHA._dumpHelp()
        let (page, status) = try Tool.run(try #require(Tool.path("python3")), [script, "1.0"], input: Data(dump.utf8))
        #expect(status == 0)
        for command in ["init", "failover", "node add", "config set", "agent", "controller", "pooler", "health"] {
            #expect(page.contains(".SS \"pgha \(command)\""), "\(command) is missing")
        }
        guard let groff = Tool.path("groff") else { return }
        let (complaints, _) = try Tool.run(groff, ["-man", "-Tutf8", "-ww", "-z"], input: Data(page.utf8))
        #expect(complaints.isEmpty, "\(complaints)")
    }
}
