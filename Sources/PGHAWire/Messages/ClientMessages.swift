/// What Describe and Close name.
package enum DescribedObject: UInt8, Sendable {
    /// `S`
    case statement = 0x53
    /// `P`
    case portal = 0x50
}

/// What the pooler says as a client.
extension WireBuffer {
    // MARK: Startup

    package mutating func sslRequest() { self.untypedMessage { $0.append(StartupParser.sslRequestCode) } }

    /// Names and values must hold no zero byte; an empty name would end the packet and is left out.
    package mutating func startupMessage(
        version: ProtocolVersion, parameters: [StartupMessage.Parameter]
    ) {
        self.untypedMessage { buffer in
            buffer.append(version.word)
            for parameter in parameters where !parameter.name.isEmpty {
                buffer.appendString(parameter.name)
                buffer.appendString(parameter.value)
            }
            buffer.append(UInt8(0))
        }
    }

    package mutating func cancelRequest(_ request: CancelRequest) {
        self.untypedMessage { buffer in
            buffer.append(StartupParser.cancelRequestCode)
            buffer.append(request.processID)
            buffer.append(request.key)
        }
    }

    // MARK: Authentication

    /// A cleartext password or the answer to an MD5 request.
    package mutating func passwordMessage(_ password: [UInt8]) {
        self.message(FrontendMessage.password) { buffer in
            buffer.append(password)
            buffer.append(UInt8(0))
        }
    }

    package mutating func saslInitialResponse(_ mechanism: SASLMechanism, _ data: [UInt8]) {
        self.message(FrontendMessage.password) { buffer in
            buffer.appendString(mechanism.rawValue)
            buffer.append(UInt32(data.count))
            buffer.append(data)
        }
    }

    package mutating func saslResponse(_ data: [UInt8]) {
        self.message(FrontendMessage.password) { $0.append(data) }
    }

    // MARK: Statements

    package mutating func query(_ text: String) { self.message(FrontendMessage.query) { $0.appendString(text) } }

    /// `text` and `name` without their zeros; `parameterTypes` are OIDs, 0 for one that the server is to find out.
    package mutating func parse(
        name: UnsafeRawBufferPointer, text: UnsafeRawBufferPointer, parameterTypes: WireNumbers
    ) {
        self.message(FrontendMessage.parse) { buffer in
            buffer.append(name)
            buffer.append(UInt8(0))
            buffer.append(text)
            buffer.append(UInt8(0))
            buffer.append(UInt16(parameterTypes.count))
            buffer.append(parameterTypes.bytes)
        }
    }

    package mutating func parse(name: String = "", text: String) {
        self.message(FrontendMessage.parse) { buffer in
            buffer.appendString(name)
            buffer.appendString(text)
            buffer.append(UInt16(0))
        }
    }

    /// Values as text; results as text. nil is NULL.
    package mutating func bind(portal: String = "", statement: String = "", values: [WireText?]) {
        self.message(FrontendMessage.bind) { buffer in
            buffer.appendString(portal)
            buffer.appendString(statement)
            buffer.append(UInt16(0))
            buffer.append(UInt16(values.count))
            for value in values {
                buffer.append(Int32(value.map { $0.bytes.count } ?? -1))
                if let value { buffer.append(value.bytes) }
            }
            buffer.append(UInt16(0))
        }
    }

    /// `limit` 0: all rows.
    package mutating func execute(portal: String = "", limit: UInt32 = 0) {
        self.message(FrontendMessage.execute) { buffer in
            buffer.appendString(portal)
            buffer.append(limit)
        }
    }

    package mutating func describe(_ object: DescribedObject, name: UnsafeRawBufferPointer) {
        self.named(FrontendMessage.describe, object, name)
    }

    package mutating func close(_ object: DescribedObject, name: UnsafeRawBufferPointer) {
        self.named(FrontendMessage.close, object, name)
    }

    private mutating func named(_ type: UInt8, _ object: DescribedObject, _ name: UnsafeRawBufferPointer) {
        self.message(type) { buffer in
            buffer.append(object.rawValue)
            buffer.append(name)
            buffer.append(UInt8(0))
        }
    }

    package mutating func sync() { self.emptyMessage(FrontendMessage.sync) }
    package mutating func terminate() { self.emptyMessage(FrontendMessage.terminate) }

    package mutating func copyFail(_ reason: String) {
        self.message(FrontendMessage.copyFail) { $0.appendString(reason) }
    }
}
