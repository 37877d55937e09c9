/// Rules in the language of `pg_hba.conf`: the first line that fits decides, and where none does, nobody gets in.
///
/// Known: local, host, hostssl, hostnossl; names, quoted names, `all`, `sameuser`, `replication`; networks as
/// `address/bits` or address and mask, `all`; the methods of ``HBARule/Method``; options `map`, `clientcert`,
/// `clientname`. What PostgreSQL knows besides is refused by name, never passed over: a rule that is not understood
/// could be the one that keeps somebody out.
package struct HBARules: Equatable, Sendable {
    package let rules: [HBARule]

    package init(_ text: String) throws(RuleError) {
        var rules: [HBARule] = []
        for line in try RuleText.lines(of: text) {
            var parser = HBALineParser(line: line)
            rules.append(try parser.rule())
        }
        self.rules = rules
    }

    /// nil: refuse as PostgreSQL does, with 28000.
    package func rule(for login: HBALogin) -> HBARule? { self.rules.first { $0.matches(login) } }
}

/// Reads one line, field by field.
struct HBALineParser {
    let line: RuleText.Line
    private var next = 0

    init(line: RuleText.Line) { self.line = line }

    private func error(_ problem: RuleError.Problem) -> RuleError { RuleError(line: self.line.number, problem) }

    private mutating func field(_ name: String) throws(RuleError) -> [RuleText.Word] {
        guard self.next < self.line.fields.count else { throw self.error(.missing(name)) }
        defer { self.next += 1 }
        return self.line.fields[self.next]
    }

    private mutating func single(_ name: String) throws(RuleError) -> RuleText.Word {
        let field = try self.field(name)
        guard field.count == 1 else { throw self.error(.tooManyWords(name)) }
        return field[0]
    }

    mutating func rule() throws(RuleError) -> HBARule {
        let type = try self.type()
        let databases = try self.field("database").map { word throws(RuleError) in try self.database(word) }
        let users = try self.field("user").map { word throws(RuleError) in try self.user(word) }
        let address = type == .local ? HBARule.Address.all : try self.address()
        let method = try self.method(for: type)
        let options = try self.options(for: type, method)
        return HBARule(
            line: self.line.number, type: type, databases: databases, users: users, address: address, method: method,
            map: options.map, clientCertificate: options.certificate, clientName: options.name)
    }

    private mutating func type() throws(RuleError) -> HBARule.ConnectionType {
        let word = try self.single("connection type").text
        if word.hasPrefix("include") || word.hasPrefix("@") { throw self.error(.inclusion(word)) }
        guard let type = HBARule.ConnectionType(rawValue: word) else {
            let known = HBARule.ConnectionType.allCases.map(\.rawValue)
            throw self.error(.unknownType(word, nearest: NearestWord.of(word, among: known)))
        }
        return type
    }

    // MARK: Names

    private func database(_ word: RuleText.Word) throws(RuleError) -> HBARule.Database {
        if word.isKeyword("all") { return .all }
        if word.isKeyword("sameuser") { return .sameUser }
        if word.isKeyword("replication") { return .replication }
        if word.isKeyword("samerole") || word.isKeyword("samegroup") { throw self.error(.membership(word.text)) }
        return .named(try self.name(word))
    }

    private func user(_ word: RuleText.Word) throws(RuleError) -> HBARule.User {
        word.isKeyword("all") ? .all : .named(try self.name(word))
    }

    private func name(_ word: RuleText.Word) throws(RuleError) -> WireText {
        if !word.isQuoted {
            if word.text.hasPrefix("+") { throw self.error(.membership(word.text)) }
            if word.text.hasPrefix("@") { throw self.error(.inclusion(word.text)) }
            if word.text.hasPrefix("/") { throw self.error(.expression(word.text)) }
        }
        return WireText(word.text)
    }

    // MARK: Addresses

    private mutating func address() throws(RuleError) -> HBARule.Address {
        let word = try self.single("address")
        if word.isKeyword("all") { return .all }
        if word.isKeyword("samehost") || word.isKeyword("samenet") { throw self.error(.unsupportedAddress(word.text)) }
        let parts = word.text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        guard let address = IPAddress(parts[0]) else { throw self.error(Self.badAddress(word.text)) }
        let bits = parts.count == 2 ? try self.bits(parts[1], of: address) : try self.mask(of: address)
        guard address.isNetwork(bits) else { throw self.error(.invalidMask(parts.count == 2 ? parts[1] : "\(bits)")) }
        return .network(address, bits: bits)
    }

    private static func badAddress(_ word: String) -> RuleError.Problem {
        if let nearest = NearestWord.of(word, among: ["all"]) { return .invalidAddress(word, nearest: nearest) }
        let isName = word.contains { $0.isLetter && !$0.isHexDigit } && !word.contains(":")
        return isName ? .unsupportedAddress(word) : .invalidAddress(word, nearest: nil)
    }

    private func bits(_ text: String, of address: IPAddress) throws(RuleError) -> Int {
        guard let bits = DecimalText.value(of: Array(text.utf8)), bits <= address.bitCount else {
            throw self.error(.invalidMask(text))
        }
        return bits
    }

    /// The mask in a field of its own: an address alone is a mistake in PostgreSQL, too.
    private mutating func mask(of address: IPAddress) throws(RuleError) -> Int {
        let word = try self.single("mask (write \(address)/\(address.bitCount) for one address)").text
        guard let mask = IPAddress(word), mask.isIPv4 == address.isIPv4, let bits = mask.maskLength else {
            throw self.error(.invalidMask(word))
        }
        return bits
    }

    // MARK: Methods and options

    private static let foreignMethods = [
        "gss", "sspi", "ident", "ldap", "radius", "pam", "bsd", "oauth", "krb5", "crypt",
    ]

    private mutating func method(for type: HBARule.ConnectionType) throws(RuleError) -> HBARule.Method {
        let word = try self.single("method").text
        if Self.foreignMethods.contains(word) { throw self.error(.unsupportedMethod(word)) }
        guard let method = HBARule.Method(rawValue: word) else {
            let known = HBARule.Method.allCases.map(\.rawValue)
            throw self.error(.unknownMethod(word, nearest: NearestWord.of(word, among: known)))
        }
        if method == .cert, type != .hostssl { throw self.error(.methodNeedsType("cert", "hostssl")) }
        if method == .peer, type != .local { throw self.error(.methodNeedsType("peer", "local")) }
        return method
    }

    private struct Options {
        var map: String?
        var certificate: HBARule.ClientCertificate?
        var name = HBARule.ClientName.commonName
    }

    private mutating func options(
        for type: HBARule.ConnectionType, _ method: HBARule.Method
    ) throws(RuleError) -> Options {
        var options = Options()
        while self.next < self.line.fields.count {
            let word = try self.single("option").text
            let parts = word.split(separator: "=", maxSplits: 1).map(String.init)
            let value = parts.count == 2 ? parts[1] : ""
            switch parts.first ?? "" {
            case "map" where !value.isEmpty: options.map = value
            case "clientcert":
                options.certificate = try self.choice("clientcert", value)
                if type != .hostssl { throw self.error(.methodNeedsType("option clientcert", "hostssl")) }
            case "clientname": options.name = try self.choice("clientname", value)
            case let name:
                let known = ["map", "clientcert", "clientname"]
                throw self.error(.unknownOption(word, nearest: NearestWord.of(name, among: known)))
            }
        }
        if method == .cert { options.certificate = .verifyFull }
        return options
    }

    private func choice<Choice: RawRepresentable<String> & CaseIterable>(
        _ name: String, _ value: String
    ) throws(RuleError) -> Choice {
        guard let choice = Choice(rawValue: value) else {
            let nearest = NearestWord.of(value, among: Choice.allCases.map(\.rawValue))
            throw self.error(.invalidOption(name: name, value: value, nearest: nearest))
        }
        return choice
    }
}
