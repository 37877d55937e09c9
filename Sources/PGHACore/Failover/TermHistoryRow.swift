/// One row of `pgha.term_history`: every rule version, written where it is replicated with the data.
package struct TermHistoryRow: Hashable, Sendable, Codable {
    package var rule: Rule
    package var timeline: RecordedTimeline
    package var reason: String

    package init(rule: Rule, timeline: RecordedTimeline, reason: String) {
        self.rule = rule
        self.timeline = timeline
        self.reason = reason
    }
}
