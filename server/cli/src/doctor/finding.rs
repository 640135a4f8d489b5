//! What a check has found: plain data. Every trouble has a name that never changes, since scripts and the troubleshooting
//! guide follow them. Must not look at anything.

use serde_json::{Value, json};

/// What is not well. A name that was once given stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The configuration is refused.
    ConfigWrong,
    /// A later version has written the data folder, or a file in it.
    StateNewer,
    /// A file in the data folder is damaged.
    StateDamaged,
    /// The data folder or a file in it belongs to somebody else.
    DataOwner,
    /// An access control list of the data folder's file system lets others in, or the server not.
    DataAcl,
    /// Others may read the server's key or put another in its place.
    KeyExposed,
    /// The data folder's file system is mounted read-only.
    DataReadOnly,
    /// The data folder cannot be used for another reason.
    DataUnusable,
    /// Nothing more can be written.
    DiskFull,
    /// Not much more can be written.
    DiskLow,
    /// The clock cannot be right.
    ClockWrong,
    /// The clock follows no other.
    ClockAlone,
    /// Another program has a port.
    PortTaken,
    /// An address cannot be listened on.
    AddressUnusable,
    /// Announcements and questions do not get through.
    MulticastBlocked,
    /// There is no network.
    NoNetwork,
    /// A GPU without its driver, or not handed into the container.
    GpuUnusable,
    /// The models may need more memory than there is.
    MemoryShort,
    /// ONNX Runtime is not there.
    RuntimeMissing,
    /// ONNX Runtime of another version.
    RuntimeVersion,
    /// ONNX Runtime is not what it should be, or does not load.
    RuntimeDamaged,
    /// A model that is wanted is not there.
    ModelMissing,
    /// A model's files are not what they should be.
    ModelCorrupt,
    /// A model is there and does not work.
    ModelBroken,
    /// A model cannot be played live here.
    ModelTooSlow,
    /// The list of servers that this computer is paired with cannot be used.
    PairingsUnusable,
    /// This computer is not paired with the server.
    NotPaired,
    /// The server does not know this computer's token, or has shut it out.
    TokenRefused,
    /// Another server answers.
    OtherServer,
    /// Nobody answers.
    ServerUnreachable,
    /// The server says no for a reason of its own.
    ServerRefuses,
    /// The server is slower than it planned.
    ServerSlow,
    /// The way to the server takes too long, or too long now and then.
    LinkJitter,
    /// The connection breaks.
    LinkBreaks,
}

impl Trouble {
    /// The name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ConfigWrong => "config-wrong",
            Self::StateNewer => "state-newer",
            Self::StateDamaged => "state-damaged",
            Self::DataOwner => "data-owner",
            Self::DataAcl => "data-acl",
            Self::KeyExposed => "key-exposed",
            Self::DataReadOnly => "data-read-only",
            Self::DataUnusable => "data-unusable",
            Self::DiskFull => "disk-full",
            Self::DiskLow => "disk-low",
            Self::ClockWrong => "clock-wrong",
            Self::ClockAlone => "clock-alone",
            Self::PortTaken => "port-taken",
            Self::AddressUnusable => "address-unusable",
            Self::MulticastBlocked => "multicast-blocked",
            Self::NoNetwork => "no-network",
            Self::GpuUnusable => "gpu-unusable",
            Self::MemoryShort => "memory-short",
            Self::RuntimeMissing => "runtime-missing",
            Self::RuntimeVersion => "runtime-version",
            Self::RuntimeDamaged => "runtime-damaged",
            Self::ModelMissing => "model-missing",
            Self::ModelCorrupt => "model-corrupt",
            Self::ModelBroken => "model-broken",
            Self::ModelTooSlow => "model-too-slow",
            Self::PairingsUnusable => "pairings-unusable",
            Self::NotPaired => "not-paired",
            Self::TokenRefused => "token-refused",
            Self::OtherServer => "other-server",
            Self::ServerUnreachable => "server-unreachable",
            Self::ServerRefuses => "server-refuses",
            Self::ServerSlow => "server-slow",
            Self::LinkJitter => "link-jitter",
            Self::LinkBreaks => "link-breaks",
        }
    }
}

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Good,
    /// Works, but somebody should know.
    Warning(Trouble),
    Failed(Trouble),
}

impl Verdict {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Warning(_) => "warning",
            Self::Failed(_) => "failed",
        }
    }

    pub(crate) fn trouble(self) -> Option<Trouble> {
        match self {
            Self::Good => None,
            Self::Warning(trouble) | Self::Failed(trouble) => Some(trouble),
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone)]
pub(crate) struct Finding {
    /// What was looked at.
    pub(crate) check: String,
    pub(crate) verdict: Verdict,
    /// What was found, in a sentence; where something is not well, with what to do.
    pub(crate) detail: String,
    /// The same in figures, for programs; null where there are none.
    pub(crate) facts: Value,
}

impl Finding {
    pub(crate) fn good(check: &str, detail: impl Into<String>) -> Self {
        Self::new(check, Verdict::Good, detail)
    }

    pub(crate) fn warning(check: &str, trouble: Trouble, detail: impl Into<String>) -> Self {
        Self::new(check, Verdict::Warning(trouble), detail)
    }

    pub(crate) fn failed(check: &str, trouble: Trouble, detail: impl Into<String>) -> Self {
        Self::new(check, Verdict::Failed(trouble), detail)
    }

    fn new(check: &str, verdict: Verdict, detail: impl Into<String>) -> Self {
        Self { check: check.to_owned(), verdict, detail: detail.into(), facts: Value::Null }
    }

    pub(crate) fn with(self, facts: Value) -> Self {
        Self { facts, ..self }
    }

    pub(crate) fn has_failed(&self) -> bool {
        matches!(self.verdict, Verdict::Failed(_))
    }

    pub(crate) fn json(&self) -> Value {
        json!({
            "check": self.check,
            "verdict": self.verdict.word(),
            "id": self.verdict.trouble().map(Trouble::name),
            "detail": self.detail,
            "facts": self.facts,
        })
    }
}
