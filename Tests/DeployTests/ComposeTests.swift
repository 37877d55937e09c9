import PGHAConfiguration
import PGHACore
import Testing

@Suite struct ComposeTests {
    static func compose() throws -> Document { try #require(try Deploy.yaml("deploy/compose.yaml").first) }

    @Test func theNodesDifferInTheirNameAlone() throws {
        let services = try Self.compose()["services"]
        let spec = try ClusterSpecFile.parse(
            text: try Deploy.text("deploy/compose/cluster.yaml"), path: "deploy/compose/cluster.yaml")
        #expect(spec.nodes.map(\.name.text) == ["a", "b", "c"])
        for node in spec.nodes {
            let name = node.name.text
            let service = services[name]
            #expect(node.host == name && node.agent == "http://\(name):8433")
            #expect(service["environment"]["PGHA_AGENT_NODE"].text == name)
            #expect(service["volumes"].texts.contains("\(name):/var/lib/pgha"))
            for key in service.keys where !["environment", "volumes", "networks"].contains(key) {
                #expect(service[key].allTexts == services["a"][key].allTexts, "\(name) has another \(key)")
            }
        }
    }

    @Test func onlyThePoolerAndTheDashboardsArePublished() throws {
        let compose = try Self.compose()
        let published = compose["services"].keys.filter { compose["services"][$0]["ports"].isThere }
        #expect(published == ["grafana", "pooler", "prometheus"])
        for name in published {
            for port in compose["services"][name]["ports"].texts {
                #expect(port.hasPrefix("${PGHA_BIND:-127.0.0.1}:"), "\(name) publishes \(port) to everybody")
            }
        }
        #expect(compose["networks"]["control"]["internal"].truth == true)
        for name in ["a", "b", "c", "controller", "init"] {
            let networks = compose["services"][name]["networks"]
            #expect(networks.texts + networks.keys == ["control"], "\(name)")
        }
        #expect(!compose["services"]["grafana"]["networks"].texts.contains("control"))
    }

    @Test func everythingNamedIsThere() throws {
        let compose = try Self.compose()
        let services = compose["services"]
        for (name, service) in services.map {
            #expect(service["image"].text?.hasPrefix("${") == true, "\(name) has no image that can be chosen")
            for network in service["networks"].texts + service["networks"].keys {
                #expect(compose["networks"].keys.contains(network))
            }
            for volume in service["volumes"].texts {
                let source = String(volume.split(separator: ":")[0])
                if source.hasPrefix("./") {
                    #expect(Deploy.exists("deploy/" + source.dropFirst(2)), "\(name) mounts \(source)")
                } else {
                    #expect(compose["volumes"].keys.contains(source), "\(name) mounts \(source)")
                }
            }
            let needed = service["depends_on"].texts + service["depends_on"].keys
            for other in needed { #expect(services.keys.contains(other), "\(name) needs \(other)") }
        }
    }

    /// The hosts files of all services that connect have the addresses that the others get.
    @Test func addressesAreFixed() throws {
        let services = try Self.compose()["services"]
        for name in ["a", "b", "c", "controller"] {
            let address = try #require(services[name]["networks"]["control"]["ipv4_address"].text)
            for other in ["a", "b", "c", "controller", "pooler", "init", "cli"] {
                #expect(services[other]["extra_hosts"].texts.contains("\(name):\(address)"), "\(other) and \(name)")
            }
        }
    }

    /// Containers that nobody can write to, get more rights in, or keep running by a forgotten limit.
    @Test func ourContainersAreClosed() throws {
        for (name, service) in try Self.compose()["services"].map
        where service["image"].text?.contains("PGHA_") == true && name != "secrets" {
            #expect(service["read_only"].truth == true, "\(name)")
            #expect(service["cap_drop"].texts == ["ALL"], "\(name)")
            #expect(service["security_opt"].texts == ["no-new-privileges:true"], "\(name)")
        }
    }

    @Test func prometheusAsksEveryService() throws {
        let prometheus = try #require(try Deploy.yaml("deploy/compose/prometheus.yaml").first)
        let targets = prometheus["scrape_configs"].list.flatMap { $0["static_configs"].list }.flatMap {
            $0["targets"].texts
        }
        #expect(Set(targets) == ["controller:8432", "a:8433", "b:8433", "c:8433", "pooler:8434"])
    }
}
