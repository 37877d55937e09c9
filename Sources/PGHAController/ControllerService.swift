package import AsyncHTTPClient
package import Logging
import PGHACore
package import PGHAStore
import ServiceLifecycle
import Synchronization

/// Runs the controller until the group shuts down. Servers are left as they are.
package struct ControllerService: Service {
    private let controller: Controller

    package init(controller: Controller) { self.controller = controller }

    package func run() async throws {
        try await cancelWhenGracefulShutdown { try await self.controller.run() }
    }
}

extension Controller {
    /// A controller of real nodes.
    package static func live(
        store: any ClusterStore, storeKind: String, credentials: NodeCredentials, requiredScripts: [Int],
        httpClient: HTTPClient, logger: Logger
    ) -> Controller {
        let settings = SettingsBox()
        let controller = Controller(
            store: store, storeKind: storeKind, seed: UInt64.random(in: .min ... .max),
            requiredScripts: requiredScripts, logger: logger,
            makeNode: { spec, identifier in
                LiveNode(
                    spec: spec, systemIdentifier: identifier, credentials: credentials, httpClient: httpClient,
                    logger: logger,
                    settings: { await settings.current(spec.name) })
            })
        settings.attach(controller)
        return controller
    }

}

/// Ties the nodes, which the controller makes, back to the controller that knows the spec.
private final class SettingsBox: Sendable {
    private let controller = Mutex<Controller?>(nil)

    func attach(_ controller: Controller) { self.controller.withLock { $0 = controller } }

    func current(_ node: NodeName) async -> ServerSettings {
        guard let controller = self.controller.withLock({ $0 }) else {
            return ServerSettings(postgres: [:], access: [])
        }
        return await controller.serverSettings(of: node)
    }
}
