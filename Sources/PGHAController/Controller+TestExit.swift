#if DEBUG
    import Glibc
    import Synchronization

    /// Ends the process at one chosen point of a procedure, as a SIGKILL there would: tests kill a controller in every
    /// phase without having to be quick. Not part of release builds.
    ///
    /// `PGHA_TEST_EXIT_AFTER=POINT:COUNT` names the COUNTth time that POINT is reached by this process. Points:
    /// `stored-PHASE` (the write that names the phase is durable; `steady` when none), `before-ORDER`,
    /// `during-ORDER` (3 ms after it was sent), `after-ORDER` (its answer is there and nobody was told), with the
    /// phases of `ProcedureRecord` and the labels of `NodeCommand`.
    final class TestExit: Sendable {
        /// What a process that ended here returns.
        static let status: Int32 = 77
        static let shared = getenv("PGHA_TEST_EXIT_AFTER").flatMap { TestExit(String(cString: $0)) }

        private let point: String
        private let remaining: Atomic<Int>

        private init?(_ text: String) {
            let parts = text.split(separator: ":")
            guard parts.count == 2, let count = Int(parts[1]), count > 0 else { return nil }
            self.point = String(parts[0])
            self.remaining = Atomic(count)
        }

        func isDue(_ point: String) -> Bool {
            point == self.point && self.remaining.subtract(1, ordering: .relaxed).newValue == 0
        }
    }
#endif

extension Controller {
    nonisolated func reach(_ point: @autoclosure () -> String) {
        #if DEBUG
            if let exit = TestExit.shared, exit.isDue(point()) { _exit(TestExit.status) }
        #endif
    }

    nonisolated func reachSoon(_ point: @autoclosure () -> String) {
        #if DEBUG
            guard let exit = TestExit.shared, exit.isDue(point()) else { return }
            Task {
                try? await Task.sleep(for: .milliseconds(3))
                _exit(TestExit.status)
            }
        #endif
    }
}
