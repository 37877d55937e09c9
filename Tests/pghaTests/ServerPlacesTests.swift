import Foundation
import PGHAClient
import PGHACore
import Testing

@testable import pgha

/// Whether a pooler goes by a server's Unix socket.
@Suite struct ServerPlacesTests {
    /// A leader and a standby at these addresses, both with their sockets in `directory`.
    private static func report(_ leader: String, _ standby: String, directory: String) throws -> TopologyReport {
        func server(_ name: String, _ host: String) -> String {
            #"{"name":"\#(name)","host":"\#(host)","port":7777,"noread":false,"socket_directory":"\#(directory)"}"#
        }
        let text =
            #"{"term":1,"hold":false,"leader":\#(server("a", leader)),"standbys":[\#(server("b", standby))]}"#
        return try JSONDecoder().decode(TopologyReport.self, from: Data(text.utf8))
    }

    private static func withSocket(_ body: (String) async throws -> Void) async throws {
        let directory = FileManager.default.temporaryDirectory.appending(path: "pgha-places-\(UUID())").path
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: directory) }
        #expect(FileManager.default.createFile(atPath: directory + "/.s.PGSQL.7777", contents: nil))
        try await body(directory)
    }

    @Test func whereItsAgentSaysAndTheHostIsTheSame() async throws {
        try await Self.withSocket { directory in
            var report = try Self.report("127.0.0.1", "192.0.2.1", directory: directory)
            report.standbys = []
            let leader = try #require(report.leader)
            let here = try #require(await ServerPlaces(sockets: nil, report).node(leader))
            #expect(here.host == "127.0.0.1" && here.socket == directory)
            // The same path on another host is another server's.
            let away = try #require(try Self.report("192.0.2.1", "127.0.0.1", directory: directory).leader)
            #expect(try #require(await ServerPlaces(sockets: nil, report).node(away)).socket == nil)
            var gone = leader
            gone.socketDirectory = directory + "/nowhere"
            #expect(try #require(await ServerPlaces(sockets: nil, report).node(gone)).socket == nil)
        }
    }

    @Test func whereTheOperatorSaysAndNowhereElse() async throws {
        try await Self.withSocket { directory in
            var leader = try #require(try Self.report("127.0.0.1", "192.0.2.1", directory: directory).leader)
            let report = try Self.report("127.0.0.1", "192.0.2.1", directory: "/other")
            #expect(try #require(await ServerPlaces(sockets: ["/nowhere"], report).node(leader)).socket == nil)
            leader.socketDirectory = nil
            let named = try #require(await ServerPlaces(sockets: ["/x", directory], report).node(leader))
            #expect(named.socket == directory)
        }
    }

    /// Servers in containers of one network may have the same path each.
    @Test func notWhereTwoServersClaimTheSamePath() async throws {
        try await Self.withSocket { directory in
            let report = try Self.report("127.0.0.1", "127.0.0.2", directory: directory)
            let leader = try #require(report.leader)
            #expect(try #require(await ServerPlaces(sockets: nil, report).node(leader)).socket == nil)
        }
    }
}
