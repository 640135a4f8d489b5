//! A piece of decoded audio in memory.

use crate::SampleRate;

/// Planar audio: `channels[c][frame]`, every channel equally long.
#[derive(Debug, Clone, PartialEq)]
pub struct Audio {
    rate: SampleRate,
    channels: Vec<Vec<f32>>,
}

/// Why planar samples do not make an [`Audio`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AudioError {
    /// Not one or two channels.
    #[error("{0} channels: only mono and stereo can be separated; mix it down to two channels first")]
    Channels(usize),
    /// Channels of different lengths.
    #[error("channel {channel} has {got} frames, the first has {want}")]
    Ragged {
        /// Index of the odd channel.
        channel: usize,
        /// Its frames.
        got: usize,
        /// The first channel's frames.
        want: usize,
    },
}

impl Audio {
    /// Audio from planar channels (one or two, equally long, maybe empty).
    pub fn new(rate: SampleRate, channels: Vec<Vec<f32>>) -> Result<Self, AudioError> {
        let want = match channels.as_slice() {
            [first] | [first, _] => first.len(),
            other => return Err(AudioError::Channels(other.len())),
        };
        if let Some(channel) = channels.iter().position(|c| c.len() != want) {
            return Err(AudioError::Ragged { channel, got: channels[channel].len(), want });
        }
        Ok(Self { rate, channels })
    }

    /// Frames per second.
    pub fn rate(&self) -> SampleRate {
        self.rate
    }

    /// Length in frames.
    pub fn frames(&self) -> usize {
        self.channels[0].len()
    }

    /// The planar samples, one or two channels.
    pub fn channels(&self) -> &[Vec<f32>] {
        &self.channels
    }

    /// The planar samples, given up.
    pub fn into_channels(self) -> Vec<Vec<f32>> {
        self.channels
    }

    /// Left and right; a mono song gives the same channel twice.
    pub fn stereo(&self) -> [&[f32]; 2] {
        let left = &self.channels[0];
        [left, self.channels.get(1).unwrap_or(left)]
    }

    /// Index of the first frame holding a NaN or an infinity, if there is one.
    pub fn first_non_finite(&self) -> Option<usize> {
        self.channels.iter().filter_map(|c| c.iter().position(|s| !s.is_finite())).min()
    }
}
