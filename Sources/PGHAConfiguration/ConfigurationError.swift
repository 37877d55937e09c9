/// Why a configuration was refused. One error, the first found; nothing was started or changed.
package struct ConfigurationError: Error, Hashable, Sendable {
    /// Where the offending words stand.
    package enum Source: Hashable, Sendable {
        /// `line` starts from 1; nil when the file as a whole is meant.
        case file(String, line: Int?)
        case environment(variable: String)
        case flag(String)
        /// A specification that came in no file.
        case specification
        /// Nothing was given anywhere.
        case nowhere
    }

    package enum Reason: Hashable, Sendable {
        /// The file could not be read; the text is the system's.
        case unreadable(String)
        /// The file is not YAML; the text is the parser's.
        case syntax(String)
        case unknownKey(String, nearest: String?)
        /// A required setting; `ways` says how to give it.
        case missing(String, ways: String)
        case wrongValue(key: String, value: String, expected: String)
        /// A list where a mapping was expected, and the like.
        case wrongShape(key: String, expected: String)
        /// The specification contradicts itself or asks for what cannot be.
        case specification(SpecProblem)
    }

    package let source: Source
    package let reason: Reason

    package init(_ source: Source, _ reason: Reason) {
        self.source = source
        self.reason = reason
    }

    /// For logs and JSON; stable.
    package var code: String {
        switch self.reason {
        case .unreadable: "config_unreadable"
        case .syntax: "config_syntax"
        case .unknownKey: "config_unknown_key"
        case .missing: "config_missing"
        case .wrongValue: "config_wrong_value"
        case .wrongShape: "config_wrong_shape"
        case .specification(let problem): problem.code
        }
    }
}

extension ConfigurationError: CustomStringConvertible {
    /// `demo.yaml:7: there is no setting 'timings.probe_intervall'; did you mean 'timings.probe_interval'?`
    package var description: String { self.place + self.sentence }

    private var place: String {
        switch self.source {
        case .file(let path, let line?): "\(path):\(line): "
        case .file(let path, nil): "\(path): "
        case .environment(let variable): "environment variable \(variable): "
        case .flag(let flag): "\(flag): "
        case .specification, .nowhere: ""
        }
    }

    private var sentence: String {
        switch self.reason {
        case .unreadable(let why): "the file cannot be read: \(why)"
        case .syntax(let why): "not YAML: \(why)"
        case .unknownKey(let key, let nearest?): "there is no setting '\(key)'; did you mean '\(nearest)'?"
        case .unknownKey(let key, nil): "there is no setting '\(key)'; 'pgha config --print-defaults' shows all"
        case .missing(let key, let ways): "'\(key)' is not set; \(ways)"
        case .wrongValue(let key, let value, let expected):
            "'\(key)' is '\(Self.shortened(value))', but must be \(expected)"
        case .wrongShape(let key, let expected): "'\(key)' must be \(expected)"
        case .specification(let problem): "\(problem.message) \(problem.hint)"
        }
    }

    private static func shortened(_ value: String) -> String {
        value.count <= 60 ? value : value.prefix(57) + "..."
    }
}
