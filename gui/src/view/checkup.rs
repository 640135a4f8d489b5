//! What was found out about the player's set-up. Plain data.

/// One thing that was found out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FindingView {
    /// What was looked at, in a word: "Link".
    pub check: String,
    /// How it is.
    pub verdict: Verdict,
    /// What is, and what to do about it.
    pub sentence: String,
    /// The trouble's name, for the guide and for whoever is asked; may be empty.
    pub name: String,
}

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Verdict {
    /// As it should be.
    #[default]
    Good,
    /// It works, but somebody should know.
    Warning,
    /// Something has to be done.
    Failed,
}
