//! Pictures of sound: time to the right, pitch upwards on a musician's (logarithmic) scale, loudness as
//! colour. All pictures of one page share one loudness scale, so that a quiet stem looks quiet.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use anyhow::{Context, Result};
use realfft::RealFftPlanner;

use crate::wav::Sound;

const WIDTH: usize = 1200;
const HEIGHT: usize = 200;
const FFT_FRAMES: usize = 4096;
/// From below a bass's low E to where hearing ends.
const LOWEST_HZ: f64 = 35.0;
const HIGHEST_HZ: f64 = 18_000.0;
/// Black is this far below full colour.
const RANGE_DB: f64 = 84.0;
/// The level of one bin that gets full colour.
const TOP_DB: f64 = -14.0;

/// From silence to loud: night, violet, ember, flame, light.
const COLOURS: [[f64; 3]; 6] = [
    [8.0, 8.0, 20.0],
    [52.0, 20.0, 92.0],
    [132.0, 32.0, 108.0],
    [222.0, 76.0, 66.0],
    [252.0, 164.0, 74.0],
    [252.0, 246.0, 210.0],
];

/// Draws `sound` into a PNG file.
///
/// # Errors
/// When it is too odd to transform or the file cannot be written.
pub(crate) fn draw(sound: &Sound, path: &Path) -> Result<()> {
    let pixels = pixels(sound)?;
    let file = File::create(path).with_context(|| format!("could not write {}", path.display()))?;
    let mut encoder = png::Encoder::new(BufWriter::new(file), WIDTH as u32, HEIGHT as u32);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_palette(palette());
    encoder.write_header()?.write_image_data(&pixels)?;
    Ok(())
}

/// 256 colours, as RGB bytes.
fn palette() -> Vec<u8> {
    let steps = (COLOURS.len() - 1) as f64;
    let colour = |index: usize| {
        let place = index as f64 / 255.0 * steps;
        let from = (place as usize).min(COLOURS.len() - 2);
        let part = place - from as f64;
        (0..3).map(move |c| (COLOURS[from][c] * (1.0 - part) + COLOURS[from + 1][c] * part).round() as u8)
    };
    (0..256).flat_map(colour).collect()
}

/// One palette index per pixel, row by row from the top.
fn pixels(sound: &Sound) -> Result<Vec<u8>> {
    let transform = RealFftPlanner::<f32>::new().plan_fft_forward(FFT_FRAMES);
    let (mut input, mut spectrum) = (transform.make_input_vec(), transform.make_output_vec());
    let window: Vec<f32> = (0..FFT_FRAMES)
        .map(|i| 0.5 - 0.5 * (std::f32::consts::TAU * i as f32 / FFT_FRAMES as f32).cos())
        .collect();
    let bins: Vec<(usize, usize)> = (0..HEIGHT).map(|row| bins_of_row(row, sound.rate_hz)).collect();
    let mut image = vec![0_u8; WIDTH * HEIGHT];
    for x in 0..WIDTH {
        let centre = (x as f64 + 0.5) / WIDTH as f64 * sound.frames() as f64;
        let first = centre as isize - (FFT_FRAMES / 2) as isize;
        for (i, (slot, weight)) in input.iter_mut().zip(&window).enumerate() {
            let frame = usize::try_from(first + i as isize).ok();
            let at = |channel: &Vec<f32>| frame.and_then(|f| channel.get(f)).copied().unwrap_or(0.0);
            *slot = weight * sound.channels.iter().map(at).sum::<f32>() / sound.channels.len().max(1) as f32;
        }
        transform.process(&mut input, &mut spectrum).context("could not transform a piece of sound")?;
        for (row, (low, high)) in bins.iter().enumerate() {
            let power = spectrum[*low..*high].iter().map(|bin| f64::from(bin.norm_sqr())).fold(0.0, f64::max);
            // A full-scale sine gives FFT_FRAMES/4 in its bin (Hann's mean is a half, and half goes to each side).
            let level_db = 10.0 * (power / (FFT_FRAMES as f64 / 4.0).powi(2)).log10();
            let part = ((level_db - TOP_DB) / RANGE_DB + 1.0).clamp(0.0, 1.0);
            image[row * WIDTH + x] = (part * 255.0) as u8;
        }
    }
    Ok(image)
}

/// The bins `[low, high)` that a row shows; never none.
fn bins_of_row(row: usize, rate_hz: u32) -> (usize, usize) {
    let highest = HIGHEST_HZ.min(f64::from(rate_hz) / 2.0);
    let pitch = |edge: usize| highest * (LOWEST_HZ / highest).powf(edge as f64 / HEIGHT as f64);
    let bin = |hz: f64| (hz * FFT_FRAMES as f64 / f64::from(rate_hz)).round() as usize;
    let low = bin(pitch(row + 1)).min(FFT_FRAMES / 2 - 1);
    (low, bin(pitch(row)).clamp(low + 1, FFT_FRAMES / 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tone_is_a_bright_line_at_its_pitch_and_silence_is_dark() {
        let tone: Vec<f32> = (0..44_100)
            .map(|i| 0.5 * (std::f32::consts::TAU * 1_000.0 * i as f32 / 44_100.0).sin())
            .collect();
        let image = pixels(&Sound { rate_hz: 44_100, channels: vec![tone] }).unwrap();
        let column: Vec<u8> = (0..HEIGHT).map(|row| image[row * WIDTH + WIDTH / 2]).collect();
        let brightest = (0..HEIGHT).max_by_key(|row| column[*row]).unwrap();
        let (low, high) = bins_of_row(brightest, 44_100);
        let tone_bin = (1_000.0 * FFT_FRAMES as f64 / 44_100.0).round() as usize;
        assert!((low.saturating_sub(1)..=high).contains(&tone_bin), "{low}..{high} for {tone_bin}");
        assert_eq!(column[10], 0);
        let silent = pixels(&Sound { rate_hz: 44_100, channels: vec![vec![0.0; 100]] }).unwrap();
        assert!(silent.iter().all(|pixel| *pixel == 0));
    }

    #[test]
    fn every_row_has_bins_at_any_rate() {
        for rate_hz in [8_000, 44_100, 192_000] {
            for row in 0..HEIGHT {
                let (low, high) = bins_of_row(row, rate_hz);
                assert!(low < high && high <= FFT_FRAMES / 2, "{rate_hz} {row}");
            }
        }
    }
}
