//! Stems: their names, their order, and the sum they must close.

use std::fmt;

/// Name of one separated source: `vocals`, `drums`, `bass`, `other`, `accompaniment`, or a user model's own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StemName(String);

/// Why a stem name or a set of them is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StemError {
    /// Not usable as a file name and a label.
    #[error("'{0}' is no stem name: 1 to 32 of a-z, 0-9, '-' and '_'")]
    Name(String),
    /// Too few, too many, or twice the same.
    #[error("a model has 2 to {max} stems with different names, not [{got}]", max = StemSet::MAX)]
    Set {
        /// The names as given.
        got: String,
    },
}

impl StemName {
    /// A name of 1 to 32 characters of `a-z0-9-_`.
    pub fn new(name: &str) -> Result<Self, StemError> {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
        if (1..=32).contains(&name.len()) && name.chars().all(fits) {
            Ok(Self(name.to_owned()))
        } else {
            Err(StemError::Name(name.to_owned()))
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StemName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The stems of one model in its own order, and which of them closes the sum (DESIGN §4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StemSet {
    names: Vec<StemName>,
    closing: usize,
}

impl StemSet {
    /// Most stems a model may have.
    pub const MAX: usize = 6;

    /// A set of 2 to [`Self::MAX`] different names. The one that closes the sum is `other`, else
    /// `accompaniment`, else the last.
    pub fn new<S: AsRef<str>>(names: &[S]) -> Result<Self, StemError> {
        let parsed = names.iter().map(|n| StemName::new(n.as_ref())).collect::<Result<Vec<_>, _>>()?;
        let mut unique = parsed.clone();
        unique.sort();
        unique.dedup();
        if !(2..=Self::MAX).contains(&parsed.len()) || unique.len() != parsed.len() {
            let got = names.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(", ");
            return Err(StemError::Set { got });
        }
        let find = |name: &str| parsed.iter().position(|n| n.as_str() == name);
        let closing = find("other").or_else(|| find("accompaniment")).unwrap_or(parsed.len() - 1);
        Ok(Self { names: parsed, closing })
    }

    /// The names in the model's order.
    pub fn names(&self) -> &[StemName] {
        &self.names
    }

    /// How many stems.
    pub fn count(&self) -> usize {
        self.names.len()
    }

    /// Index of the stem that is the mix minus all the others.
    pub fn closing(&self) -> usize {
        self.closing
    }

    /// Indices of the stems that travel: all but the closing one, in order.
    pub fn travelling(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.names.len()).filter(move |&i| i != self.closing)
    }

    /// Index of the stem called `name`.
    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|n| n.as_str() == name)
    }
}

/// Sets `closing` to `mix` − Σ `others`, frame by frame, summed in double precision so that adding the
/// stems up again gives the mix to the bit depth. All slices are one channel of equal length.
///
/// Adding the stems in `f32` may still differ from the mix by one rounding of the sum (below −140 dB of
/// the largest stem); fixed-point files close exactly because the closing happens after quantisation there.
pub fn close_sum<S: AsRef<[f32]>>(mix: &[f32], others: &[S], closing: &mut [f32]) {
    for (i, (out, &m)) in closing.iter_mut().zip(mix).enumerate() {
        let sum: f64 = others.iter().map(|o| f64::from(o.as_ref()[i])).sum();
        *out = (f64::from(m) - sum) as f32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closing_stem_is_found_by_name() {
        let set = StemSet::new(&["drums", "bass", "other", "vocals"]).unwrap();
        assert_eq!((set.closing(), set.travelling().collect::<Vec<_>>()), (2, vec![0, 1, 3]));
        assert_eq!(StemSet::new(&["vocals", "accompaniment"]).unwrap().closing(), 1);
        assert_eq!(StemSet::new(&["left-hand", "right-hand"]).unwrap().closing(), 1);
    }

    #[test]
    fn sets_that_cannot_be_are_refused() {
        assert!(StemSet::new(&["vocals"]).is_err());
        assert!(StemSet::new(&["a", "a"]).is_err());
        assert!(StemSet::new(&["a", "b", "c", "d", "e", "f", "g"]).is_err());
        assert!(StemSet::new(&["Vocals", "../../etc"]).is_err());
    }
}
