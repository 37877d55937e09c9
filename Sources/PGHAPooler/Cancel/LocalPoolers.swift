internal import CPGHALoop
internal import Glibc
internal import PGHAWire

/// The poolers on this host that listen on the same port: the kernel gives a cancel request to any of them.
///
/// Each takes a number, by binding an abstract Unix socket of that name, and so finds the others without being told of
/// them; a number is free again the moment its process ends.
struct LocalPoolers: Sendable {
    private let port: UInt16
    let number: UInt32
    /// Where the others leave requests; -1: they cannot.
    let descriptor: Int32

    /// Alone on its port.
    static let none = LocalPoolers(port: 0, number: 0, descriptor: -1)

    /// With all numbers taken this one is found by nobody: cancelling works as far as the kernel's choice is right.
    static func join(port: UInt16) -> LocalPoolers {
        for number in 0..<CancelAddress.processes {
            let descriptor = pgha_abstract_bind(Self.name(port, number))
            if descriptor >= 0 { return LocalPoolers(port: port, number: number, descriptor: descriptor) }
        }
        return LocalPoolers(port: port, number: CancelAddress.processes - 1, descriptor: -1)
    }

    private static func name(_ port: UInt16, _ number: UInt32) -> String { "pgha-pooler/\(port)/\(number)" }

    /// Best effort, as cancelling is; a number that nobody has is passed over.
    func send(_ request: CancelRequest, to number: UInt32) {
        guard self.port > 0, number != self.number else { return }
        var packet = WireBuffer()
        packet.cancelRequest(request)
        _ = pgha_abstract_send(Self.name(self.port, number), packet.bytes.baseAddress, packet.count)
    }

    func sendToAll(_ request: CancelRequest) {
        for number in 0..<CancelAddress.processes { self.send(request, to: number) }
    }

    /// The next request that one of the others has left; nil: there is none.
    func receive() -> CancelCall? {
        withUnsafeTemporaryAllocation(byteCount: 512, alignment: 8) { packet in
            while true {
                let count = recv(self.descriptor, packet.baseAddress, packet.count, Int32(MSG_DONTWAIT))
                guard count > 0 else { return nil }
                let bytes = UnsafeRawBufferPointer(rebasing: packet[..<count])
                guard case .cancel(let request)? = try? StartupParser.parse(bytes),
                    let call = CancelCall(request, origin: .process)
                else { continue }
                return call
            }
        }
    }

    func leave() { if self.descriptor >= 0 { close(self.descriptor) } }
}
