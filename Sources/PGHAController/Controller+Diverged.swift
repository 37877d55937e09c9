import Logging
package import PGHAClient
import PGHACore
import PGHAStore

/// What agents keep of servers that had diverged: asked of all of them, and noted in the history.
extension Controller {
    package func divergedReport() async -> DivergedReport {
        let answers = await self.askAgents { try await $0.diverged() }
        var report = DivergedReport(entries: [], unknown: [])
        for (node, answer) in answers.sorted(by: { $0.key < $1.key }) {
            switch answer {
            case .success(let entries): report.entries += entries
            case .failure(let error): report.unknown.append(.init(node: node.text, reason: Self.words(error)))
            }
        }
        report.entries.sort { $0.name < $1.name }
        return report
    }

    package func diverged(_ name: DivergedName) async throws(ControllerRefusal) -> DivergedEntry {
        try await self.theOne(name) { try await $0.diverged(name) }
    }

    package func dropDiverged(_ name: DivergedName) async throws(ControllerRefusal) -> DivergedEntry {
        let entry = try await self.theOne(name) { try await $0.dropDiverged(name) }
        self.logger.notice("diverged WAL was dropped as asked", metadata: ["name": "\(name)"])
        await self.append([
            HistoryEntry(
                unixMicroseconds: wallClockMicroseconds(), kind: DivergedNotes.kind,
                term: self.coordinator.state?.term ?? .zero, leader: self.coordinator.state?.rule?.leader,
                detail: "\(name) was dropped as asked: \(DivergedNotes.amount(entry))")
        ])
        return entry
    }

    /// The answer of the agent that has it: a node may have been renamed, or its directory moved.
    private func theOne(
        _ name: DivergedName, _ ask: @escaping @Sendable (any NodeAccess) async throws -> DivergedEntry
    ) async throws(ControllerRefusal) -> DivergedEntry {
        var silent: [String] = []
        for (node, answer) in await self.askAgents(ask) {
            switch answer {
            case .success(let entry): return entry
            case .failure(let failure as AgentFailure) where failure.code == "unknown_diverged": break
            case .failure(let error): silent.append("\(node): \(Self.words(error))")
            }
        }
        guard silent.isEmpty else {
            throw ControllerRefusal(
                code: "not_ready",
                message: "no agent that answers has '\(name)'; \(silent.sorted().joined(separator: "; "))",
                hint: "Start that agent and ask again.")
        }
        throw ControllerRefusal(
            code: "not_found", message: "no node keeps '\(name)'", hint: "See 'pgha diverged list'.")
    }

    private func askAgents<Answer: Sendable>(
        _ ask: @escaping @Sendable (any NodeAccess) async throws -> Answer
    ) async -> [NodeName: Result<Answer, any Error>] {
        let accesses = self.nodes.filter { $0.value.spec.agent != nil }.mapValues(\.access)
        return await withTaskGroup(of: (NodeName, Result<Answer, any Error>).self) { group in
            for (name, access) in accesses {
                group.addTask {
                    do {
                        return (name, .success(try await ask(access)))
                    } catch {
                        return (name, .failure(error))
                    }
                }
            }
            var answers: [NodeName: Result<Answer, any Error>] = [:]
            for await (name, answer) in group { answers[name] = answer }
            return answers
        }
    }

    private static func words(_ error: any Error) -> String {
        switch error {
        case let failure as AgentFailure: failure.message
        case is AgentClientError: "its agent is of another version"
        default: "its agent does not answer"
        }
    }

    // MARK: - The history

    /// Writes what `facts` name and the history has not. Whoever asked for the rejoin may be gone by its end, so this hangs
    /// on what is there and not on an answer; a write that fails is tried again with the next facts.
    func noteDiverged(_ facts: AgentFacts, _ access: any NodeAccess) {
        guard let names = facts.diverged, self.coordinator.state != nil, self.coordinator.halted == nil,
            self.divergedNotes.begin(names)
        else { return }
        self.start { await self.writeDiverged(access) }
    }

    private func writeDiverged(_ access: any NodeAccess) async {
        defer { self.divergedNotes.isWriting = false }
        do {
            if self.divergedNotes.known == nil {
                self.divergedNotes.read(try await self.store.history(limit: DivergedNotes.memory))
            }
            let new = try await access.diverged().filter { self.divergedNotes.known?.contains($0.name) == false }
            guard !new.isEmpty, await self.append(new.map(DivergedNotes.entry)) else { return }
            self.divergedNotes.known?.formUnion(new.map(\.name))
        } catch {
            self.logger.info("diverged WAL is not noted yet", metadata: ["error": "\(error)"])
        }
    }

    @discardableResult
    private func append(_ entries: [HistoryEntry]) async -> Bool {
        do {
            try await self.store.appendHistory(entries)
            return true
        } catch {
            self.logger.warning("the history was not written", metadata: ["error": "\(error)"])
            return false
        }
    }
}

/// Which saved WAL the history names already.
struct DivergedNotes {
    /// ``HistoryEntry/kind``.
    static let kind = "diverged"
    /// Entries of the history that are looked through after a start.
    static let memory = 10_000
    /// Relations that one entry names.
    private static let named = 5

    /// Names; nil until the history was read.
    var known: Set<String>?
    var isWriting = false

    /// Whether there may be something new among `names`; then the caller writes.
    mutating func begin(_ names: [String]) -> Bool {
        guard !self.isWriting, self.known?.isSuperset(of: names) != true else { return false }
        self.isWriting = true
        return true
    }

    mutating func read(_ history: [HistoryEntry]) {
        self.known = Set(
            history.filter { $0.kind == Self.kind }.flatMap { $0.detail.split { " :,".contains($0) } }
                .filter { DivergedName($0) != nil }.map(String.init))
    }

    static func entry(_ saved: DivergedEntry) -> HistoryEntry {
        HistoryEntry(
            unixMicroseconds: saved.savedAt * 1_000_000, kind: Self.kind, term: saved.summary?.term ?? .zero,
            leader: saved.summary?.leader, detail: "\(saved.name) was saved: \(Self.amount(saved))")
    }

    /// What was in it, in words.
    static func amount(_ saved: DivergedEntry) -> String {
        guard let summary = saved.summary else { return "data of \(saved.node) that could not be read" }
        let count = summary.commits == 1 ? "1 commit" : "\(summary.commits) commits"
        var words = summary.complete ? count : "at least \(count)"
        if let first = summary.firstCommit, let last = summary.lastCommit {
            let begin = UTC.text(unixSeconds: first / 1_000_000)
            let end = UTC.text(unixSeconds: last / 1_000_000)
            words += " from \(begin.date) \(begin.clock) to \(end.clock) UTC"
        }
        words += ", \(summary.bytes) bytes of WAL"
        guard !summary.relations.isEmpty else { return words }
        let others = summary.relations.count - Self.named
        return words + " to " + summary.relations.prefix(Self.named).joined(separator: ", ")
            + (others > 0 ? " and \(others) more" : "")
    }
}
