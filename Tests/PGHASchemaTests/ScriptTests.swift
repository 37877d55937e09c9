import Foundation
import PGHASchema
import Testing

@Suite struct ScriptTests {
    /// The folder `sql/` of this checkout.
    static let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../sql").standardized

    @Test func everyFileOfTheFolderIsEmbeddedUnchangedInTheOrderOfItsNumber() throws {
        let files = try FileManager.default.contentsOfDirectory(atPath: Self.folder.path)
            .filter { $0.hasSuffix(".sql") }.sorted()
        #expect(PGHASchema.scripts.map { "\($0.name).sql" } == files)
        #expect(PGHASchema.scripts.map(\.number) == Array(1...files.count))
        for script in PGHASchema.scripts {
            #expect(script.name.hasPrefix(String(format: "%03d_", script.number)))
            let text = try String(contentsOf: Self.folder.appending(path: "\(script.name).sql"), encoding: .utf8)
            #expect(script.sql == text)
        }
    }

    @Test func aDatabaseGetsOnlyTheScriptsItLacks() {
        #expect(PGHASchema.missing(applied: []).map(\.number) == PGHASchema.scripts.map(\.number))
        #expect(PGHASchema.missing(applied: [1]).map(\.number) == Array(PGHASchema.scripts.map(\.number).dropFirst()))
        #expect(PGHASchema.missing(applied: PGHASchema.scripts.map(\.number)).isEmpty)
    }

    @Test func noScriptSetsAPassword() {
        for script in PGHASchema.scripts {
            #expect(script.sql.range(of: "PASSWORD '", options: .caseInsensitive) == nil, "\(script.name)")
        }
    }
}
