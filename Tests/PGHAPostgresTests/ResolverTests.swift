import Glibc
import PGHAPostgres
import Synchronization
import Testing

/// Name servers that answer late, or never.
@Suite(.timeLimit(.minutes(1))) struct ResolverTests {
    @Test func aLateAnswerHoldsUpItsCallerForNoLongerThanItsDeadlineAndNobodyElse() async {
        let lookUps = Atomic<Int>(0)
        let mayAnswer = Atomic<Bool>(false)
        let resolver = AddressResolver { host in
            lookUps.add(1, ordering: .relaxed)
            while !mayAnswer.load(ordering: .relaxed) { usleep(1000) }
            return ["10.0.0.1"]
        }
        // Many times the cooperative threads of this machine: were they blocked, this would not end.
        let answers = await withTaskGroup(of: [String].self) { group in
            for number in 0..<64 {
                group.addTask {
                    await resolver.addresses(of: "db\(number % 8).example", until: .now + .milliseconds(100))
                }
            }
            return await group.reduce(into: [[String]]()) { $0.append($1) }
        }
        #expect(answers == Array(repeating: [], count: 64))
        mayAnswer.store(true, ordering: .relaxed)
        // One question for each name, whose answer serves whoever asks later.
        #expect(await resolver.addresses(of: "db3.example", until: .now + .seconds(30)) == ["10.0.0.1"])
        #expect(lookUps.load(ordering: .relaxed) == 8)
    }

    @Test func anAddressThatWorkedIsUsedWhileTheNameServerFails() async {
        let isBroken = Atomic<Bool>(false)
        let resolver = AddressResolver { _ in isBroken.load(ordering: .relaxed) ? [] : ["10.0.0.7"] }
        #expect(await resolver.addresses(of: "db.example", until: .now + .seconds(30)) == ["10.0.0.7"])
        isBroken.store(true, ordering: .relaxed)
        resolver.expire("db.example")
        #expect(await resolver.addresses(of: "db.example", until: .now + .seconds(30)) == ["10.0.0.7"])
        #expect(await resolver.addresses(of: "other.example", until: .now + .seconds(30)) == [])
    }

    /// With the old answer the connection still has nearly all of its time.
    @Test func aSilentNameServerDoesNotUseUpTheTimeForTheConnection() async {
        let isSilent = Atomic<Bool>(false)
        let resolver = AddressResolver { _ in
            while isSilent.load(ordering: .relaxed) { usleep(10_000) }
            return ["10.0.0.7"]
        }
        #expect(await resolver.addresses(of: "db.example", until: .now + .seconds(60)) == ["10.0.0.7"])
        isSilent.store(true, ordering: .relaxed)
        resolver.expire("db.example")
        let began = ContinuousClock.now
        #expect(await resolver.addresses(of: "db.example", until: .now + .seconds(60)) == ["10.0.0.7"])
        #expect(ContinuousClock.now - began < .seconds(30))
        isSilent.store(false, ordering: .relaxed)
    }
}
