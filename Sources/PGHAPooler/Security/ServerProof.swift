internal import PGHAWire

/// With what the pooler proves to servers that it may act as a user.
struct ServerProof {
    /// Works with every method and costs the server's SCRAM iterations, 1 ms.
    var password: Secret?
    /// Learned from a client's proof.
    var keys: SCRAMKeys?
    /// What `pg_authid` has of a user with an MD5 password.
    var md5: Secret?

    func stored(for user: WireText) -> Secret? {
        self.md5 ?? self.password.flatMap { MD5Password.stored(password: $0, user: user) }
    }

    var scram: SCRAMClient.Credential? {
        if let password = self.password { return .password(password) }
        return self.keys.map { .keys($0) }
    }
}

extension PoolerLoop {
    func proof(for user: WireText) -> ServerProof {
        var proof = self.learned[user] ?? ServerProof()
        proof.password = self.configuration.passwords[user] ?? self.security.users[user]?.password
        if proof.md5 == nil, case .md5(let stored)? = self.security.users[user]?.credential.password {
            proof.md5 = stored
        }
        return proof
    }
}
