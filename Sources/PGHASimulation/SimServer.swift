import PGHACore

/// One WAL record: identity tells apart what equal positions and timeline ids do not.
struct WALRecord: Hashable {
    enum Kind: UInt8 { case filler, commit, promotion, row }
    var id: Int
    var kind: Kind
}

/// Whom a standby streams from, and under which name.
struct Upstream: Hashable {
    var leader: Int
    var name: ReplicationName
}

/// What stands in `postgresql.auto.conf`.
struct SimSettings: Hashable {
    var pledge: Pledge?
    var upstream: Upstream?
    var list: SyncList = .fence
}

/// A PostgreSQL server: WAL, timelines, walsenders, receiver, and when each process takes a setting over.
final class SimServer {
    enum Process { case stopped, starting, running, stopping }

    struct Receiver {
        var id: Int
        var upstream: Upstream
        var isStreaming = false
        var lastMessage: Int64
    }

    struct Sender {
        var id: Int
        var standby: Int
        var name: ReplicationName
        var sent: Int
        var flushed: Int
        var isStreaming = false
        var isBusy = false
        var busySince: Int64 = 0
        var list: SyncList
        var lastReply: Int64

        var priority: Int {
            switch self.list {
            case .fence, .none: 0
            case .any(_, let names): names.contains(self.name) ? 1 : 0
            case .marked(_, let names): names.sorted().firstIndex(of: self.name).map { $0 + 2 } ?? 0
            }
        }
    }

    unowned let sim: Simulation
    let index: Int
    let name: NodeName

    // On disk.
    var exists = false
    var systemIdentifier: UInt64 = 0
    var wal: [WALRecord] = []
    var timeline: UInt32 = 1
    var forks: [TimelineHistory.Fork] = []
    /// The greatest timeline id whose history file it has.
    var highestTimeline: UInt32 = 1
    var standbySignal = false
    var file = SimSettings()
    var stoppedCleanly = false
    /// Somebody promoted it by hand, and its data was not replaced since.
    var isHandmade = false
    /// No WAL can be written.
    var isDiskFull = false

    // The host.
    var hasPower = true
    var isFrozen = false
    var thawed: [() -> Void] = []
    private var frozenSince: Int64 = 0
    /// How long the host stood still in all, and when it last went on. Microseconds.
    private(set) var frozenFor: Int64 = 0
    private(set) var thawedAt = -Int64.s(1000)

    // The processes; gone with them.
    var process: Process = .stopped
    /// Grows with every start and end, so that events of an earlier life do nothing.
    var life = 0
    var startedAt: Int64 = 0
    var inRecovery = false
    /// The startup process's own copy.
    var loadedUpstream: Upstream?
    var receiver: Receiver?
    var senders: [Sender] = []
    /// Shared memory: whether commits wait at all. The checkpointer sets it.
    var commitsWait = true
    /// Up to where walsenders have released commits (a count of records).
    var released = 0
    var waiting: [Int] = []
    var lockHolder: Int?
    /// Only in a wrong variant: where its WAL ended before it was sealed.
    var earlyPosition: WALPosition?
    /// Reloads take up to this long more, while the fault lasts. Microseconds.
    var reloadBrake: Int64 = 0

    init(_ index: Int, _ sim: Simulation) {
        self.index = index
        self.sim = sim
        guard let name = NodeName("n\(index)") else { preconditionFailure("a node name") }
        self.name = name
    }

    // MARK: - Positions

    static let base: UInt64 = 0x0100_0000
    static let recordBytes: UInt64 = 64

    static func lsn(_ count: Int) -> LSN { LSN(Self.base + UInt64(count) * Self.recordBytes) }
    static func count(_ lsn: LSN) -> Int { Int((lsn.byteOffset - Self.base) / Self.recordBytes) }

    var end: LSN { Self.lsn(self.wal.count) }
    var history: TimelineHistory { TimelineHistory(timeline: TimelineID(self.timeline), forks: self.forks) }
    var position: WALPosition { WALPosition(history: self.history, end: self.end) }

    var isPrimary: Bool { self.process == .running && !self.inRecovery }
    var isStandby: Bool { self.process == .running && self.inRecovery }

    // MARK: - Running code on the server

    /// Runs when the process of this life still is there; a frozen one waits for its thaw.
    func later(_ delay: Int64, _ body: @escaping () -> Void) {
        let life = self.life
        self.sim.after(delay) { [unowned self] in self.ifAlive(life, body) }
    }

    func ifAlive(_ life: Int, _ body: @escaping () -> Void) {
        guard self.life == life else { return }
        if self.isFrozen {
            self.thawed.append { [unowned self] in if self.life == life { body() } }
        } else {
            body()
        }
    }

    // MARK: - Life

    func start() {
        guard self.hasPower, self.exists, self.process == .stopped else { return }
        self.process = .starting
        self.life += 1
        self.sim.hurt(self.index)
        self.stoppedCleanly = false
        let long = self.sim.chance(50)
        self.later(long ? self.sim.between(.s(1), .s(4)) : self.sim.between(.ms(40), .ms(400))) { [unowned self] in
            if self.isDiskFull {
                self.kill()
                return
            }
            self.sim.hurt(self.index)
            self.process = .running
            self.startedAt = self.sim.now
            self.inRecovery = self.standbySignal
            self.loadedUpstream = self.file.upstream
            self.commitsWait = self.file.list != .none
            self.released = 0
            self.sim.trace(self.name.text, "runs as \(self.inRecovery ? "standby" : "primary") at \(self.describe)")
            self.beat()
            if self.inRecovery { self.lookForUpstream(in: .ms(5)) } else { self.serveClients() }
        }
    }

    var describe: String {
        "\(self.history.segments.map { "\($0.timeline)\($0.begin.map { "@\($0)" } ?? "")" }.joined(separator: ">")) "
            + "\(self.end)"
    }

    /// The processes are gone at once, as by SIGKILL; sockets are reset unless the host went with them.
    func kill(closingSockets: Bool = true, clean: Bool = false) {
        guard self.process != .stopped else { return }
        self.sim.trace(self.name.text, clean ? "stopped cleanly" : "killed")
        self.process = .stopped
        self.life += 1
        self.sim.hurt(self.index)
        self.stoppedCleanly = clean
        let senders = self.senders
        let receiver = self.receiver
        self.senders = []
        self.receiver = nil
        self.waiting = []
        self.lockHolder = nil
        self.earlyPosition = nil
        self.thawed = self.isFrozen ? self.thawed : []
        if closingSockets {
            for sender in senders { self.closeReceiver(sender) }
            if let receiver { self.closeSender(receiver) }
        }
        self.sim.agents[self.index].postmasterChanged()
    }

    /// `pg_ctl stop -m fast`: no more clients, streaming standbys get everything, the shutdown checkpoint included.
    func stopCleanly(_ done: @escaping () -> Void) {
        guard self.process == .running else {
            self.kill()
            done()
            return
        }
        self.process = .stopping
        self.waiting = []
        if !self.inRecovery { self.append(.filler) }
        let deadline = self.sim.now + .s(4)
        let life = self.life
        func poll() {
            guard self.life == life else {
                done()
                return
            }
            let behind = self.senders.contains { $0.isStreaming && $0.flushed < self.wal.count }
            if self.isFrozen || (behind && self.sim.now < deadline) {
                self.sim.after(.ms(5), poll)
            } else {
                self.kill(clean: !behind)
                done()
            }
        }
        self.sim.after(self.sim.between(.ms(20), .ms(80)), poll)
    }

    func freeze() {
        self.isFrozen = true
        self.frozenSince = self.sim.now
    }

    func thaw() {
        self.isFrozen = false
        self.frozenFor += self.sim.now - self.frozenSince
        self.thawedAt = self.sim.now
        let waiting = self.thawed
        self.thawed = []
        for body in waiting { body() }
    }

    /// Timers of the running server: keepalives, time-outs, the heartbeat row.
    private func beat() {
        self.later(.s(1)) { [unowned self] in
            guard self.process == .running || self.process == .stopping else { return }
            if !self.inRecovery, self.process == .running { self.append(.filler) }
            self.expireConnections()
            self.beat()
        }
    }

    // MARK: - WAL

    func append(_ kind: WALRecord.Kind) {
        self.wal.append(WALRecord(id: self.sim.makeID(), kind: kind))
        self.pumpAll()
    }

    /// A promotion that was ordered takes effect, whoever ordered it and whether or not anybody still waits.
    func becomePrimary() {
        guard self.process == .running, self.inRecovery else { return }
        self.highestTimeline += 1
        self.forks.append(.init(parent: TimelineID(self.timeline), at: self.end))
        self.timeline = self.highestTimeline
        self.inRecovery = false
        self.standbySignal = false
        if self.sim.options.variant == .listAfterPromotion {
            self.file.list = .none
            self.checkpointerLoads()
        }
        if let receiver = self.receiver { self.closeSender(receiver) }
        self.receiver = nil
        let senders = self.senders
        self.senders = []
        for sender in senders { self.closeReceiver(sender) }
        self.append(.promotion)
        self.sim.trace(self.name.text, "is a primary now: \(self.describe)")
        self.serveClients()
    }

    // MARK: - Settings

    /// SIGHUP: a new session sees the file at once; each process takes it over in its own time.
    func reload() {
        if self.inRecovery { self.later(self.reloadDelay()) { [unowned self] in self.startupLoads() } }
        self.later(self.reloadDelay()) { [unowned self] in self.checkpointerLoads() }
        for sender in self.senders {
            self.later(self.reloadDelay()) { [unowned self] in
                guard let at = self.senders.firstIndex(where: { $0.id == sender.id }) else { return }
                self.senders[at].list = self.file.list
            }
        }
    }

    private func reloadDelay() -> Int64 {
        let roll = self.sim.between(0, 99)
        let base: Int64 =
            switch roll {
            case 0..<2 where !self.sim.healed: self.sim.between(.ms(200), .ms(1500))
            case 2..<10: self.sim.between(.ms(5), .ms(60))
            default: self.sim.between(200, .ms(3))
            }
        return base + (self.reloadBrake > 0 ? self.sim.between(0, self.reloadBrake) : 0)
    }

    private func checkpointerLoads() {
        self.commitsWait = self.file.list != .none
        guard !self.commitsWait else { return }
        self.release(self.wal.count)
    }

    private func startupLoads() {
        guard self.inRecovery, self.loadedUpstream != self.file.upstream else { return }
        self.loadedUpstream = self.file.upstream
        guard let receiver = self.receiver else { return }
        // The receiver goes on, and goes on acknowledging, until it has noticed.
        self.later(self.sim.chance(100) ? self.sim.between(.ms(20), .ms(800)) : self.sim.between(200, .ms(10))) {
            [unowned self] in self.endReceiver(receiver.id)
        }
    }
}
