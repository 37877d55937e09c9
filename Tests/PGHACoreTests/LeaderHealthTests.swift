import PGHACore
import Testing

@Suite struct LeaderHealthTests {
    private let b = node("b"), c = node("c")

    /// Healthy at 100 ms, followed by `b` and `c`.
    private func healthy() -> LeaderHealth {
        var health = LeaderHealth(timings: Timings(), at: at(0))
        health.leaderAnswered(.success(primary(at: 10)), began: at(90), ended: at(100))
        health.standbyAnswered(self.b, standby(at: 10), began: at(90), ended: at(100))
        health.standbyAnswered(self.c, standby(at: 10), began: at(90), ended: at(100))
        return health
    }

    private func fail(_ health: inout LeaderHealth, _ failure: ProbeFailure, _ times: [Int64]) {
        for time in times { health.leaderAnswered(.failure(failure), began: at(time), ended: at(time + 5)) }
    }

    @Test func oneGoodAnswerIsHealthyUntilItIsTooOld() {
        let health = self.healthy()
        #expect(health.verdict(at: at(200)) == .healthy)
        #expect(health.verdict(at: at(3100)) == .suspect("no fresh answer yet"))
    }

    @Test func nothingIsJudgedBeforeThereIsEvidence() {
        let health = LeaderHealth(timings: Timings(), at: at(0))
        #expect(health.verdict(at: at(60_000)) == .suspect("no fresh answer yet"))
    }

    @Test func refusedTwiceWithoutAReceiverAnywhereIsDead() {
        var health = self.healthy()
        self.fail(&health, .refused, [200, 220])
        #expect(health.verdict(at: at(225)) != .replace(.refused))
        health.standbyAnswered(self.b, standby(at: 10, receiving: false), began: at(221), ended: at(224))
        #expect(health.verdict(at: at(225)) == .replace(.refused))
    }

    @Test func refusedWhileAStandbyStillReceivesIsAFirewall() {
        var health = self.healthy()
        self.fail(&health, .refused, [200, 220])
        health.standbyAnswered(self.b, standby(at: 10, receiving: false), began: at(221), ended: at(224))
        health.standbyAnswered(self.c, standby(at: 10, receiving: true), began: at(221), ended: at(224))
        #expect(health.verdict(at: at(225)) == .suspect("no answer for 125 ms"))
    }

    @Test func theAgentsWordOfAnExitIsEnough() {
        var health = self.healthy()
        health.agentReported(running: false, at: at(150))
        #expect(health.verdict(at: at(151)) == .replace(.postmasterExited))
        health.agentReported(running: true, at: at(160))
        #expect(health.verdict(at: at(161)) == .healthy)
    }

    @Test func anAnswerToALaterProbeOverrulesTheAgent() {
        var health = self.healthy()
        health.agentReported(running: false, at: at(150))
        health.leaderAnswered(.success(primary(at: 11)), began: at(200), ended: at(205))
        #expect(health.verdict(at: at(206)) == .healthy)
    }

    @Test func silenceForTheConfirmationTimeOverTwoAttemptsIsUnreachable() {
        var health = self.healthy()
        self.fail(&health, .timedOut, [200])
        health.standbyAnswered(self.b, standby(at: 10), began: at(1190), ended: at(1195))
        #expect(health.verdict(at: at(1200)) == .suspect("no answer for 1100 ms"))
        self.fail(&health, .timedOut, [700])
        #expect(health.verdict(at: at(1200)) == .replace(.unreachable))
    }

    @Test func silenceOfEverybodyIsOurs() {
        var health = self.healthy()
        self.fail(&health, .timedOut, [200, 600])
        #expect(health.verdict(at: at(3000)) == .inconclusive("no server answers: the fault may be on this side"))
    }

    @Test func aStandbysProgressVetoesUntilItsLimit() {
        var health = self.healthy()
        self.fail(&health, .timedOut, [200, 600, 1000])
        for step in 1...60 {
            let time = Int64(step) * 200
            health.standbyAnswered(self.b, standby(at: 10 + UInt64(step)), began: at(time), ended: at(time + 5))
        }
        #expect(
            health.verdict(at: at(9900)) == .inconclusive("it does not answer, but a standby still receives from it"))
        #expect(health.verdict(at: at(12_010)) == .replace(.unreachable))
    }

    @Test func tooManyClientsIsNeverDead() {
        var health = self.healthy()
        self.fail(&health, .aliveBut(code: "53300", message: "too many clients already"), [200, 400, 2000, 9000])
        #expect(health.verdict(at: at(9100)) == .suspect("it answers with an error"))
    }

    @Test func startingUpIsAliveUntilPatienceEnds() {
        var health = self.healthy()
        self.fail(&health, .startingUp, [200, 5000, 10_100])
        #expect(health.verdict(at: at(10_150)) == .suspect("it is starting up"))
        #expect(health.verdict(at: at(10_201)) == .replace(.stuckStarting))
    }

    @Test func aLeaderInRecoveryWasDemoted() {
        var health = self.healthy()
        health.leaderAnswered(.success(standby(at: 10)), began: at(200), ended: at(205))
        #expect(health.verdict(at: at(210)) == .replace(.demoted))
    }

    @Test func aControllerThatWasLateStartsOver() {
        var health = self.healthy()
        health.tick(at: at(100))
        self.fail(&health, .timedOut, [200, 600])
        health.tick(at: at(5000))
        health.standbyAnswered(self.b, standby(at: 10), began: at(5001), ended: at(5002))
        #expect(health.verdict(at: at(5003)) == .suspect("no fresh answer yet"))
    }
}
