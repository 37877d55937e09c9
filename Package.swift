// swift-tools-version: 6.2

import PackageDescription

/// Every target of this package: warnings are errors, imports are internal unless said otherwise.
let strict: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .treatAllWarnings(as: .error),
]

let log = Target.Dependency.product(name: "Logging", package: "swift-log")
let lifecycle = Target.Dependency.product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let unixSignals = Target.Dependency.product(name: "UnixSignals", package: "swift-service-lifecycle")
let hummingbird = Target.Dependency.product(name: "Hummingbird", package: "hummingbird")
let hummingbirdCore = Target.Dependency.product(name: "HummingbirdCore", package: "hummingbird")
let httpClient = Target.Dependency.product(name: "AsyncHTTPClient", package: "async-http-client")
let nioCore = Target.Dependency.product(name: "NIOCore", package: "swift-nio")
let nioPosix = Target.Dependency.product(name: "NIOPosix", package: "swift-nio")
let nioHTTP1 = Target.Dependency.product(name: "NIOHTTP1", package: "swift-nio")
let nioSSL = Target.Dependency.product(name: "NIOSSL", package: "swift-nio-ssl")
let grdb = Target.Dependency.product(name: "GRDB", package: "GRDB.swift")
let configuration = Target.Dependency.product(name: "Configuration", package: "swift-configuration")
let yams = Target.Dependency.product(name: "Yams", package: "Yams")
let arguments = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")

/// `make release` says what it builds; nothing else needs to be compiled again when that changes.
let source = Context.environment["PGHA_SOURCE"].map { [CSetting.define("PGHA_SOURCE", to: "\"\($0)\"")] } ?? []

let package = Package(
    name: "pgha",
    platforms: [.macOS(.v15)],
    products: [.executable(name: "pgha", targets: ["pgha"])],
    dependencies: [
        .package(url: "https://github.com/apple/swift-nio.git", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl.git", from: "2.37.6"),
        .package(url: "https://github.com/hummingbird-project/hummingbird.git", from: "2.28.1"),
        .package(url: "https://github.com/swift-server/async-http-client.git", from: "1.37.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle.git", from: "2.13.0"),
        .package(url: "https://github.com/apple/swift-configuration.git", from: "1.4.0"),
        .package(url: "https://github.com/jpsim/Yams.git", from: "6.2.2"),
        .package(url: "https://github.com/apple/swift-argument-parser.git", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log.git", from: "1.16.2"),
        .package(url: "https://github.com/groue/GRDB.swift.git", from: "7.10.0"),
    ],
    targets: [
        // Decisions. Imports nothing.
        .target(name: "PGHACore", swiftSettings: strict),

        // C libraries and the system calls that Swift's Glibc import cannot reach.
        .systemLibrary(name: "CLibpq", pkgConfig: "libpq", providers: [.apt(["libpq-dev"])]),
        .target(name: "CPGHASystem"),
        .systemLibrary(name: "COpenSSL", pkgConfig: "openssl", providers: [.apt(["libssl-dev"])]),
        .target(name: "CPGHALoop"),
        .target(name: "CPGHABuild", cSettings: source),

        // PostgreSQL's protocol: bytes to messages and back, no sockets.
        .target(name: "PGHAWire", dependencies: ["COpenSSL"], swiftSettings: strict),

        // SQL installed on servers, embedded in the executable.
        .target(
            name: "PGHASchema", path: "sql",
            resources: [
                .embedInCode("001_roles.sql"), .embedInCode("002_schema.sql"), .embedInCode("003_pooler.sql"),
            ], swiftSettings: strict),

        // Shells around single things: a server, a store, settings, metrics, the HTTP interfaces.
        .target(name: "PGHAPostgres", dependencies: ["PGHACore", "CLibpq", log], swiftSettings: strict),
        .target(name: "PGHAStore", dependencies: ["PGHACore", grdb], swiftSettings: strict),
        .target(
            name: "PGHAConfiguration", dependencies: ["PGHACore", configuration, yams], swiftSettings: strict),
        .target(name: "PGHAObservability", dependencies: ["PGHACore", log], swiftSettings: strict),
        // Certificates and keys of the HTTP interfaces, and of those that ask them.
        .target(name: "PGHATLS", dependencies: [nioSSL], swiftSettings: strict),
        .target(
            name: "PGHAClient", dependencies: ["PGHACore", "PGHATLS", httpClient, nioCore, nioPosix, nioHTTP1, nioSSL],
            swiftSettings: strict),

        // What the HTTP interfaces of controller and agent share.
        .target(
            name: "PGHAHTTP", dependencies: ["PGHATLS", hummingbird, hummingbirdCore, log, nioCore, nioSSL],
            swiftSettings: strict),

        // The page that the controller shows, embedded in the executable.
        .target(
            name: "PGHAPage",
            resources: [
                .embedInCode("page.html"), .embedInCode("page.css"), .embedInCode("page.js"), .embedInCode("view.js"),
            ], swiftSettings: strict),

        // The services. They never import each other.
        .target(
            name: "PGHAAgent",
            dependencies: [
                "PGHACore", "PGHAPostgres", "PGHASchema", "PGHAObservability", "PGHAClient", "PGHAHTTP", "PGHATLS",
                "PGHAWire", "CPGHASystem", hummingbird, lifecycle, log, nioCore,
            ], swiftSettings: strict),
        .target(
            name: "PGHAController",
            dependencies: [
                "PGHACore", "PGHAPostgres", "PGHAStore", "PGHAConfiguration", "PGHAObservability", "PGHAClient",
                "PGHAHTTP", "PGHAPage", "PGHATLS", hummingbird, lifecycle, log, nioCore,
            ], swiftSettings: strict),
        .target(
            name: "PGHAPooler", dependencies: ["PGHAWire", "PGHACore", "COpenSSL", "CPGHALoop"],
            swiftSettings: strict),
        .target(name: "PGHASimulation", dependencies: ["PGHACore"], swiftSettings: strict),

        // What the command line shows, without I/O.
        .target(
            name: "PGHACommand", dependencies: ["PGHACore", "PGHAClient", "PGHAConfiguration"],
            swiftSettings: strict),

        .executableTarget(
            name: "pgha",
            dependencies: [
                "PGHACore", "PGHASchema", "PGHAPostgres", "PGHAStore", "PGHAConfiguration", "PGHAObservability",
                "CPGHASystem", "CPGHABuild", "PGHAClient", "PGHACommand", "PGHAAgent", "PGHAController", "PGHAPooler",
                "PGHASimulation",
                "PGHAHTTP", "PGHATLS", "PGHAWire", arguments, lifecycle,
                unixSignals, log,
                hummingbird, httpClient,
            ], swiftSettings: strict),

        .target(
            name: "PGHATesting",
            dependencies: [
                "PGHACore", "PGHAPostgres", "PGHAStore", "PGHAClient", "PGHATLS", "CPGHASystem", httpClient, nioCore,
            ],
            swiftSettings: strict),
        // `make bench-failover`: real clusters, the release build, a table and JSON under .build/bench/.
        .executableTarget(
            name: "pgha-bench", dependencies: ["PGHATesting", "PGHACore", "PGHAPostgres", "PGHAClient", arguments],
            path: "Tests/Benchmarks/FailoverBench", swiftSettings: strict),
        // Judges logs of clients: lost, doubled, stale, two leaders. Imports nothing.
        .target(name: "PGHAChecker", swiftSettings: strict),
        // `make chaos`: random faults on a real cluster under load.
        .executableTarget(
            name: "pgha-chaos",
            dependencies: ["PGHATesting", "PGHAChecker", "PGHACore", "PGHAPostgres", "PGHAClient", arguments],
            path: "Tests/Chaos", swiftSettings: strict),
        // `make bench-split`: what telling reads from writes costs.
        .executableTarget(
            name: "split-bench", dependencies: ["PGHACore", "PGHAWire"], path: "Tests/Benchmarks/SplitBench",
            swiftSettings: strict),
        .testTarget(
            name: "PGHACoreTests", dependencies: ["PGHACore"], exclude: ["Tables"], swiftSettings: strict),
        .testTarget(
            name: "PGHASchemaTests", dependencies: ["PGHASchema", "PGHAPostgres", "PGHATesting"],
            swiftSettings: strict),
        .testTarget(
            name: "PGHAPostgresTests", dependencies: ["PGHAPostgres", "PGHACore", "PGHATesting"],
            swiftSettings: strict),
        .testTarget(
            name: "PGHAStoreTests", dependencies: ["PGHAStore", "PGHACore", "PGHATesting", grdb],
            swiftSettings: strict),
        .testTarget(
            name: "PGHAConfigurationTests", dependencies: ["PGHAConfiguration", "PGHACore"], swiftSettings: strict),
        .testTarget(
            name: "PGHAObservabilityTests", dependencies: ["PGHAObservability", log], swiftSettings: strict),
        .testTarget(
            name: "PGHAAgentTests",
            dependencies: ["PGHAAgent", "PGHACore", "PGHAClient", "PGHAHTTP", "PGHATesting", log],
            swiftSettings: strict),
        .testTarget(
            name: "PGHAControllerTests",
            dependencies: [
                "PGHAController", "PGHAClient", "PGHACore", "PGHAHTTP", "PGHAPage", "PGHAPostgres", "PGHAStore",
                "PGHATLS",
                "PGHATesting", hummingbird, httpClient, log, nioCore, nioHTTP1,
            ],
            exclude: ["Page"], swiftSettings: strict),
        .testTarget(name: "PGHATLSTests", dependencies: ["PGHATLS", "PGHATesting"], swiftSettings: strict),
        .testTarget(name: "PGHAWireTests", dependencies: ["PGHAWire"], swiftSettings: strict),
        .testTarget(
            name: "PGHAPoolerTests",
            dependencies: ["PGHAPooler", "PGHAWire", "PGHACore", "PGHAPostgres", "PGHASchema", "PGHATesting"],
            swiftSettings: strict),
        .testTarget(
            name: "pghaTests",
            dependencies: [
                "pgha", "PGHACommand", "PGHAClient", "PGHAConfiguration", "PGHAPooler", "PGHAPostgres", "PGHATesting",
                "PGHACore",
                arguments,
            ],
            exclude: ["Snapshots"], swiftSettings: strict),
        .testTarget(
            name: "PostgresIntegration",
            dependencies: [
                "PGHATesting", "PGHAPostgres", "PGHAClient", "PGHACommand", "PGHACore", "PGHAPooler", "pgha",
            ],
            path: "Tests/PostgresIntegration",
            swiftSettings: strict),
        .testTarget(
            name: "SimulationTests", dependencies: ["PGHASimulation", "PGHACore"], exclude: ["Scenarios"],
            swiftSettings: strict),
        // What is under deploy/: parsed and compared with the settings, the commands and the metrics.
        .testTarget(
            name: "DeployTests",
            dependencies: [
                "pgha", "PGHAConfiguration", "PGHACore", "PGHAClient", "PGHAAgent", "PGHAController", "PGHAPooler",
                yams,
                arguments,
            ], swiftSettings: strict),
        .testTarget(name: "PGHACheckerTests", dependencies: ["PGHAChecker"], swiftSettings: strict),
        // `make faults`; skipped elsewhere.
        .testTarget(
            name: "FaultTests", dependencies: ["PGHATesting", "PGHAPostgres", "PGHAClient", "PGHACore"],
            exclude: ["SteppedClock.c"], swiftSettings: strict),
        .testTarget(name: "TidyTests", swiftSettings: strict),
    ]
)

// For deploy/Dockerfile. Dependencies are compiled in a layer that only this file invalidates, so without a source of
// pgha; then pgha alone, so that a changed test builds no image anew.
switch Context.environment["PGHA_PACKAGE"] {
case "dependencies":
    package.products = []
    package.targets = [
        .executableTarget(
            name: "dependencies",
            dependencies: [
                log, lifecycle, unixSignals, hummingbird, hummingbirdCore, httpClient, nioCore, nioPosix, nioHTTP1,
                nioSSL,
                grdb, configuration, yams, arguments,
            ])
    ]
case "pgha": package.targets.removeAll { $0.isTest || ["PGHATesting", "pgha-bench"].contains($0.name) }
default: break
}
