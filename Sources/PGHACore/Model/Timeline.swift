/// A timeline id as PostgreSQL prints it. Equal ids do not prove equal history: two servers promoted apart
/// pick the same one.
package struct TimelineID: Hashable, Comparable, Sendable, Codable, CustomStringConvertible {
    package let number: UInt32
    package init(_ number: UInt32) { self.number = number }
    package static func < (a: TimelineID, b: TimelineID) -> Bool { a.number < b.number }
    package var description: String { "\(self.number)" }

    package init(from decoder: any Decoder) throws {
        self.number = try decoder.singleValueContainer().decode(UInt32.self)
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(self.number)
    }
}

/// The forks that led to a server's timeline, oldest first: the content of its `.history` file.
package struct TimelineHistory: Hashable, Sendable, Codable {
    /// WAL of `parent` up to `at`, then the next timeline.
    package struct Fork: Hashable, Sendable, Codable {
        package let parent: TimelineID
        package let at: LSN
        package init(parent: TimelineID, at: LSN) {
            self.parent = parent
            self.at = at
        }
    }

    /// The timeline the server is on.
    package let timeline: TimelineID
    package let forks: [Fork]

    package init(timeline: TimelineID, forks: [Fork] = []) {
        self.timeline = timeline
        self.forks = forks
    }

    /// Parses the text of a `.history` file: lines `parent <tab> switch point <tab> reason`, `#` comments.
    /// Nil when a line is not understood. Source: PostgreSQL `timeline.c`, `readTimeLineHistory`.
    package init?(timeline: TimelineID, fileContent: String) {
        var forks: [Fork] = []
        for line in fileContent.split(whereSeparator: \.isNewline) {
            let words = line.split(whereSeparator: { $0 == "\t" || $0 == " " })
            guard let first = words.first, !first.hasPrefix("#") else { continue }
            guard words.count >= 2, let parent = UInt32(first), let at = LSN(words[1]) else { return nil }
            forks.append(Fork(parent: TimelineID(parent), at: at))
        }
        self.init(timeline: timeline, forks: forks)
    }

    /// The timelines passed through, each with where it begins (nil for the first) and ends (nil for the last).
    package var segments: [(timeline: TimelineID, begin: LSN?, end: LSN?)] {
        var result: [(TimelineID, LSN?, LSN?)] = []
        var begin: LSN?
        for fork in self.forks {
            result.append((fork.parent, begin, fork.at))
            begin = fork.at
        }
        result.append((self.timeline, begin, nil))
        return result
    }

    /// Up to where the WAL of `self` and `other` is the same by their timeline ids and switch points; nil when
    /// one continues the other without a fork between them.
    ///
    /// Proves divergence, never equality: see ``TimelineID``.
    package func divergence(from other: TimelineHistory) -> LSN? {
        let ours = self.segments, theirs = other.segments
        for (index, segment) in ours.enumerated() {
            guard index < theirs.count, theirs[index].timeline == segment.timeline else {
                return segment.begin ?? .zero
            }
            switch (segment.end, theirs[index].end) {
            case (nil, nil): return nil
            case (let end?, nil), (nil, let end?): return end
            case (let a?, let b?): if a != b { return min(a, b) }
            }
        }
        return nil
    }
}

/// A timeline that a recorded term explains, kept in the store and in `pgha.term_history`.
package struct RecordedTimeline: Hashable, Sendable, Codable {
    package let term: Term
    /// Zero while the term's promotion is ordered and not confirmed: its id is not known yet.
    package let timeline: TimelineID
    /// Where the timeline begins; nil for the cluster's first.
    package let fork: LSN?
    /// Where the term begins on it: at the fork after a promotion, later for a leader that led on in place (or was
    /// started in place) under a new term. Nil: at the fork.
    package let start: LSN?
    /// The servers whose WAL on a timeline of this id and fork is this term's, sorted; nil: all.
    ///
    /// Two servers promoted apart at the same position pick the same id. Nobody else's WAL there is believed to be
    /// this term's until it was compared or replaced.
    package var holders: [NodeName]?

    package init(
        term: Term, timeline: TimelineID, fork: LSN?, start: LSN? = nil, holders: (some Sequence<NodeName>)?
    ) {
        self.term = term
        self.timeline = timeline
        self.fork = fork
        self.start = start
        self.holders = holders.map { Set($0).sorted() }
    }

    package init(term: Term, timeline: TimelineID, fork: LSN?, start: LSN? = nil) {
        self.init(term: term, timeline: timeline, fork: fork, start: start, holders: [NodeName]?.none)
    }

    package func isHeld(by node: NodeName) -> Bool {
        DecisionFaults.isOn(.trustTimelineIDs) || self.holders?.contains(node) ?? true
    }

    /// The position from which on WAL belongs to the term.
    package var begin: LSN { self.start ?? self.fork ?? .zero }
}
