//! Compares a decoded song with the truth. Pure arithmetic: it knows no files and no decoders.

/// How far a song may lie beside the truth for the search to see it.
const LAG_SEARCH_FRAMES: usize = 3_000;
/// The part of the song that is laid beside the truth: longer than the time from stroke to stroke, since a tone that
/// fades away looks the same a period later.
const PIECE: usize = 4;

/// Where `ours` lies beside `truth`: positive when ours comes later. Planar, equally many channels.
pub fn lag_frames(truth: &[Vec<f32>], ours: &[Vec<f32>]) -> i64 {
    let (truth, ours) = (mono(truth), mono(ours));
    let start = truth.len() / 3;
    let piece = &truth[start..start + truth.len() / PIECE];
    let reach = start.min(LAG_SEARCH_FRAMES) as i64;
    let score = |lag: &i64| -> f64 {
        let from = (start as i64 + lag) as usize;
        let Some(there) = ours.get(from..(from + piece.len()).min(ours.len())) else { return f64::MIN };
        let energy: f64 = there.iter().map(|&s| f64::from(s) * f64::from(s)).sum();
        let cross: f64 = piece.iter().zip(there).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum();
        cross / energy.sqrt().max(1e-9)
    };
    (-reach..=LAG_SEARCH_FRAMES as i64)
        .max_by(|a, b| score(a).total_cmp(&score(b)).then(b.abs().cmp(&a.abs())))
        .unwrap_or(0)
}

/// The error of `ours` against `truth` in dB below the truth's energy, over the frames that both have.
pub fn residual_db(truth: &[Vec<f32>], ours: &[Vec<f32>]) -> f64 {
    let (mut signal, mut error) = (0.0f64, 0.0f64);
    for (truth, ours) in truth.iter().zip(ours) {
        for (&t, &o) in truth.iter().zip(ours) {
            signal += f64::from(t) * f64::from(t);
            error += (f64::from(t) - f64::from(o)).powi(2);
        }
    }
    10.0 * (error.max(1e-30) / signal.max(1e-30)).log10()
}

fn mono(channels: &[Vec<f32>]) -> Vec<f32> {
    let frames = channels.first().map_or(0, Vec::len);
    (0..frames).map(|frame| channels.iter().map(|c| c[frame]).sum()).collect()
}

#[cfg(test)]
#[test]
fn a_known_lag_and_a_known_error_are_found() {
    let truth = crate::signal::Signal::new(44_100, 2, 16).channels;
    assert_eq!(lag_frames(&truth, &truth), 0);
    let late: Vec<Vec<f32>> = truth.iter().map(|c| [vec![0.0; 1_105], c.clone()].concat()).collect();
    assert_eq!(lag_frames(&truth, &late), 1_105);
    let early: Vec<Vec<f32>> = truth.iter().map(|c| c[529..].to_vec()).collect();
    assert_eq!(lag_frames(&truth, &early), -529);
    let louder: Vec<Vec<f32>> = truth.iter().map(|c| c.iter().map(|s| s * 1.1).collect()).collect();
    assert!((residual_db(&truth, &louder) + 20.0).abs() < 0.01);
}
