//! Why a command failed, and the exit code that scripts see.

use std::{fmt, process::ExitCode};

use rehearsekit_media::{DecodeError, WriteError};

/// What kind of failure it was; the numbers are part of the command line's contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Something went wrong while running (disk full, cancelled, a bug).
    Run = 1,
    /// The command line or the configuration is wrong.
    Usage = 2,
    /// A song or a model is not usable.
    Input = 3,
    /// The server is unreachable, or said no.
    Server = 4,
}

/// The explanation at the end of every `--help`.
pub(crate) const EXIT_CODES: &str = "Exit codes:
  0  done
  1  failed while running (disk full, cancelled, internal)
  2  wrong usage or configuration
  3  bad input: a song or a model that cannot be used
  4  the server cannot be reached, or refuses";

/// A failed command: a sentence that says what to do, and its kind.
#[derive(Debug)]
pub(crate) struct Failure {
    kind: Kind,
    message: String,
    may_pass: bool,
}

impl Failure {
    fn new(kind: Kind, message: &dyn fmt::Display) -> Self {
        Self { kind, message: message.to_string(), may_pass: false }
    }

    pub(crate) fn run(message: impl fmt::Display) -> Self {
        Self::new(Kind::Run, &message)
    }

    pub(crate) fn usage(message: impl fmt::Display) -> Self {
        Self::new(Kind::Usage, &message)
    }

    pub(crate) fn input(message: impl fmt::Display) -> Self {
        Self::new(Kind::Input, &message)
    }

    pub(crate) fn server(message: impl fmt::Display) -> Self {
        Self::new(Kind::Server, &message)
    }

    /// Another one of the same kind.
    pub(crate) fn like(&self, message: String) -> Self {
        Self { kind: self.kind, message, may_pass: self.may_pass }
    }

    pub(crate) fn cancelled() -> Self {
        Self::run("cancelled; nothing was left behind")
    }

    /// It may be gone a moment later, whatever its kind: a port that another server is about to leave.
    pub(crate) fn that_may_pass(self) -> Self {
        Self { may_pass: true, ..self }
    }

    /// Whether another try ends the same way until somebody mends something.
    pub(crate) fn is_lasting(&self) -> bool {
        matches!(self.kind, Kind::Usage | Kind::Input) && !self.may_pass
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.kind as u8)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<DecodeError> for Failure {
    fn from(error: DecodeError) -> Self {
        if error.is_bad_input() { Self::input(error) } else { Self::cancelled() }
    }
}

impl From<WriteError> for Failure {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::IsInput { .. } | WriteError::Exists(_) | WriteError::NotAFile(_) => {
                Self::usage(error)
            }
            error => Self::run(error),
        }
    }
}
