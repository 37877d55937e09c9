import Foundation
import PGHAConfiguration
import PGHACore
import Testing

@Suite struct ImageTests {
    /// Instructions with continued lines joined, by stage.
    static func stages(_ path: String) throws -> [(name: String, from: String, instructions: [String])] {
        let joined = try Deploy.text(path).split(separator: "\n").filter { !$0.hasPrefix("#") }.joined(separator: "\n")
            .replacing("\\\n", with: " ")
        var stages: [(name: String, from: String, instructions: [String])] = []
        for line in joined.split(separator: "\n").map(String.init) {
            let words = line.split(whereSeparator: \.isWhitespace).map(String.init)
            if words.first == "FROM" {
                stages.append((name: words.count == 4 ? words[3] : "", from: words[1], instructions: []))
            } else if !stages.isEmpty {
                stages[stages.count - 1].instructions.append(line)
            }
        }
        return stages
    }

    static func targets() throws -> [(name: String, from: String, instructions: [String])] {
        try Self.stages("deploy/Dockerfile").filter { ["pgha", "pgha-postgres"].contains($0.name) }
    }

    @Test func bothTargetsRunAsAFixedUserAndAreLookedAfter() throws {
        let targets = try Self.targets()
        #expect(targets.count == 2)
        for target in targets {
            let users = target.instructions.filter { $0.hasPrefix("USER ") }
            #expect(users == ["USER 999:999"], "\(target.name)")
            #expect(target.instructions.contains { $0.hasPrefix("HEALTHCHECK ") && $0.contains("\"health\"") })
            #expect(
                target.instructions.contains { $0.hasPrefix("LABEL ") && $0.contains("org.opencontainers.image.title") }
            )
            #expect(target.from == "runtime")
        }
    }

    @Test func nothingToBuildWithIsInTheImages() throws {
        for stage in try Self.stages("deploy/Dockerfile")
        where ["runtime", "pgha", "pgha-postgres"].contains(stage.name) {
            for instruction in stage.instructions {
                #expect(!instruction.contains("-dev"), "\(stage.name): \(instruction)")
                if instruction.hasPrefix("COPY ") { #expect(instruction.hasPrefix("COPY --from=build ")) }
                // What apt leaves behind goes in the same layer.
                if instruction.contains("apt-get install") {
                    #expect(instruction.contains("rm -rf /var/lib/apt/lists/*"))
                }
            }
        }
    }

    @Test func whatIsCopiedIsThereAndLetIn() throws {
        let admitted = Set(
            try Deploy.text(".dockerignore").split(separator: "\n").filter { $0.hasPrefix("!") }.map { $0.dropFirst() })
        for stage in try Self.stages("deploy/Dockerfile") {
            for instruction in stage.instructions
            where instruction.hasPrefix("COPY ") && !instruction.contains("--from") {
                for source in instruction.split(separator: " ").dropFirst().dropLast() {
                    let name = source.replacing("[d]", with: "d")
                    #expect(admitted.contains(Substring(name)), ".dockerignore keeps \(name) out")
                    if name == source { #expect(Deploy.exists(String(name))) }
                }
            }
        }
    }

    @Test func thePortsAreThoseOfTheSettings() throws {
        func port(_ place: Setting.Place, _ key: String) throws -> Int {
            guard case .value(let text) = try #require(SettingTable.setting(key, of: place)).fallback else { return 0 }
            return try #require(ListenAddress(text)).port
        }
        let pooler = try ["listen", "listen_read", "http_listen"].map { try port(.pooler, $0) }
        let expected = try [
            "pgha": pooler + [port(.controller, "listen")], "pgha-postgres": [5432, port(.agent, "listen")],
        ]
        for target in try Self.targets() {
            let exposed = target.instructions.filter { $0.hasPrefix("EXPOSE ") }.flatMap {
                $0.split(separator: " ").dropFirst()
            }
            #expect(Set(exposed.compactMap { Int($0) }) == Set(expected[target.name] ?? []), "\(target.name)")
        }
    }

    /// One toolchain for contributors, CI, images and releases.
    @Test func everybodyHasTheSameToolchain() throws {
        let script = try Deploy.text(".ci/toolchain")
        let needed = try #require(script.firstMatch(of: #/needed_major=([0-9]+) needed_minor=([0-9]+)/#))
        let image = "docker.io/library/swift:\(needed.1).\(needed.2)-bookworm"
        for path in ["deploy/Dockerfile", ".devcontainer/Dockerfile", ".github/workflows/release.yaml"] {
            #expect(try Deploy.text(path).contains(image), "\(path)")
        }
    }

    @Test func theDevelopersContainerHasThePackagesThatMakeInstalls() throws {
        let image = try Deploy.text(".devcontainer/Dockerfile")
        for match in try Deploy.text(".ci/packages").matches(of: #/\|\| echo ([a-z0-9-]+)/#) {
            #expect(image.contains(String(match.1)), "\(match.1) is missing")
        }
        let definition = try Deploy.json(".devcontainer/devcontainer.json")
        #expect(Deploy.exists(".devcontainer/" + (definition["build"]["dockerfile"].text ?? "nothing")))
        #expect(definition["postCreateCommand"].text == "make build")
    }

    @Test func theReleaseTestsBeforeItPublishes() throws {
        let jobs = try #require(try Deploy.yaml(".github/workflows/release.yaml").first)["jobs"]
        #expect(jobs["test"]["steps"].list.contains { $0["run"].text == ".ci/run" })
        for (name, job) in jobs.map where name != "test" { #expect(job["needs"].text == "test", "\(name)") }
        let targets = jobs["images"]["strategy"]["matrix"]["target"].texts
        #expect(targets == (try Self.targets()).map(\.name).sorted())
    }
}
