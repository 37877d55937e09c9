import Foundation
import Testing

@Suite struct TidyTests {
    static let longestFile = 500
    static let longestFunction = 70

    @Test func theCoreImportsNothing() {
        let core = Repository.swiftFiles.filter { $0.path.hasPrefix("Sources/PGHACore/") }
        #expect(!core.isEmpty)
        let statement =
            #/^\s*(?:@\w+(?:\([^)]*\))?\s+)*(?:(?:public|package|internal|fileprivate|private)\s+)?import\b/#
        for file in core {
            for (index, line) in file.code.enumerated() where line.contains("import") {
                #expect(line.prefixMatch(of: statement) == nil, "\(file.path):\(index + 1) imports something")
            }
        }
    }

    @Test func noFileIsLongerThanItMayBe() {
        var found: [String: Int] = [:]
        for file in Repository.swiftFiles where file.lineCount > Self.longestFile { found[file.path] = file.lineCount }
        Self.hold(found, to: Ratchet.files, limit: Self.longestFile)
    }

    @Test func noFunctionIsLongerThanItMayBe() {
        var found: [String: Int] = [:]
        for file in Repository.swiftFiles {
            for function in FunctionLengths.functions(in: file.code) where function.length > Self.longestFunction {
                let key = "\(file.path) \(function.name)"
                found[key] = max(found[key] ?? 0, function.length)
            }
        }
        Self.hold(found, to: Ratchet.functions, limit: Self.longestFunction)
    }

    /// New offenders are refused, old ones may not grow, and what has shrunk is written down.
    private static func hold(_ found: [String: Int], to ratchet: [String: Int], limit: Int) {
        for (key, length) in found.sorted(by: { $0.key < $1.key }) {
            #expect(length <= ratchet[key] ?? limit, "\(key) has \(length) lines, at most \(ratchet[key] ?? limit)")
        }
        for (key, length) in ratchet.sorted(by: { $0.key < $1.key }) {
            #expect(found[key] == length, "\(key) has shrunk to \(found[key] ?? 0): say so in Ratchet.swift")
        }
    }

    @Test func nothingIsLeftForLater() {
        // Written apart, so that this file does not find itself.
        let words = ["TO" + "DO", "FIX" + "ME", "XX" + "X"]
        for file in Repository.textFiles {
            for (index, line) in file.text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
                for word in words where line.contains(word) {
                    #expect(!Self.isWord(word, in: line), "\(file.path):\(index + 1) has a \(word)")
                }
            }
        }
    }

    private static func isWord(_ word: String, in line: Substring) -> Bool {
        line.split { !$0.isLetter && !$0.isNumber }.contains { $0 == word }
    }

    @Test func nothingThatAServerOrADiskCanCauseEndsTheProcess() {
        for file in Repository.swiftFiles
        where file.path.hasPrefix("Sources/") && !file.path.hasPrefix("Sources/PGHATesting/") {
            for (index, line) in file.code.enumerated() {
                for word in ["try!", "fatalError("] {
                    #expect(!line.contains(word), "\(file.path):\(index + 1) has \(word)")
                }
            }
        }
    }

    // MARK: The checks themselves

    @Test func commentsAndTextAreNoCode() {
        let code = SwiftText.code(
            ##"""
            let a = "{ \(b("}")) \" {" // {
            let c = #"\( " { "# + """
                { " \(d { "}" })
                """ /* { /* } */ { */
            let e = #/{"/#; f()
            """##)
        #expect(!code.joined().contains { "{}\"".contains($0) })
        #expect(code.count == 5)
        #expect(code[4].hasSuffix("; f()"))
    }

    @Test func functionsAreMeasuredFromTheirNameToTheirBrace() {
        let code = SwiftText.code(
            """
                protocol P {
                    func required(_ a: Int)
                    init(b: Int) throws
                }
                struct S {
                    private static func one() -> Int { 1 }
                    @discardableResult package mutating func two(
                        _ body: () -> Void = { }
                    ) async throws -> [Int]
                    where T: P {
                        if true {
                        }
                    }
                    init() {
                        self.init(1)
                    }
                    func < (a: S, b: S) -> Bool { false }
                }
            """)
        let functions = FunctionLengths.functions(in: code)
        #expect(functions.map(\.name) == ["one", "two", "init", "<"])
        #expect(functions.map(\.length) == [1, 7, 3, 1])
        #expect(functions.map(\.line) == [6, 7, 14, 17])
    }
}
