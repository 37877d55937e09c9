import CPGHASystem
import ServiceLifecycle

/// Gives back the memory of what only a start needs.
///
/// Reading arguments and settings, opening the store and setting up HTTP touch some 20 MB of code that a service never
/// runs again; it would count as resident for as long as the process lives.
struct StartupMemory: Service {
    /// Longer than any start takes; the first probes and requests are over too.
    static let delay = Duration.seconds(10)

    func run() async throws {
        try? await cancelWhenGracefulShutdown { try await Task.sleep(for: Self.delay) }
        pgha_forget_code()
    }

    /// For a service group: it ends before the services do.
    static var configuration: ServiceGroupConfiguration.ServiceConfiguration {
        .init(service: Self(), successTerminationBehavior: .ignore)
    }
}
