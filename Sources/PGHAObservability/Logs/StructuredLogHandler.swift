package import Logging

/// Writes each message as one line of logfmt or JSON: time, level, logger, message, then the metadata by key.
///
/// Messages are constants, values are in the metadata. What is secret never gets here; as a second fence values
/// under keys like `password` are written as `***`, and so are passwords inside connection strings.
package struct StructuredLogHandler: LogHandler {
    package enum Format: String, Hashable, Sendable, CaseIterable {
        case logfmt, json
    }

    package var metadata: Logger.Metadata = [:]
    package var logLevel: Logger.Level
    package var metadataProvider: Logger.MetadataProvider?
    private let label: String
    private let format: Format
    private let output: LineOutput
    /// Microseconds since 1970.
    private let now: @Sendable () -> Int64

    package init(
        label: String, level: Logger.Level = .info, format: Format = .logfmt, output: LineOutput = .standardError,
        now: @escaping @Sendable () -> Int64 = WallClockText.now
    ) {
        self.label = label
        self.logLevel = level
        self.format = format
        self.output = output
        self.now = now
    }

    package subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { self.metadata[key] }
        set { self.metadata[key] = newValue }
    }

    package func log(event: LogEvent) {
        var metadata = self.metadata
        if let provided = self.metadataProvider?.get() { metadata.merge(provided) { $1 } }
        if let own = event.metadata { metadata.merge(own) { $1 } }
        if let error = event.error { metadata["error"] = "\(error)" }
        var fields: [(String, LogField)] = [
            ("time", .text(WallClockText.text(self.now()))), ("level", .text(event.level.rawValue)),
            ("logger", .text(self.label)), ("msg", .text("\(event.message)")),
        ]
        let reserved = Set(fields.map(\.0))
        for (key, value) in metadata.sorted(by: { $0.key < $1.key }) {
            let name = reserved.contains(key) ? "meta_\(key)" : key
            fields.append((name, LogRedaction.field(value, under: key)))
        }
        switch self.format {
        case .logfmt: self.output.write(LogField.logfmt(fields))
        case .json: self.output.write(LogField.json(fields))
        }
    }
}

extension StructuredLogHandler {
    /// Makes this the handler of every logger of the process; to be called once, first of all.
    package static func bootstrap(level: Logger.Level, format: Format, output: LineOutput = .standardError) {
        LoggingSystem.bootstrap { label in
            StructuredLogHandler(label: label, level: level, format: format, output: output)
        }
    }
}
