internal import CLibpq
package import PGHACore

/// One row of a result, in text form. Reading a column that is missing, NULL or of another type is an error,
/// never a default: a probe that guesses would invent a primary.
package struct Row: Sendable {
    /// Column name to index; shared by the rows of a result.
    private let columns: [String: Int]
    private let values: [String?]

    package init(columns: [String: Int], values: [String?]) {
        self.columns = columns
        self.values = values
    }

    package func stringIfPresent(_ name: String) throws(PostgresError) -> String? {
        guard let index = self.columns[name] else {
            throw PostgresError(.undecodable, message: "the result has no column \(name)")
        }
        return self.values[index]
    }

    package func string(_ name: String) throws(PostgresError) -> String {
        guard let value = try self.stringIfPresent(name) else {
            throw PostgresError(.undecodable, message: "column \(name) is NULL")
        }
        return value
    }

    package func int64(_ name: String) throws(PostgresError) -> Int64 { try self.decode(name, "int64") { Int64($0) } }
    package func int64IfPresent(_ name: String) throws(PostgresError) -> Int64? {
        try self.decodeIfPresent(name, "int64") { Int64($0) }
    }

    package func int(_ name: String) throws(PostgresError) -> Int { try self.decode(name, "int") { Int($0) } }
    package func intIfPresent(_ name: String) throws(PostgresError) -> Int? {
        try self.decodeIfPresent(name, "int") { Int($0) }
    }

    package func int32(_ name: String) throws(PostgresError) -> Int32 { try self.decode(name, "int32") { Int32($0) } }

    package func double(_ name: String) throws(PostgresError) -> Double {
        try self.decode(name, "double") { Double($0) }
    }
    package func doubleIfPresent(_ name: String) throws(PostgresError) -> Double? {
        try self.decodeIfPresent(name, "double") { Double($0) }
    }

    package func bool(_ name: String) throws(PostgresError) -> Bool { try self.decode(name, "bool", Self.bool) }
    package func boolIfPresent(_ name: String) throws(PostgresError) -> Bool? {
        try self.decodeIfPresent(name, "bool", Self.bool)
    }

    package func lsn(_ name: String) throws(PostgresError) -> LSN { try self.decode(name, "pg_lsn") { LSN($0) } }
    package func lsnIfPresent(_ name: String) throws(PostgresError) -> LSN? {
        try self.decodeIfPresent(name, "pg_lsn") { LSN($0) }
    }

    package func timeline(_ name: String) throws(PostgresError) -> TimelineID {
        try self.decode(name, "timeline") { UInt32($0).map { TimelineID($0) } }
    }
    package func timelineIfPresent(_ name: String) throws(PostgresError) -> TimelineID? {
        try self.decodeIfPresent(name, "timeline") { UInt32($0).map { TimelineID($0) } }
    }

    /// Decodes with the caller's own parser; NULL and a parser's nil are errors. `type` names it in the error.
    package func decode<Value>(
        _ name: String, _ type: String, _ parse: (String) -> Value?
    ) throws(PostgresError) -> Value {
        guard let value = try self.decodeIfPresent(name, type, parse) else {
            throw PostgresError(.undecodable, message: "column \(name) is NULL")
        }
        return value
    }

    /// As ``decode(_:_:_:)``, with NULL as nil.
    package func decodeIfPresent<Value>(
        _ name: String, _ type: String, _ parse: (String) -> Value?
    ) throws(PostgresError) -> Value? {
        guard let text = try self.stringIfPresent(name) else { return nil }
        guard let value = parse(text) else {
            throw PostgresError(.undecodable, message: "column \(name) is not of type \(type): \(text.prefix(100))")
        }
        return value
    }

    private static func bool(_ text: String) -> Bool? {
        switch text {
        case "t": true
        case "f": false
        default: nil
        }
    }

    /// The rows of a result of status `PGRES_TUPLES_OK`.
    static func decode(result: OpaquePointer) throws(PostgresError) -> [Row] {
        var columns: [String: Int] = [:]
        for column in 0..<PQnfields(result) {
            guard let name = PQfname(result, column) else { continue }
            columns[String(cString: name)] = Int(column)
        }
        var rows: [Row] = []
        for row in 0..<PQntuples(result) {
            var values: [String?] = []
            for column in 0..<PQnfields(result) { values.append(try self.value(result, row, column)) }
            rows.append(Row(columns: columns, values: values))
        }
        return rows
    }

    private static func value(
        _ result: OpaquePointer, _ row: Int32, _ column: Int32
    ) throws(PostgresError) -> String? {
        guard PQgetisnull(result, row, column) == 0, let start = PQgetvalue(result, row, column) else { return nil }
        let bytes = UnsafeRawBufferPointer(start: start, count: Int(PQgetlength(result, row, column)))
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw PostgresError(.undecodable, message: "a value is not valid UTF-8")
        }
        return text
    }
}
