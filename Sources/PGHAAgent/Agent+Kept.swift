import Logging
import PGHAClient
import PGHACore

/// What is kept of diverged servers, for people who look at it and throw it away. Beside the agent's work: what is kept is
/// complete, and nothing but its removal changes it.
extension Agent {
    func divergedList() async -> DivergedList {
        let places = DivergedPlaces(self.directory)
        return await Offload.run { DivergedList(entries: places.names.compactMap { places.entry($0)?.brief }) }
    }

    /// Throws ``AgentFailure`` when there is no such thing.
    func diverged(_ text: String) async throws -> DivergedEntry {
        let places = DivergedPlaces(self.directory)
        let entry = await Offload.run { DivergedName(text).flatMap { places.entry($0) } }
        guard let entry else { throw Refusal.unknownDiverged(text) }
        return entry
    }

    /// Removes it for good and answers with what it was.
    func dropDiverged(_ text: String) async throws -> DivergedEntry {
        let entry = try await self.diverged(text)
        do {
            guard let name = DivergedName(text), try await self.removeDiverged(name) else {
                throw Refusal.unknownDiverged(text)
            }
        } catch {
            throw Refusal.other(error)
        }
        self.logger.notice(
            "removed what was kept of a diverged server, as asked",
            metadata: ["directory": "\(entry.path)", "bytes": "\(entry.diskBytes)"])
        await self.refreshCheapFacts(.changed)
        return entry.brief
    }

    /// False when it is not there. Tablespaces that a whole data directory points to go with it where the agent made them.
    func removeDiverged(_ name: DivergedName) async throws -> Bool {
        let directory = self.directory
        return try await Offload.run {
            guard let path = DivergedPlaces(directory).path(name) else { return false }
            if name.isWholeData { try directory.removeData(path) } else { try DurableFile.removeTree(path) }
            return true
        }
    }
}
