//! The sound whose truth is known: every case of the corpus is made of it. Values only: no files, no encoders.

/// Frames per channel are always odd and no multiple of any codec's frame, so that padding shows.
const SECONDS: f64 = 1.3;
const ODD_FRAMES: usize = 17;

/// A sound: `channels[c][frame]`, full scale at 1.
#[derive(Clone)]
pub struct Signal {
    /// Frames per second.
    pub rate_hz: u32,
    /// Planar samples.
    pub channels: Vec<Vec<f32>>,
}

impl Signal {
    /// Struck tones over a little noise, a different mixture per channel; its onsets make any lag visible. The
    /// samples lie on the grid of `bits` per sample, so that an integer format of that many bits holds them exactly.
    pub fn new(rate_hz: u32, channels: usize, bits: u32) -> Self {
        let frames = (f64::from(rate_hz) * SECONDS) as usize + ODD_FRAMES;
        let channels = (0..channels).map(|channel| voice(rate_hz, frames, channel, bits)).collect();
        Self { rate_hz, channels }
    }

    /// Frames per channel.
    pub fn frames(&self) -> usize {
        self.channels.first().map_or(0, Vec::len)
    }

    /// This sound and then `other`, which has the same rate and channels.
    pub fn then(&self, other: &Self) -> Self {
        let mut both = self.clone();
        for (channel, more) in both.channels.iter_mut().zip(&other.channels) {
            channel.extend_from_slice(more);
        }
        both
    }
}

fn voice(rate_hz: u32, frames: usize, channel: usize, bits: u32) -> Vec<f32> {
    let rate = f64::from(rate_hz);
    let steps = f64::from(1u32 << (bits - 1));
    let mut noise = 0x9e37_79b9_u32.wrapping_mul(channel as u32 + 1) | 1;
    (0..frames)
        .map(|frame| {
            let time = frame as f64 / rate;
            // A stroke every 0.21 s, each a third higher than the one before.
            let stroke = (time / 0.21) as i32;
            let since = time - f64::from(stroke) * 0.21;
            let pitch = 220.0 * (1.0 + 0.5 * channel as f64) * 2f64.powf(f64::from(stroke) / 3.0);
            let tone = if pitch < rate / 2.5 {
                (std::f64::consts::TAU * pitch * since).sin() * (-since * 9.0).exp()
            } else {
                0.0
            };
            noise ^= noise << 13;
            noise ^= noise >> 17;
            noise ^= noise << 5;
            let hiss = f64::from(noise) / f64::from(u32::MAX) - 0.5;
            let value = 0.55 * tone + 0.02 * hiss;
            ((value * steps).round() / steps) as f32
        })
        .collect()
}
