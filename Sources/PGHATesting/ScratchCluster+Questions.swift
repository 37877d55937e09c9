package import PGHAClient
package import PGHAPostgres

/// What tests ask a cluster's servers, and what they wait for there.
extension ScratchCluster {
    package func standbys() async throws -> [Node] {
        let leader = try await self.leader()
        return self.nodes.filter { $0.name != leader.name }
    }

    /// One statement as superuser, in a session of its own.
    @discardableResult
    package func query(_ sql: String, on node: Node, timeout: Duration = .seconds(20)) async throws -> [Row] {
        var parameters = self.parameters(node)
        // A busy machine may take longer than a client would.
        parameters.connectTimeout = timeout
        let session = try await PostgresConnection.open(parameters)
        do {
            let rows = try await session.query(sql, timeout: timeout)
            await session.close()
            return rows
        } catch {
            await session.close()
            throw error
        }
    }

    /// The column `value` of the first row.
    package func value(_ sql: String, on node: Node) async throws -> String? {
        try await self.query(sql, on: node).first?.stringIfPresent("value")
    }

    /// Waits until the column `holds` of the first row is true; errors of the server count as "not yet".
    package func wait(until condition: String, on node: Node, timeout: Duration = .seconds(60)) async throws {
        let deadline = ContinuousClock.now + timeout
        while ContinuousClock.now < deadline {
            let rows = try? await self.query("SELECT (\(condition)) AS holds", on: node)
            if (try? rows?.first?.boolIfPresent("holds")) == true { return }
            try await Task.sleep(for: .milliseconds(20))
        }
        throw ScratchFailure("\(node.name): did not come true within \(timeout): \(condition)")
    }

    /// Looks at the status for `duration`; what the rule says the first time that it is broken.
    package func firstBreach(
        for duration: Duration, _ rule: (StatusReport) -> String?
    ) async throws -> String? {
        let end = ContinuousClock.now + duration
        while ContinuousClock.now < end {
            if let broken = rule(try await self.status()) { return broken }
            try await Task.sleep(for: .milliseconds(50))
        }
        return nil
    }
}
