import PGHAClient
import PGHACommand
import PGHACore

/// The end in order, and what an end without order left.
extension Demo {
    /// Agents and controllers that a killed demo left. Their servers stay: the new agents adopt them.
    func stopLeftovers() async {
        for role in self.roles {
            guard let process = ProcessRecord.process(at: self.record(role.name)) else { continue }
            self.say("\(role.name) of an earlier demo still runs: stopping it")
            await process.stop(within: .seconds(10))
        }
    }

    /// The controller first, or it would take what follows for failures; the leader before its standbys, which
    /// then have all of its WAL.
    func stopAll() async {
        self.isStopping = true
        guard !self.processes.isEmpty else { return }
        self.say("stopping")
        if let pooler = self.processes["pooler"] { await pooler.stop(within: .seconds(10)) }
        if let controller = self.processes["controller"] { await controller.stop(within: .seconds(10)) }
        let leader = self.lastStatus?.leader
        let names = self.layout.names
        for name in names where name.text == leader { await self.stopServer(name) }
        await withTaskGroup(of: Void.self) { group in
            for name in names where name.text != leader { group.addTask { await self.stopServer(name) } }
        }
        for name in names {
            guard let agent = self.processes["agent-\(name)"] else { continue }
            await agent.stop(within: .seconds(10))
        }
        self.say(self.isEphemeral ? "stopped; the data is removed" : "stopped; the data is in \(self.layout.directory)")
    }

    /// Through its agent, which may still be at work: then it is asked again.
    private func stopServer(_ name: NodeName) async {
        guard let index = self.layout.names.firstIndex(of: name), self.processes["agent-\(name)"] != nil,
            let token = try? BearerToken.read(path: self.layout.tokenFile)
        else { return }
        let client = AgentClient(
            baseURL: self.layout.agentURL(index), token: WireSecret(token.value), httpClient: .failingFast)
        let deadline = ContinuousClock.now + .seconds(20)
        while true {
            do {
                try await client.stop(StopRequest(mode: .fast), timeout: .seconds(30))
                return self.say("\(name) stopped")
            } catch let failure as AgentFailure where failure.code == "busy" && ContinuousClock.now < deadline {
                try? await Task.sleep(for: .milliseconds(100))
            } catch let failure as AgentFailure {
                return self.sayStillRunning(name, failure.message)
            } catch {
                return self.sayStillRunning(name, "its agent does not answer")
            }
        }
    }

    private func sayStillRunning(_ name: NodeName, _ why: String) {
        guard let postmaster = PostmasterLines(path: self.layout.postmasterFile(name)), postmaster.isAlive else {
            return
        }
        self.say("\(name) was not stopped (\(why)): process \(postmaster.pid) still runs", .warning)
    }
}
