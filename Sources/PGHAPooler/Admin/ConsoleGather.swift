internal import Synchronization

/// Collects the loops' parts of one answer; whoever brings the last one gets all of them.
final class ConsoleGather: Sendable {
    private let state: Mutex<(parts: [ConsolePart], missing: Int)>

    init(count: Int) { self.state = Mutex(([], count)) }

    func add(_ part: ConsolePart) -> [ConsolePart]? {
        self.state.withLock { state in
            state.parts.append(part)
            state.missing -= 1
            return state.missing == 0 ? state.parts : nil
        }
    }
}
