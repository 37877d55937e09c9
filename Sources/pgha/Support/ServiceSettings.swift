import ArgumentParser
import Foundation
import Logging
import PGHAConfiguration
import PGHAObservability

/// What `pgha controller` and `pgha agent` have in common: a file, the environment, flags, and the log.
struct ServiceOptions: ParsableArguments {
    @Option(name: .long, help: "A configuration file; PGHA_… in the environment goes over it, flags over both.")
    var config: String?

    @Option(name: .long, help: "trace, debug, info, notice, warning or error.")
    var logLevel: String?

    @Option(name: .long, help: "logfmt or json.")
    var logFormat: String?

    /// The file's path and text; nil without `--config`.
    func file() throws -> (path: String, text: String)? {
        guard let config = self.config else { return nil }
        return (config, try ConfigurationFile.read(config))
    }

    /// The flags given, by the key of their setting.
    func flags(_ others: [String: String?]) -> [String: String] {
        var flags = others.compactMapValues { $0 }
        flags["log_level"] = self.logLevel
        flags["log_format"] = self.logFormat
        return flags
    }
}

extension LogConfiguration {
    /// Also what libraries log, with the same level and format.
    func start(label: String) -> Logger {
        let format = StructuredLogHandler.Format(rawValue: self.format.rawValue) ?? .logfmt
        let level = Logger.Level(rawValue: self.level) ?? .info
        LoggingSystem.bootstrap { StructuredLogHandler(label: $0, level: level, format: format) }
        return Logger(label: label)
    }
}

extension ArgumentHelp {
    /// What the settings' table says of the flag for `key`, so that help, file and errors say the same.
    static func setting(_ key: String, of place: Setting.Place) -> ArgumentHelp {
        guard let setting = SettingTable.setting(key, of: place) else {
            preconditionFailure("there is no setting \(place.rawValue).\(key)")
        }
        let fallback: String =
            switch setting.fallback {
            case .value(let text): " (\(text))"
            case .unset, .required: ""
            }
        // The first sentence; the rest is on the settings page.
        let sentence = setting.reason.split(separator: ". ", maxSplits: 1).first.map(String.init) ?? ""
        return ArgumentHelp(
            (sentence.hasSuffix(".") ? String(sentence.dropLast()) : sentence) + "\(fallback).",
            valueName: setting.kind.valueName)
    }
}

extension SettingKind {
    /// In usage texts: `--pool-size <number>`.
    fileprivate var valueName: String {
        switch self {
        case .choice: "word"
        case .boolean: "true|false"
        case .duration, .bytes, .integer, .name, .nodeName, .host, .listenAddress, .agentURL, .urls, .addresses, .names,
            .path, .text:
            self.unit.lowercased()
        }
    }
}

/// A failure whose text is for the operator as it stands.
struct CommandFailure: Error, CustomStringConvertible {
    var description: String
    init(_ description: String) { self.description = description }
}
