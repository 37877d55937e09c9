import ArgumentParser
import PGHAClient
import PGHACommand
import PGHAConfiguration
import PGHATLS

/// Why a command ends: one line says what, the next says what to do.
struct CommandError: Error, Hashable {
    /// Documented in `pgha --help`; 64 for wrong usage comes from the argument parser.
    enum Exit: Int32, Hashable {
        case failed = 1
        case refused = 2
        case unreachable = 3
    }

    var exit: Exit
    var message: String
    var hint: String

    init(_ exit: Exit, _ message: String, hint: String) {
        self.exit = exit
        self.message = message
        self.hint = hint
    }

    init(_ failure: ControllerFailure) {
        self.message = failure.message
        self.hint = failure.hint
        switch failure {
        case .unreachable: self.exit = .unreachable
        case .refused(let refusal):
            self.exit = .refused
            self.message += " (\(refusal.code))"
        case .failed(let refusal):
            self.exit = .failed
            self.message += " (\(refusal.code))"
        case .unauthorised: self.exit = .refused
        case .undecodable, .tokenFile: self.exit = .failed
        }
    }

    init(_ error: ConfigurationError) {
        self.init(
            .failed, error.description, hint: "Nothing was changed. 'pgha config --print-defaults' shows every setting."
        )
    }

    /// Prints the error to standard error and ends the process with its code.
    static func report(_ error: any Error) -> Never {
        let known: CommandError
        switch error {
        case let error as CommandError: known = error
        case let failure as ControllerFailure: known = CommandError(failure)
        case let error as ConfigurationError: known = CommandError(error)
        case let failure as TLSFailure: known = CommandError(.failed, failure.message, hint: failure.hint)
        case let refusal as ControllerRefusal: known = CommandError(.refused(refusal))
        default: PGHA.exit(withError: error)
        }
        let lines: [Line] = [
            [Styled("pgha: ", .strong), Styled(known.message, .bad)], [Styled("      \(known.hint)")],
        ]
        Terminal.standardError.write(lines.rendered(colour: Terminal.standardError.hasColour))
        PGHA.exit(withError: ExitCode(known.exit.rawValue))
    }
}
