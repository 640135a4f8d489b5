//! The values that travel through the rings between the audio thread and the network, and the cutting of
//! longer audio into them. Copies by value, never points to anything.

use crate::{Layout, MAX_TRAVELLING_CHANNELS, SLOT_FRAMES};

/// Up to [`SLOT_FRAMES`] frames of the mix on their way from the audio thread to the network.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MixSlot {
    /// Position of the first frame.
    pub position: u64,
    /// The run of contiguous audio it belongs to; counts up.
    pub epoch: u32,
    /// How many frames of `samples` count.
    pub frames: u16,
    /// Where in the song the first frame lies, in frames: a tag for people and logs, nothing is placed by it.
    pub song_position: i64,
    /// `[channel][frame]`.
    pub samples: [[f32; SLOT_FRAMES]; 2],
}

impl MixSlot {
    /// Cuts a block of two channels of equal length into slots, the first at `position`. Allocates nothing.
    pub fn cut<'a>(
        position: u64,
        epoch: u32,
        song_position: i64,
        block: [&'a [f32]; 2],
    ) -> impl Iterator<Item = Self> + 'a {
        let frames = block[0].len().min(block[1].len());
        (0..frames).step_by(SLOT_FRAMES).map(move |start| {
            let count = SLOT_FRAMES.min(frames - start);
            let mut samples = [[0.0; SLOT_FRAMES]; 2];
            for (to, from) in samples.iter_mut().zip(block) {
                to[..count].copy_from_slice(&from[start..start + count]);
            }
            Self {
                position: position + start as u64,
                epoch,
                frames: count as u16,
                song_position: song_position.saturating_add(start as i64),
                samples,
            }
        })
    }
}

/// Up to [`SLOT_FRAMES`] frames of the travelling stems on their way from the network to the audio thread.
/// Need not be aligned, but never crosses a multiple of [`SLOT_FRAMES`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StemSlot {
    /// Position of the first frame.
    pub position: u64,
    /// How many frames of `samples` count.
    pub frames: u16,
    /// What the channels are; of interest to a playout that takes any model.
    pub layout: Layout,
    /// `[channel][frame]`: left and right of each travelling stem, in the model's order; the rest is unused.
    pub samples: [[f32; SLOT_FRAMES]; MAX_TRAVELLING_CHANNELS],
}

impl StemSlot {
    /// Cuts a chunk, `channels[channel][frame]` of equal lengths with the first frame at `first_frame`,
    /// into slots that keep to the grid, laid out in the model's order with the last stem closing the sum.
    /// Channels beyond [`MAX_TRAVELLING_CHANNELS`] are left out.
    pub fn cut<C: AsRef<[f32]>>(first_frame: u64, channels: &[C]) -> impl Iterator<Item = Self> + '_ {
        let frames = channels.iter().map(|c| c.as_ref().len()).min().unwrap_or(0);
        let stem_count = channels.len() / 2 + 1;
        let layout = Layout::in_order(stem_count, stem_count - 1);
        let mut start = 0;
        std::iter::from_fn(move || {
            let position = first_frame.checked_add(start as u64)?;
            let to_border = SLOT_FRAMES - (position % SLOT_FRAMES as u64) as usize;
            let count = to_border.min(frames - start);
            if count == 0 {
                return None;
            }
            let mut samples = [[0.0; SLOT_FRAMES]; MAX_TRAVELLING_CHANNELS];
            for (to, from) in samples.iter_mut().zip(channels) {
                to[..count].copy_from_slice(&from.as_ref()[start..start + count]);
            }
            start += count;
            Some(Self { position, frames: count as u16, layout, samples })
        })
    }
}
