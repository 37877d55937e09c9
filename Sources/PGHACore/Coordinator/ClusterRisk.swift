/// Why one more loss would leave the cluster without a leader.
package enum ClusterRisk: Hashable, Sendable {
    /// Only this node is sure to have every commit.
    case oneCopy(NodeName)
    case unconfirmedRule
    /// So many standbys stream, of those in the cohort; so many are needed.
    case tooFewStandbys(Int, of: Int, needed: Int, leader: NodeName)
    /// More than one server streams under this node's name.
    case namesakes(NodeName)
    /// Every standby that streams is `nofailover`.
    case noCandidate

    /// For metrics; stable.
    package var code: String {
        switch self {
        case .oneCopy: "one_copy"
        case .unconfirmedRule: "unconfirmed_rule"
        case .tooFewStandbys: "too_few_standbys"
        case .namesakes: "namesakes"
        case .noCandidate: "no_candidate"
        }
    }

    package static let codes = ["namesakes", "no_candidate", "one_copy", "too_few_standbys", "unconfirmed_rule"]

    package var words: String {
        switch self {
        case .oneCopy(let leader): "commits have one copy: only \(leader) can lead"
        case .unconfirmedRule: "a change of rule is not confirmed yet"
        case .tooFewStandbys(let attached, let all, let needed, let leader):
            "\(attached) of \(all) standbys stream; \(needed) are needed to replace \(leader)"
        case .namesakes(let copied):
            "two servers stream as \(copied): commits may have fewer copies than they seem to have"
        case .noCandidate: "no standby may be promoted"
        }
    }
}
