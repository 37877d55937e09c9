/// What a pooler knows of a client whose server connection is gone, and what it does about it.
///
/// Intuition: a client may only be told what is certain. Whatever could have been committed is "unknown" (08007);
/// whatever certainly was not may be run again, by the client (40001) or, where the pooler still has all that was sent
/// and none of the answer was passed on, by the pooler itself.
package struct ServerLoss: Hashable, Sendable {
    package enum Transaction: Hashable, Sendable {
        case none
        case open
        /// A statement has failed: nothing in it will be committed.
        case failed
    }

    package enum Answer: Hashable, Sendable {
        /// Nothing was asked and nothing is lost: the client notices nothing.
        case carryOn
        /// What it sent goes to the next server, as if it had come only now.
        case sendAgain
        /// ERROR 40001 in answer to what is outstanding, or to the next statement if nothing is. Inside of a transaction
        /// its block is failed until the client ends it.
        case fail
        /// ERROR 08007; the transaction is over.
        case outcomeUnknown
        /// The connection cannot be saved. `unknown`: something may have been committed.
        case close(unknown: Bool)
    }

    /// As of the server's last ReadyForQuery.
    package var transaction = Transaction.none
    /// Something was sent and not answered.
    package var isBusy = false
    /// Messages of the extended protocol were sent and no Sync after them.
    package var isUnsynced = false
    /// What is outstanding may end in a commit.
    package var mayCommit = false
    /// All that was sent since the client got this server is at hand, and no byte of an answer was passed on.
    package var canRepeat = false
    /// Running it twice is as good as once: BEGIN, or anything on a standby.
    package var isHarmless = false
    /// It was certainly not run: refused with a FATAL, or never read.
    package var wasNotRun = false
    /// State that no other server has: session mode, temporary tables, …
    package var isPinned = false
    /// The client got the front of a message whose rest is lost.
    package var isMidMessage = false

    package init() {}

    package var answer: Answer {
        if self.isPinned || self.isMidMessage { return .close(unknown: self.isBusy && self.mayCommit) }
        guard self.isBusy else {
            return self.transaction == .none && !self.isUnsynced ? .carryOn : .fail
        }
        if self.canRepeat, self.isHarmless || self.wasNotRun { return .sendAgain }
        if self.transaction == .failed || !self.mayCommit || self.isHarmless { return .fail }
        return .outcomeUnknown
    }
}
