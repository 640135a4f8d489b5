//! A model's manifest: what it separates, how its family runs it, where it comes from, what its licence asks.
//!
//! A model of a known family is a manifest and no code. The manifests of the models that RehearseKit knows are
//! built in; a user's own lies beside its ONNX file. Everything a manifest says is checked when it is read;
//! whether the files fit is the store's and the converters' business.

use std::path::{Component, Path, PathBuf};

use rehearsekit_audio::{SampleRate, StemSet};
use serde::{Deserialize, Serialize};

use crate::{
    convert::{htdemucs, unet},
    quality::{MOST_DB, MeasuredQuality},
};

const BUILT_IN: [&str; 2] =
    [include_str!("../manifests/spleeter-2stems.toml"), include_str!("../manifests/htdemucs.toml")];
const FORMAT: u32 = 1;
const MAX_MANIFEST_BYTES: u64 = 1 << 16;

/// Why a manifest cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// The file cannot be read.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The manifest's path.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Not TOML, or an unknown, missing or mistyped key.
    #[error("the manifest {origin} cannot be read: {reason}")]
    Syntax {
        /// Where the manifest came from.
        origin: String,
        /// The TOML reader's words, with the line.
        reason: String,
    },
    /// A value that cannot be.
    #[error("the manifest {origin} says {key} = {value}: {reason}")]
    Value {
        /// Where the manifest came from.
        origin: String,
        /// The key.
        key: &'static str,
        /// What it says.
        value: String,
        /// What would be right.
        reason: String,
    },
}

/// A model, described.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of this format: 1.
    pub format: u32,
    /// The model's name: small letters, digits, `-`, `_`, `.`; also its folder's.
    pub name: String,
    /// One sentence for people.
    pub description: String,
    /// What the model is good for, for people.
    pub role: String,
    /// The stems in the order in which the model gives them.
    pub stems: Vec<String>,
    /// The rate the model works at.
    pub rate_hz: u32,
    /// What its licence asks.
    pub licence: Licence,
    /// How it is run.
    pub family: Family,
    /// Where it comes from.
    pub source: Source,
    /// How good it is live beside its own offline separation, as far as anybody measured it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quality: Vec<MeasuredQuality>,
}

/// The licence of the weights.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Licence {
    /// Its name.
    pub name: String,
    /// What it allows and forbids, in a sentence or two.
    pub summary: String,
    /// Whether a person must agree before the first fetch.
    pub needs_acceptance: bool,
}

/// How a model is run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Family {
    /// Masks on the lower part of a magnitude spectrum: Spleeter.
    SpectralUnet(SpectralUnet),
    /// A spectral and a wave branch whose outputs are added: HTDemucs.
    HybridDemucs(HybridDemucs),
}

/// Geometry of a spectral U-Net.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpectralUnet {
    /// Frames of one column.
    pub n_fft: usize,
    /// Frames from one column to the next.
    pub step_frames: usize,
    /// Lowest bins, the only ones the network sees.
    pub bins: usize,
    /// Columns of the window in live use.
    pub live_columns: usize,
    /// Columns of the window offline.
    pub offline_columns: usize,
    /// What the network is shown to the right of the newest column.
    pub right_edge: RightEdge,
    /// RMS that every window is scaled to and back; 0 leaves it alone.
    pub level_rms: f32,
    /// Highest bins whose mean is the mask of everything above them.
    pub high_band_bins: usize,
}

/// What a network is shown behind the newest audio.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "treatment", rename_all = "kebab-case", deny_unknown_fields)]
pub enum RightEdge {
    /// Nothing: the window ends with the newest column.
    None,
    /// The newest columns mirrored.
    Reflect {
        /// How many.
        columns: usize,
    },
}

/// Geometry of a hybrid model. n_fft, step and bins are the graph's own (4096, 1024, 2048).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HybridDemucs {
    /// Windows to be made, in columns, ascending; the last is the offline one. 336 is the graph as it comes.
    pub windows: Vec<usize>,
}

/// Where a model comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Which client gets it.
    pub kind: SourceKind,
    /// The package's name; nothing for a file.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub package: String,
    /// The package's exact version; nothing for a file.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// Size of the package, for showing progress; 0 when unknown.
    #[serde(default)]
    pub download_bytes: u64,
    /// The files to take from it.
    pub files: Vec<SourceFile>,
}

/// Which client gets a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SourceKind {
    /// Python's pip; the package is a wheel.
    Pip,
    /// npm; the package is a tarball.
    Npm,
    /// None: files beside the manifest.
    File,
}

/// A file to take from a package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceFile {
    /// Its path in the package, or relative to the manifest.
    pub path: String,
    /// SHA-256 of its content, 64 hexadecimal digits. May be left out for one's own files only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// What it is.
    pub holds: Holds,
    /// Whose network it is, for [`Holds::Net`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stem: Option<String>,
}

/// What a file of a package is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Holds {
    /// A checkpoint with one stem's network.
    Net,
    /// An ONNX graph of the whole model.
    Graph,
    /// Something kept along with the model, as it is: an example song.
    Extra,
}

impl SourceFile {
    /// The last part of its path, under which it is kept.
    pub fn file_name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }
}

/// The manifests of the models that RehearseKit knows by name.
pub fn built_in() -> Vec<Manifest> {
    // A test reads each of them; one that cannot be read would only be missing here.
    BUILT_IN.iter().filter_map(|text| Manifest::parse(text, "built in").ok()).collect()
}

impl Manifest {
    /// Reads the manifest at `path`.
    ///
    /// # Errors
    /// When the file cannot be read, or says what cannot be; names the key.
    pub fn read(path: &Path) -> Result<Self, ManifestError> {
        let io = |source| ManifestError::Io { path: path.to_owned(), source };
        let size = std::fs::metadata(path).map_err(io)?.len();
        if size > MAX_MANIFEST_BYTES {
            let reason = format!("{size} bytes are too many for a manifest");
            return Err(ManifestError::Syntax { origin: path.display().to_string(), reason });
        }
        Self::parse(&std::fs::read_to_string(path).map_err(io)?, &path.display().to_string())
    }

    /// Reads a manifest's text; `origin` tells in errors where it came from.
    ///
    /// # Errors
    /// When it says what cannot be; names the key.
    pub fn parse(text: &str, origin: &str) -> Result<Self, ManifestError> {
        let manifest: Self = toml::from_str(text)
            .map_err(|e| ManifestError::Syntax { origin: origin.to_owned(), reason: e.to_string() })?;
        manifest.check().map_err(|(key, value, reason)| ManifestError::Value {
            origin: origin.to_owned(),
            key,
            value,
            reason,
        })?;
        Ok(manifest)
    }

    /// The manifest as text that [`Manifest::parse`] reads.
    ///
    /// # Errors
    /// Never for a manifest that was parsed.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        toml::to_string(self)
    }

    fn check(&self) -> Result<(), Fault> {
        if self.format != FORMAT {
            return fault("format", self.format, "this version reads format 1");
        }
        if !is_file_name(&self.name) || self.name.len() > 64 {
            return fault("name", &self.name, "1 to 64 of a-z, 0-9, -, _ and ., not beginning with a .");
        }
        if let Err(error) = StemSet::new(&self.stems) {
            return fault("stems", self.stems.join(", "), &error.to_string());
        }
        if let Err(error) = SampleRate::new(self.rate_hz) {
            return fault("rate_hz", self.rate_hz, &error.to_string());
        }
        match &self.family {
            Family::SpectralUnet(family) => self.check_unet(family)?,
            Family::HybridDemucs(family) => self.check_hybrid(family)?,
        }
        if let Some(odd) = self.quality.iter().find(|q| !(-MOST_DB..=MOST_DB).contains(&q.relative_db)) {
            return fault("quality.relative_db", odd.relative_db, "decibels from -100 to 100");
        }
        self.check_source()
    }

    fn check_unet(&self, family: &SpectralUnet) -> Result<(), Fault> {
        let SpectralUnet { n_fft, step_frames, bins, live_columns, offline_columns, .. } = *family;
        if !(256..=65_536).contains(&n_fft) || !n_fft.is_multiple_of(2) {
            return fault("family.n_fft", n_fft, "an even number from 256 to 65536");
        }
        if step_frames == 0 || !n_fft.is_multiple_of(step_frames) || n_fft / step_frames < 2 {
            return fault("family.step_frames", step_frames, "it must divide n_fft, at least twice");
        }
        if bins != unet::BINS || bins > n_fft / 2 {
            return fault("family.bins", bins, "this family's networks see 1024 bins, at most half of n_fft");
        }
        for (key, columns) in
            [("family.live_columns", live_columns), ("family.offline_columns", offline_columns)]
        {
            if !(unet::COLUMN_MULTIPLE..=4096).contains(&columns)
                || !columns.is_multiple_of(unet::COLUMN_MULTIPLE)
            {
                return fault(key, columns, "a multiple of 64 from 64 to 4096");
            }
        }
        if let RightEdge::Reflect { columns } = family.right_edge
            && columns >= live_columns / 2
        {
            return fault("family.right_edge.columns", columns, "less than half of live_columns");
        }
        if !(0.0..=1.0).contains(&family.level_rms) {
            return fault("family.level_rms", family.level_rms, "from 0 (untouched) to 1");
        }
        if family.high_band_bins > bins {
            return fault("family.high_band_bins", family.high_band_bins, "at most bins");
        }
        let nets = self.files(Holds::Net).count();
        for stem in &self.stems {
            let own = self.files(Holds::Net).filter(|file| file.stem.as_ref() == Some(stem)).count();
            if nets > 0 && own != 1 {
                return fault("source.files", stem, "every stem needs exactly one file that holds its net");
            }
        }
        if nets > 0 && nets != self.stems.len() {
            return fault("source.files", nets, "as many nets as stems");
        }
        if nets == 0 && self.files(Holds::Graph).count() != 1 {
            return fault(
                "source.files",
                "none",
                "a file with the net of every stem, or one with the graph of all",
            );
        }
        Ok(())
    }

    fn check_hybrid(&self, family: &HybridDemucs) -> Result<(), Fault> {
        let windows = &family.windows;
        let in_order = windows.windows(2).all(|pair| pair[0] < pair[1]);
        let in_reach = windows.iter().all(|columns| (8..=htdemucs::FULL_COLUMNS).contains(columns));
        if windows.is_empty() || !in_order || !in_reach {
            return fault("family.windows", format!("{windows:?}"), "ascending, each from 8 to 336 columns");
        }
        if self.rate_hz != 44_100 {
            return fault("rate_hz", self.rate_hz, "hybrid models work at 44100");
        }
        if self.files(Holds::Graph).count() != 1 {
            return fault("source.files", "", "this family needs exactly one file that holds the graph");
        }
        Ok(())
    }

    fn check_source(&self) -> Result<(), Fault> {
        let source = &self.source;
        let own = source.kind == SourceKind::File;
        if !own && (!is_package(&source.package) || !is_package(&source.version)) {
            let value = format!("{} {}", source.package, source.version);
            return fault("source.package", value, "a package's name and exact version");
        }
        let mut names = Vec::new();
        for file in &source.files {
            let path = Path::new(&file.path);
            let plain = path.components().all(|part| matches!(part, Component::Normal(_)));
            if file.path.is_empty() || !plain {
                return fault("source.files.path", &file.path, "a relative path without ..");
            }
            if names.contains(&file.file_name()) || !is_stored_name(file.file_name()) {
                return fault(
                    "source.files.path",
                    &file.path,
                    "file names must differ and not begin with a .",
                );
            }
            names.push(file.file_name());
            match &file.sha256 {
                Some(hash) if hash.len() != 64 || !hash.bytes().all(|b| b.is_ascii_hexdigit()) => {
                    return fault("source.files.sha256", hash, "64 hexadecimal digits");
                }
                None if !own => {
                    return fault("source.files.sha256", &file.path, "files of a package need their SHA-256");
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The files that hold `what`.
    pub fn files(&self, what: Holds) -> impl Iterator<Item = &SourceFile> {
        self.source.files.iter().filter(move |file| file.holds == what)
    }
}

type Fault = (&'static str, String, String);

fn fault<T>(key: &'static str, value: impl ToString, reason: &str) -> Result<T, Fault> {
    Err((key, value.to_string(), reason.to_owned()))
}

/// Whether `name` can be a model's name, and thus a folder's.
pub(crate) fn is_file_name(name: &str) -> bool {
    let known = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_' | b'.');
    !name.is_empty() && !name.starts_with('.') && name.bytes().all(known)
}

/// Whether `name` can be a file's in a model's folder: nothing hidden, nothing that leads elsewhere.
pub(crate) fn is_stored_name(name: &str) -> bool {
    let known = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    !name.is_empty() && name.len() <= 128 && !name.starts_with('.') && name.bytes().all(known)
}

/// Whether a client can be given this as a package's name or version: it must never look like an option.
fn is_package(name: &str) -> bool {
    let known = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'@' | b'/' | b'+');
    !name.is_empty() && !name.starts_with('-') && !name.starts_with('.') && name.bytes().all(known)
}

#[cfg(test)]
#[path = "manifest_tests.rs"]
mod tests;
