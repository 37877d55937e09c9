import Testing

@Suite struct KubernetesTests {
    static let base = "deploy/kubernetes/base"

    static func objects() throws -> [Document] {
        let kustomization = try #require(try Deploy.yaml("\(Self.base)/kustomization.yaml").first)
        return try kustomization["resources"].texts.flatMap { try Deploy.yaml("\(Self.base)/\($0)") }
    }

    /// The pod templates, by the name of what makes the pods.
    static func pods() throws -> [String: Document] {
        var result: [String: Document] = [:]
        for object in try Self.objects() where object["spec"]["template"].isThere {
            result[object["metadata"]["name"].text ?? ""] = object["spec"]["template"]
        }
        return result
    }

    @Test func everyFileIsUsedAndEveryUsedFileIsThere() throws {
        let folders = Set(
            Deploy.files(below: "deploy/kubernetes").filter { $0.hasSuffix("/kustomization.yaml") }
                .map { String($0.dropLast("/kustomization.yaml".count)) })
        #expect(folders.count >= 4)
        for folder in folders {
            let kustomization = try #require(try Deploy.yaml("\(folder)/kustomization.yaml").first)
            let generators = kustomization["configMapGenerator"].list + kustomization["secretGenerator"].list
            let patches = kustomization["patches"].list.compactMap { $0["path"].text }
            let files = kustomization["resources"].texts + patches + generators.flatMap { $0["files"].texts }
            for path in files + kustomization["components"].texts {
                #expect(Deploy.exists("\(folder)/\(path)"), "\(folder) names \(path)")
            }
            for path in Deploy.files(below: folder)
            where !folders.contains(where: { $0 != folder && path.hasPrefix($0) }) {
                let name = String(path.dropFirst(folder.count + 1))
                #expect(name == "kustomization.yaml" || files.contains(name), "\(folder) leaves \(name) out")
            }
        }
    }

    @Test func servicesAndBudgetsChoosePodsThatThereAre() throws {
        let labels = try Self.pods().values.map { $0["metadata"]["labels"].labels }
        for object in try Self.objects() where ["Service", "PodDisruptionBudget"].contains(object["kind"].text) {
            let selector = object["spec"]["selector"]
            let wanted = selector["matchLabels"].isThere ? selector["matchLabels"].labels : selector.labels
            let chosen = labels.filter { pod in wanted.allSatisfy { pod[$0.key] == $0.value } }
            #expect(!wanted.isEmpty && chosen.count == 1, "\(object["metadata"]["name"].text ?? "")")
        }
    }

    @Test func portsHaveNamesThatContainersGive() throws {
        let containers = try Self.pods().values.flatMap { $0["spec"]["containers"].list }
        let names = Set(containers.flatMap { $0["ports"].list }.compactMap { $0["name"].text })
        for object in try Self.objects() {
            switch object["kind"].text {
            case "Service":
                for port in object["spec"]["ports"].list {
                    guard let target = port["targetPort"].text else { continue }
                    #expect(names.contains(target))
                }
            case "NetworkPolicy":
                for port in object["spec"]["ingress"].list.flatMap({ $0["ports"].list }) {
                    #expect(names.contains(try #require(port["port"].text)))
                }
            default: continue
            }
        }
        for container in containers {
            for probe in ["livenessProbe", "readinessProbe"] where container[probe].isThere {
                let own = container["ports"].list.compactMap { $0["name"].text }
                #expect(own.contains(container[probe]["httpGet"]["port"].text ?? ""))
                #expect(["/liveness", "/readiness"].contains(container[probe]["httpGet"]["path"].text))
            }
        }
    }

    /// What the namespace's `restricted` profile asks for, and limits of memory.
    @Test func everyPodIsClosed() throws {
        for (name, pod) in try Self.pods() {
            let context = pod["spec"]["securityContext"]
            #expect(context["runAsNonRoot"].truth == true && context["runAsUser"].number == 999, "\(name)")
            #expect(context["seccompProfile"]["type"].text == "RuntimeDefault", "\(name)")
            #expect(pod["spec"]["automountServiceAccountToken"].truth == false, "\(name)")
            // Kubernetes would put PGHA_CONTROLLER_PORT and the like into every environment.
            #expect(pod["spec"]["enableServiceLinks"].truth == false, "\(name)")
            for container in pod["spec"]["containers"].list + pod["spec"]["initContainers"].list {
                let own = container["securityContext"]
                #expect(own["allowPrivilegeEscalation"].truth == false, "\(name)")
                #expect(own["readOnlyRootFilesystem"].truth == true, "\(name)")
                #expect(own["capabilities"]["drop"].texts == ["ALL"], "\(name)")
            }
            for container in pod["spec"]["containers"].list {
                #expect(container["resources"]["limits"]["memory"].isThere, "\(name)")
            }
        }
    }

    @Test func volumesAndSecretsAreThere() throws {
        let demo = try #require(try Deploy.yaml("deploy/kubernetes/overlays/demo/kustomization.yaml").first)
        let secrets = demo["secretGenerator"].list.compactMap { $0["name"].text }
        let production = try Deploy.text("deploy/kubernetes/overlays/production/kustomization.yaml")
        for object in try Self.objects() where object["spec"]["template"].isThere {
            let pod = object["spec"]["template"]
            let claims = object["spec"]["volumeClaimTemplates"].list.compactMap { $0["metadata"]["name"].text }
            let volumes = pod["spec"]["volumes"].list
            let names = volumes.compactMap { $0["name"].text } + claims
            for container in pod["spec"]["containers"].list + pod["spec"]["initContainers"].list {
                for mount in container["volumeMounts"].list {
                    #expect(names.contains(try #require(mount["name"].text)))
                }
            }
            for secret in volumes.compactMap({ $0["secret"]["secretName"].text }) {
                #expect(secrets.contains(secret) && production.contains(secret), "\(secret)")
            }
        }
    }

    /// The names of the specification are those that the set gives its pods.
    @Test func theSpecificationNamesThePods() throws {
        let set = try #require(try Self.objects().first { $0["kind"].text == "StatefulSet" })
        let name = set["metadata"]["name"].text ?? ""
        let service = set["spec"]["serviceName"].text ?? ""
        let nodes = try #require(try Deploy.yaml("\(Self.base)/cluster.yaml").first)["nodes"].list
        #expect(nodes.count == set["spec"]["replicas"].number)
        for (index, node) in nodes.enumerated() {
            #expect(node["name"].text == "n\(index)")
            #expect(node["host"].text == "\(name)-\(index).\(service)")
            #expect(node["agent"].text == "http://\(name)-\(index).\(service):8433")
        }
        let container = set["spec"]["template"]["spec"]["containers"][0]
        #expect(container["env"].list.contains { $0["value"].text == "n$(POD_INDEX)" })
    }
}
