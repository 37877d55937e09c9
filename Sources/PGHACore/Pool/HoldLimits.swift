/// How long and how many clients wait while no transaction may begin.
package struct HoldLimits: Hashable, Sendable {
    package enum Verdict: Hashable, Sendable {
        case wait
        /// It has waited long enough to be told why.
        case explain
        /// Too long, or one too many: it is refused.
        case refuse
    }

    /// A client that has waited this long is told that it does not hang.
    package var notice: Duration
    package var longest: Duration
    /// Clients of one event loop.
    package var most: Int

    package init(notice: Duration = .milliseconds(500), longest: Duration = .seconds(30), most: Int = 10_000) {
        self.notice = notice
        self.longest = longest
        self.most = most
    }

    /// Of a client that has waited for `waited`, with `ahead` others that came before it.
    package func verdict(waited: Duration, ahead: Int, wasTold: Bool) -> Verdict {
        if waited >= self.longest || ahead >= self.most { return .refuse }
        return waited >= self.notice && !wasTold ? .explain : .wait
    }
}
