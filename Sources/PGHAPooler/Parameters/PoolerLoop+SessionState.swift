internal import PGHAWire

// What statements do to the session: settings are read back when the transaction is over and follow the client;
// what cannot follow binds the client to its server.
extension PoolerLoop {
    /// What has to be done about a statement, besides remembering what it does to the session.
    enum Inspection {
        case nothing
        /// EXECUTE, DEALLOCATE, or a look at what is prepared.
        case namesStatement
        /// This is sent in its place.
        case replaced(String)
    }

    /// Looks at a statement on its way to the server. Nearly all are told harmless at a glance.
    @inline(__always) mutating func inspect(
        _ client: ClientPointer, _ server: ServerPointer, _ text: UnsafeRawBufferPointer
    ) -> Inspection {
        AttentionTest.needsAttention(text) ? self.classify(client, server, text) : .nothing
    }

    @inline(never) private mutating func classify(
        _ client: ClientPointer, _ server: ServerPointer, _ text: UnsafeRawBufferPointer
    ) -> Inspection {
        let summary = self.classifier.classify(text, strings: self.stringSyntax(of: server))
        let effects = summary.effects
        if !self.configuration.authentication.allowsRiskySettings {
            // In a Query a parameter belongs to a PREPARE, whose EXECUTE would have to be looked into.
            let risks: StatementEffects = effects.contains(.setsByParameter) ? SettingRisk.all : []
            if let refusal = SettingRefusal(effects.union(risks)) { return .replaced(refusal.statement) }
        }
        if StatementClassifier.mentionsPosition(text), let inspection = self.takePosition(client, text) {
            return inspection
        }
        if !effects.isDisjoint(with: [.resetsAll, .discardsAll]) { self.demand(nil, client) }
        guard !effects.isDisjoint(with: .sessionBound) else { return .nothing }
        let name = summary.name(in: text)
        if !effects.isDisjoint(with: [.sets, .resets, .resetsAll, .callsSetConfig]) {
            let touch = server.pointee.touch?.takeUnretainedValue() ?? SessionTouch()
            if server.pointee.touch == nil { server.pointee.touch = Unmanaged.passRetained(touch) }
            if let name { touch.names.insert(WireText(name.bytes.map(ParameterName.lowercased))) }
        }
        // Of several statements one name is known at most.
        let reason = PinReason(effects, hasName: name != nil && summary.count == 1)
        if reason != .none { self.pin(client, reason) }
        // Otherwise the server knows what the client calls its statements.
        guard self.translates(client) else { return .nothing }
        return effects.isDisjoint(with: .namesStatement.union(.readsStatements)) ? .nothing : .namesStatement
    }

    /// How the session reads backslashes, as far as its server has said.
    func stringSyntax(of server: ServerPointer) -> StringSyntax {
        let value = server.pointee.parameters?.takeUnretainedValue().value(of: "standard_conforming_strings")
        return value == "on" ? .standard : value == "off" ? .escaping : .unknown
    }

    /// The client keeps its server from now on.
    mutating func pin(_ client: ClientPointer, _ reason: PinReason) {
        if client.pointee.pinReason == .sessionMode { client.pointee.flags.insert(.holdsState) }
        guard client.pointee.pinReason == .none else { return }
        client.pointee.pinReason = reason
        client.pointee.flags.insert(.pinned)
        client.pointee.pool?.pointee.statistics.pins[Int(reason.rawValue)] &+= 1
    }

    /// DISCARD ALL was done: nothing binds the client to its server any more.
    mutating func unpin(_ client: ClientPointer) {
        client.pointee.flags.subtract([.holdsState, .ownNames])
        guard client.pointee.pinReason != .none, client.pointee.pinReason != .sessionMode else { return }
        client.pointee.pinReason = .none
        client.pointee.flags.remove(.pinned)
    }

    // MARK: - Settings

    /// The transaction is over and may have changed settings: the server is asked before anybody else gets it. What
    /// the client sends meanwhile stays in its socket.
    mutating func readSettings(_ client: ClientPointer, _ server: ServerPointer) {
        guard let touch = server.pointee.touch?.takeUnretainedValue(),
            let set = server.pointee.parameters?.takeUnretainedValue(),
            let base = server.pointee.pool.pointee.welcome?.takeUnretainedValue().base
        else { return }
        let known = set.settings.map(\.name).filter { base.value(of: $0) == nil }
        client.pointee.phase = .settling
        self.out.removeAll()
        self.inject(server, String(decoding: touch.query(also: known), as: UTF8.self))
        self.flush(to: server)
    }

    /// The server has answered: its settings, and the client's, are what it said.
    mutating func settingsRead(_ client: ClientPointer, _ server: ServerPointer) {
        let touch = server.pointee.touch?.takeRetainedValue()
        server.pointee.touch = nil
        client.pointee.phase = .active
        guard !server.pointee.flags.contains(.cleaningFailed), let touch,
            let base = server.pointee.pool.pointee.welcome?.takeUnretainedValue().base
        else {
            client.pointee.server = nil
            server.pointee.client = nil
            self.dropServer(server)
            return self.refuse(client, .connectionFailure, "the session's settings could not be read")
        }
        let names = Set(touch.rows.map(\.name))
        let settings = base.settings.filter { !names.contains($0.name) } + touch.rows
        self.parameterTable.release(server.pointee.parameters)
        server.pointee.parameters = self.parameterTable.retain(settings)
        self.parameterTable.release(client.pointee.parameters)
        client.pointee.parameters = self.parameterTable.retain(settings)
        if client.pointee.flags.contains(.pinned) {
            return self.isChangingLeader ? self.park(client, server) : self.schedule(client)
        }
        self.detach(client, server)
        self.schedule(client)
    }
}
