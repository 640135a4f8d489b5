//! How good a plan is beside the same model offline: looked up among what was measured, never computed.
//!
//! The planner's own formula ranks plans by what they should be worth; what a player is shown is measured. A
//! geometry that nobody measured has no figure. This module must not run anything.

use serde::{Deserialize, Serialize};

use crate::plan::Geometry;

/// A synthesis window that differs by no more than this share of a step is about as good.
const SYNTHESIS_SLACK: f64 = 0.125;
/// A hybrid model's hop that is longer or shorter by no more than this factor is about as good.
const HOP_SLACK: f64 = 1.125;
/// Further from offline than this is a typing mistake, in dB.
pub(crate) const MOST_DB: f32 = 100.0;

/// A way to run a model live that was measured. In the family's own units, as `rehearsekit eval` takes them:
/// columns for a spectral model, frames at its rate for a hybrid one; the window always in columns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeasuredQuality {
    /// Columns of the window.
    pub window: usize,
    /// New audio per inference.
    pub hop: usize,
    /// What the model sees after the hop.
    pub look_ahead: usize,
    /// Effective frames of a spectral model's synthesis window; nothing for a hybrid one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub synthesis_frames: Option<usize>,
    /// Live minus offline, in dB of SDR.
    pub relative_db: f32,
}

/// What is known of a geometry's quality.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quality {
    /// Live minus offline, in dB of SDR.
    pub relative_db: f32,
    /// Whether the measured geometry was a little different.
    pub is_about: bool,
}

/// The measured point that is `geometry`, or the nearest of those that differ little from it.
pub fn look_up(measured: &[MeasuredQuality], geometry: &Geometry) -> Option<Quality> {
    // How far apart in units of what counts as little; `None` for what is something else.
    let distance = |point: &MeasuredQuality| match geometry {
        Geometry::Unet(g) => {
            let same = (point.window, point.hop, point.look_ahead) == (g.columns, g.hop, g.look_ahead);
            let apart = point.synthesis_frames.filter(|_| same)?.abs_diff(g.effective_frames);
            Some(apart as f64 / g.step_frames as f64 / SYNTHESIS_SLACK)
        }
        Geometry::Hybrid(g) => {
            let same = (point.window, point.look_ahead, point.synthesis_frames)
                == (g.columns, g.look_ahead_frames, None);
            same.then(|| (point.hop as f64 / g.hop_frames as f64).ln().abs() / HOP_SLACK.ln())
        }
    };
    let near = measured.iter().filter_map(|point| Some((distance(point).filter(|d| *d <= 1.0)?, point)));
    let (distance, point) = near.min_by(|(a, _), (b, _)| a.total_cmp(b))?;
    Some(Quality { relative_db: point.relative_db, is_about: distance > 0.0 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        families::hybrid::HybridGeometry,
        manifest::{Family, built_in},
        plan::unet_geometry,
    };

    fn point(hop: usize, synthesis_frames: Option<usize>, relative_db: f32) -> MeasuredQuality {
        MeasuredQuality { window: 64, hop, look_ahead: 1_024, synthesis_frames, relative_db }
    }

    #[test]
    fn a_spectral_model_is_known_by_hop_look_ahead_and_synthesis() {
        let mut unets = built_in().into_iter().filter_map(|m| match m.family {
            Family::SpectralUnet(settings) => Some(settings),
            Family::HybridDemucs(_) => None,
        });
        let settings = unets.next().unwrap();
        let unet = |hop, effective| Geometry::Unet(unet_geometry(&settings, 64, hop, 1_024, effective));
        let table = [point(1, Some(2_048), -1.0), point(1, Some(2_200), -0.5), point(1, None, 9.0)];
        let seen =
            |hop, effective| look_up(&table, &unet(hop, effective)).map(|q| (q.relative_db, q.is_about));
        assert_eq!(seen(1, 2_048), Some((-1.0, false)));
        assert_eq!(seen(1, 2_100), Some((-1.0, true)));
        assert_eq!(seen(1, 2_328), Some((-0.5, true)));
        assert_eq!(seen(1, 2_329), None);
        assert_eq!(seen(2, 2_048), None);
    }

    #[test]
    fn a_hybrid_model_is_known_by_window_look_ahead_and_about_the_hop() {
        let hybrid = |columns, hop_frames, look_ahead_frames| {
            let fade_frames = 1_024;
            Geometry::Hybrid(HybridGeometry {
                columns,
                hop_frames,
                look_ahead_frames,
                fade_frames,
                share_residual: true,
            })
        };
        let table = [point(16_384, None, -0.4), point(8_192, None, -0.9), point(10_000, Some(1), 9.0)];
        let seen = |columns, hop, look_ahead| {
            look_up(&table, &hybrid(columns, hop, look_ahead)).map(|q| (q.relative_db, q.is_about))
        };
        assert_eq!(seen(64, 16_384, 1_024), Some((-0.4, false)));
        assert_eq!(seen(64, 18_000, 1_024), Some((-0.4, true)));
        assert_eq!(seen(64, 7_400, 1_024), Some((-0.9, true)));
        assert_eq!(seen(64, 10_000, 1_024), None);
        assert_eq!(seen(84, 16_384, 1_024), None);
        assert_eq!(seen(64, 16_384, 2_048), None);
    }
}
