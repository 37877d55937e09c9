import Foundation
import PGHAConfiguration
import PGHACore
import Testing

@testable import pgha

@Suite struct DemoTests {
    @Test func thePortsAreThoseOfTheDocumentation() {
        let layout = DemoLayout(directory: "/d", nodes: 3, basePort: DemoLayout.defaultBasePort)
        #expect(
            layout.ports.map(\.port) == [
                15_432, 15_433, 15_434, 18_432, 16_432, 16_433, 18_431, 18_433, 18_434, 18_435,
            ])
        #expect(layout.names.map(\.text) == ["a", "b", "c"])
    }

    @Test func itsSpecFileIsOneThatInitTakes() throws {
        let layout = DemoLayout(directory: "/d", nodes: 2, basePort: 20_000)
        #expect(try ClusterSpecFile.parse(text: layout.specText, path: "cluster.yaml") == layout.spec)
    }

    @Test func aTakenPortIsNamedWithTheNextStep() throws {
        let taken = try ListeningPort()
        let layout = DemoLayout(directory: "/nonexistent", nodes: 1, basePort: taken.port)
        let error = #expect(throws: CommandError.self) { try DemoPorts.requireFree(layout) }
        #expect(error?.message == "port \(taken.port), for PostgreSQL of node a, is taken by another program")
        #expect(error?.hint.contains("--base-port") == true)
    }

    @Test func aLaterRunKeepsTheNodesAndPortsOfTheFirst() throws {
        let directory = FileManager.default.temporaryDirectory.appending(path: "pgha-demo-\(UUID())").path
        defer { try? FileManager.default.removeItem(atPath: directory) }
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        let first = try DemoFiles.layout(directory: directory, nodes: 2, basePort: 20_000, ephemeral: false)
        try DemoFiles.prepare(first)
        #expect(try DemoFiles.layout(directory: directory, nodes: nil, basePort: nil, ephemeral: false) == first)
        for (nodes, port, ephemeral) in [(3, nil, false), (nil, 15_432, false), (nil, nil, true)]
            as [(Int?, Int?, Bool)]
        {
            #expect(throws: CommandError.self) {
                try DemoFiles.layout(directory: directory, nodes: nodes, basePort: port, ephemeral: ephemeral)
            }
        }
    }

    @Test func secretsAreMadeOnceAndForTheirOwnerAlone() throws {
        let directory = FileManager.default.temporaryDirectory.appending(path: "pgha-demo-\(UUID())").path
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let layout = DemoLayout(directory: directory, nodes: 1, basePort: 20_000)
        try DemoFiles.prepare(layout)
        let token = try String(contentsOfFile: layout.tokenFile, encoding: .utf8)
        try DemoFiles.prepare(layout)
        #expect(try String(contentsOfFile: layout.tokenFile, encoding: .utf8) == token)
        for path in [layout.tokenFile, layout.controllerPassfile, layout.clientPassfile] {
            let attributes = try FileManager.default.attributesOfItem(atPath: path)
            #expect((attributes[.posixPermissions] as? NSNumber)?.intValue == 0o600)
        }
    }

    @Test func aDirectoryWithOtherFilesIsNotTouched() throws {
        let directory = FileManager.default.temporaryDirectory.appending(path: "pgha-demo-\(UUID())").path
        defer { try? FileManager.default.removeItem(atPath: directory) }
        try FileManager.default.createDirectory(atPath: directory + "/mine", withIntermediateDirectories: true)
        #expect(throws: CommandError.self) {
            try DemoFiles.layout(directory: directory, nodes: nil, basePort: nil, ephemeral: false)
        }
    }

    @Test func aRecordedProcessIsFoundWhileItRunsAndNotAfterwards() async throws {
        let file = FileManager.default.temporaryDirectory.appending(path: "pgha-record-\(UUID())").path
        defer { try? FileManager.default.removeItem(atPath: file) }
        let child = try DemoProcess.start("/bin/sleep", ["60"], log: "/dev/null")
        ProcessRecord.write(child, to: file)
        #expect(ProcessRecord.process(at: file)?.pid == child.pid)
        await child.stop(within: .seconds(5))
        #expect(ProcessRecord.process(at: file) == nil)
    }

    @Test func aFileOfTheKernelIsReadWhole() throws {
        let maps = try #require(ProcessFiles.read("/proc/self/maps"))
        #expect(maps.utf8.count > 8192)
        #expect(maps.contains("[stack]"))
    }
}

/// A port of the loopback that is taken while the value lives.
final class ListeningPort {
    private let descriptor: Int32
    let port: Int

    init() throws {
        self.descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let descriptor = self.descriptor
        let result = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, length) | listen(descriptor, 1) | getsockname(descriptor, $0, &length)
            }
        }
        try #require(result == 0)
        self.port = Int(UInt16(bigEndian: address.sin_port))
    }

    deinit { close(self.descriptor) }
}
