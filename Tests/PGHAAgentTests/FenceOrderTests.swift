import Foundation
import Glibc
import Logging
import PGHAClient
import PGHACore
import Synchronization
import Testing

@testable import PGHAAgent

/// The order of steps that safety rests on, without a server.
@Suite struct FenceOrderTests {
    private final class Steps: Sendable {
        let names = Mutex<[String]>([])
    }

    private func agent(_ root: String, steps: Steps) throws -> Agent {
        let directory = try StateDirectory.open(root)
        return Agent(
            node: try #require(NodeName("n1")), directory: directory,
            programs: ServerPrograms(directory: "/nonexistent", majorVersion: 15),
            pledges: try PledgeFile(path: directory.pledgeFile), setup: nil, logger: Logger(label: "test"),
            trace: { name in steps.names.withLock { $0.append(name) } })
    }

    private func withDirectory(_ body: (String) async throws -> Void) async throws {
        let root = "/tmp/pgha-fence-test.\(String(UInt64.random(in: 0 ... .max), radix: 36))"
        try DurableFile.makeDirectory(root)
        do {
            try await body(root)
        } catch {
            try DurableFile.removeTree(root)
            throw error
        }
        try DurableFile.removeTree(root)
    }

    @Test func pledgeThenSignalThenStopThenSettings() async throws {
        try await self.withDirectory { root in
            try DurableFile.makeDirectory(root + "/data")
            try DurableFile.write("15\n", to: root + "/data/PG_VERSION")
            let steps = Steps()
            let agent = try self.agent(root, steps: steps)
            let result = try await agent.fence(FenceRequest(pledge: pledge(3), clean: true))
            #expect(steps.names.withLock { $0 } == ["pledge", "standby.signal", "stopped", "settings"])
            // There is no pg_controldata to ask here: unknown, not zero.
            #expect(result.position == nil)
            #expect(try DurableFile.read(root + "/agent/pledge") == "\(pledge(3))\n")
            // Another agent for the directory finds the pledge.
            let next = try self.agent(root, steps: Steps())
            await #expect { try await next.startLeader(.init(pledge: pledge(2))) } throws: {
                ($0 as? AgentFailure)?.holding == pledge(3)
            }
            #expect(DurableFile.exists(root + "/data/standby.signal"))
        }
    }

    @Test func withoutADataDirectoryAFenceIsThePledgeAlone() async throws {
        try await self.withDirectory { root in
            let steps = Steps()
            _ = try await self.agent(root, steps: steps).fence(FenceRequest(pledge: pledge(1), clean: false))
            #expect(steps.names.withLock { $0 } == ["pledge"])
        }
    }

    @Test func aDamagedPledgeFileStopsTheAgent() async throws {
        try await self.withDirectory { root in
            _ = try StateDirectory.open(root)
            try DurableFile.write("nonsense", to: root + "/agent/pledge")
            #expect(throws: PledgeFileError.self) { try PledgeFile(path: root + "/agent/pledge") }
        }
    }

    @Test func aGroupMayPassToTheSocketAndOpenNothingElse() async throws {
        try await self.withDirectory { root in
            let name = String(cString: try #require(getgrgid(getegid())).pointee.gr_name)
            func modes() throws -> [String: Int] {
                try ["", "/run", "/agent", "/diverged", "/log"].reduce(into: [:]) { modes, path in
                    let attributes = try FileManager.default.attributesOfItem(atPath: root + path)
                    #expect(attributes[.groupOwnerAccountID] as? Int == Int(getegid()))
                    modes[path] = attributes[.posixPermissions] as? Int
                }
            }
            let closed: [String: Int] = [
                "": 0o700, "/run": 0o700, "/agent": 0o700, "/diverged": 0o700, "/log": 0o700,
            ]
            _ = try StateDirectory.open(root)
            #expect(try modes() == closed)
            _ = try StateDirectory.open(root, socketGroup: name)
            #expect(try modes() == closed.merging(["": 0o710, "/run": 0o710]) { $1 })
            _ = try StateDirectory.open(root)
            #expect(try modes() == closed)
            #expect(throws: AgentStartError.noSocketGroup("pgha no group")) {
                try StateDirectory.open(root, socketGroup: "pgha no group")
            }
        }
    }

    @Test func anInterruptedSwapIsUndone() async throws {
        try await self.withDirectory { root in
            try DurableFile.makeDirectory(root + "/data.old")
            try DurableFile.write("15\n", to: root + "/data.old/PG_VERSION")
            #expect(try StateDirectory.open(root).hasData)
        }
    }
}
