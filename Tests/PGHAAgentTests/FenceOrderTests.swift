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

    private struct Access: Hashable {
        var group: gid_t
        var mode: Int
    }

    private func access(below root: String) throws -> [String: Access] {
        try ["", "/run", "/agent", "/diverged", "/log"].reduce(into: [:]) { result, path in
            let attributes = try FileManager.default.attributesOfItem(atPath: root + path)
            let group = try #require(attributes[.groupOwnerAccountID] as? Int)
            result[path] = Access(
                group: gid_t(group), mode: try #require(attributes[.posixPermissions] as? Int))
        }
    }

    /// The first of the groups below 1,000 that is another than new files have, and that this process may give to a file
    /// or may not.
    private static func otherGroup(isMine wanted: Bool) -> (name: String, number: gid_t)? {
        var mine = [gid_t](repeating: 0, count: 65_536)
        let count = getgroups(Int32(mine.count), &mine)
        let groups = Set(mine.prefix(Int(max(0, count))))
        for number in gid_t(0)..<1000 where number != getegid() {
            let isMine = geteuid() == 0 || groups.contains(number)
            guard isMine == wanted, let group = getgrgid(number) else { continue }
            return (String(cString: group.pointee.gr_name), number)
        }
        return nil
    }

    @Test(.enabled(if: Self.otherGroup(isMine: true) != nil, "this user is in one group only"))
    func aGroupMayPassToTheSocketAndOpenNothingElse() async throws {
        let group = try #require(Self.otherGroup(isMine: true))
        try await self.withDirectory { root in
            _ = try StateDirectory.open(root)
            let closed = try self.access(below: root)
            #expect(Set(closed.values) == [Access(group: getegid(), mode: 0o700)])
            _ = try StateDirectory.open(root, socketGroup: group.name)
            let passage = Access(group: group.number, mode: 0o710)
            #expect(try self.access(below: root) == closed.merging(["": passage, "/run": passage]) { $1 })
            _ = try StateDirectory.open(root)
            #expect(try self.access(below: root).mapValues(\.mode) == closed.mapValues(\.mode))
        }
    }

    @Test func anUnknownGroupStopsTheAgent() async throws {
        try await self.withDirectory { root in
            #expect(throws: AgentStartError.noSocketGroup("pgha no group")) {
                try StateDirectory.open(root, socketGroup: "pgha no group")
            }
        }
    }

    @Test(.enabled(if: Self.otherGroup(isMine: false) != nil, "root may give a file to any group"))
    func aGroupThatTheAgentsUserIsNotInStopsTheAgent() async throws {
        let group = try #require(Self.otherGroup(isMine: false))
        try await self.withDirectory { root in
            #expect(throws: AgentStartError.notInSocketGroup(group.name)) {
                try StateDirectory.open(root, socketGroup: group.name)
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
