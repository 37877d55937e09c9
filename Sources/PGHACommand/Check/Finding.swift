/// One line of `pgha check`.
package struct Finding: Hashable, Sendable, Codable {
    package enum Severity: String, Hashable, Sendable, Codable, CaseIterable {
        case ok, warn, fail
    }

    /// The node's name; nil for what concerns the cluster.
    package var node: String?
    package var severity: Severity
    /// Stable, for programs: `version_too_old`, `wal_level`, …
    package var code: String
    package var message: String
    /// The next step; nil with `ok`.
    package var hint: String?

    package static func ok(_ node: String?, _ code: String, _ message: String) -> Finding {
        Finding(node: node, severity: .ok, code: code, message: message, hint: nil)
    }

    package static func warn(_ node: String?, _ code: String, _ message: String, hint: String) -> Finding {
        Finding(node: node, severity: .warn, code: code, message: message, hint: hint)
    }

    package static func fail(_ node: String?, _ code: String, _ message: String, hint: String) -> Finding {
        Finding(node: node, severity: .fail, code: code, message: message, hint: hint)
    }
}

/// `pgha check -o json`.
package struct CheckReport: Hashable, Sendable, Codable {
    /// Nothing failed; warnings do not count.
    package var ok: Bool
    package var findings: [Finding]

    package init(_ findings: [Finding]) {
        self.findings = findings
        self.ok = !findings.contains { $0.severity == .fail }
    }

    package func count(_ severity: Finding.Severity) -> Int { self.findings.count { $0.severity == severity } }
}

/// `pgha check` as people read it.
package enum CheckView {
    package static func lines(_ report: CheckReport) -> [Line] {
        let width = report.findings.map { self.subject($0).count }.max() ?? 0
        var lines: [Line] = []
        for finding in report.findings {
            lines.append([
                self.mark(finding.severity), "  ", Styled(self.subject(finding).padded(to: width), .strong), "  ",
                Styled(finding.message, finding.severity == .ok ? .plain : .warning),
            ])
            if let hint = finding.hint {
                lines.append([Styled(String(repeating: " ", count: width + 8)), Styled(hint)])
            }
        }
        return lines + ["", self.summary(report)]
    }

    private static func subject(_ finding: Finding) -> String { finding.node ?? "cluster" }

    private static func mark(_ severity: Finding.Severity) -> Styled {
        switch severity {
        case .ok: Styled("ok  ", .good)
        case .warn: Styled("warn", .warning)
        case .fail: Styled("FAIL", .bad)
        }
    }

    private static func summary(_ report: CheckReport) -> Line {
        let fails = report.count(.fail)
        let warnings = report.count(.warn)
        if fails > 0 { return [Styled("\(fails) to be mended, \(warnings) to be looked at", .bad)] }
        return warnings > 0
            ? [Styled("usable; \(warnings) to be looked at", .warning)] : [Styled("all is as it should be", .good)]
    }
}
