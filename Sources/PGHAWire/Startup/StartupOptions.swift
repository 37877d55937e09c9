/// Reads the `options` parameter as PostgreSQL's `pg_split_opts` and `process_postgres_switches` do.
///
/// Words end at white space; a backslash keeps the next byte as it is. `-c a=b`, `-ca=b` and `--a=b` set `a`; in
/// names `-` stands for `_`. The one-letter switches of the server's command line are refused with a hint: they are
/// settings under other names, or not a client's business.
enum StartupOptions {
    static func settings(in options: UnsafeRawBufferPointer) throws(OptionsProblem) -> [StartupMessage.Parameter] {
        var words = Self.words(in: options)[...]
        var settings: [StartupMessage.Parameter] = []
        while let word = words.popFirst() {
            guard word.count > 1, word[0] == Self.dash else { throw .unexpectedWord(WireText(word)) }
            if word[1] == Self.dash {
                settings.append(try Self.setting(word[2...], mark: "--"))
            } else if word[1] != UInt8(ascii: "c") {
                throw .unsupportedSwitch(WireText(word))
            } else if word.count > 2 {
                settings.append(try Self.setting(word[2...], mark: "-c "))
            } else if let argument = words.popFirst() {
                settings.append(try Self.setting(argument[...], mark: "-c "))
            } else {
                throw .missingArgument
            }
        }
        return settings
    }

    private static let dash = UInt8(ascii: "-")

    /// Splits at white space and drops the backslashes.
    static func words(in options: UnsafeRawBufferPointer) -> [[UInt8]] {
        var words: [[UInt8]] = []
        var index = 0
        while true {
            while index < options.count, options[index].isSpace { index += 1 }
            guard index < options.count else { return words }
            var word: [UInt8] = []
            while index < options.count, !options[index].isSpace {
                if options[index] == UInt8(ascii: "\\") { index += 1 }
                // A backslash at the very end stands for nothing.
                if index < options.count { word.append(options[index]) }
                index += 1
            }
            words.append(word)
        }
    }

    private static func setting(
        _ text: ArraySlice<UInt8>, mark: String
    ) throws(OptionsProblem) -> StartupMessage.Parameter {
        guard let equals = text.firstIndex(of: UInt8(ascii: "=")), equals > text.startIndex else {
            throw .missingValue(WireText(Array(mark.utf8) + text))
        }
        let name = text[..<equals].map { $0 == Self.dash ? UInt8(ascii: "_") : $0 }
        return StartupMessage.Parameter(WireText(name), WireText(Array(text[(equals + 1)...])))
    }
}
