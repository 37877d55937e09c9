import Foundation
import PGHACore

/// The state as JSON with sorted keys: equal states are equal texts.
enum StateCoding {
    static func encode(_ state: ClusterState) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(state), as: UTF8.self)
    }

    static func decode(_ text: String) throws(StoreError) -> ClusterState {
        do {
            return try JSONDecoder().decode(ClusterState.self, from: Data(text.utf8))
        } catch {
            throw .damaged("the state cannot be read: \(error)")
        }
    }
}
