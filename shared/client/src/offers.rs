//! The budgets of which a client wants to know what they would buy, and a server's answer in the host's
//! milliseconds. Arithmetic only; asking is the link's business.

use std::time::Duration;

use rehearsekit_audio::{Budget, SampleRate};
use rehearsekit_protocol::{self as protocol, MAX_BUDGET_FRAMES};

use crate::Decimation;

/// What of a budget a session is asked to set aside for the link: both ways, jitter included, on a LAN or loopback.
/// What a link really needs is measured (see [`ShadowFigures`](crate::ShadowFigures)) and told, and moves nothing.
pub const LINK_ALLOWANCE: Duration = Duration::from_millis(10);
/// What a budget picker offers, in ms.
pub const STANDARD_BUDGETS_MILLIS: [u32; 11] = [50, 93, 132, 180, 250, 350, 500, 750, 1_000, 1_500, 2_500];

/// What a budget buys on the server and with the allowance for the link that the session was asked for with.
#[derive(Debug, Clone, PartialEq)]
pub struct BudgetOffer {
    /// The budget as the player picks it, in ms of the host's time.
    pub millis: u32,
    /// Whether the server could hold it.
    pub holds: bool,
    /// How good it is beside the model's own offline separation, in dB (negative is worse); `None` if unknown.
    pub quality_db: Option<f32>,
    /// How the model would be run, or why it cannot be.
    pub words: String,
    /// What of the budget the plan itself needs, everything but the link, in ms; `None` if the server does not say.
    pub need_millis: Option<f64>,
}

/// What to ask for at `rate` beside a session of `latency_frames`, in frames at the wire rate: the standard
/// budgets, and the session's own if it is none of them.
pub fn wanted_offers_frames(rate: SampleRate, latency_frames: u32) -> Vec<u32> {
    wanted(rate, latency_frames).into_iter().map(|(_, wire_frames)| wire_frames).collect()
}

/// The answer to [`wanted_offers_frames`] of the same arguments, smallest budget first; what was not asked for is
/// left out.
pub fn in_millis(
    offers: &[protocol::BudgetOffer],
    rate: SampleRate,
    latency_frames: u32,
) -> Vec<BudgetOffer> {
    let decimation = Decimation::for_host(rate);
    let in_host_millis = |wire_frames: u32| {
        let frames = u64::from(wire_frames) * u64::from(decimation.factor());
        rate.duration(frames + u64::from(decimation.latency_frames())).as_secs_f64() * 1e3
    };
    let told = |(millis, wire_frames)| {
        let offer = offers.iter().find(|offer| offer.budget_frames == wire_frames)?;
        let protocol::BudgetOffer { holds, quality_db, ref words, need_frames, .. } = *offer;
        let need_millis = need_frames.map(in_host_millis);
        Some(BudgetOffer { millis, holds, quality_db, words: words.clone(), need_millis })
    };
    wanted(rate, latency_frames).into_iter().filter_map(told).collect()
}

/// Milliseconds of the host and frames of the wire, ascending.
fn wanted(rate: SampleRate, latency_frames: u32) -> Vec<(u32, u32)> {
    let decimation = Decimation::for_host(rate);
    let standard = STANDARD_BUDGETS_MILLIS.into_iter().filter_map(|millis| {
        let budget = Budget::new(Duration::from_millis(millis.into())).ok()?;
        Some((millis, budget.frames(rate)))
    });
    let own_millis = (rate.duration(latency_frames.into()).as_secs_f64() * 1e3).round() as u32;
    let own = Some((own_millis, latency_frames)).filter(|own| !STANDARD_BUDGETS_MILLIS.contains(&own.0));
    let mut wanted: Vec<(u32, u32)> = standard
        .chain(own)
        .map(|(millis, frames)| (millis, decimation.wire_budget_frames(frames)))
        .filter(|(_, wire_frames)| (1..=MAX_BUDGET_FRAMES).contains(wire_frames))
        .collect();
    wanted.sort_unstable();
    wanted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_comes_back_in_the_milliseconds_that_were_asked_about() {
        for (hz, own_millis) in [(44_100, 300), (48_000, 300), (96_000, 1), (192_000, 20_000)] {
            let rate = SampleRate::new(hz).unwrap();
            let own_frames = own_millis * (hz / 1_000) + own_millis * (hz % 1_000) / 1_000;
            let frames = wanted_offers_frames(rate, own_frames);
            assert!(frames.len() <= protocol::MAX_OFFERS);
            let offers: Vec<_> = frames
                .iter()
                .map(|&budget_frames| protocol::BudgetOffer {
                    budget_frames,
                    holds: budget_frames % 2 == 0,
                    quality_db: None,
                    words: budget_frames.to_string(),
                    need_frames: Some(budget_frames / 2),
                })
                .collect();
            let told = in_millis(&offers, rate, own_frames);
            let mut expected = STANDARD_BUDGETS_MILLIS.to_vec();
            // At 96 kHz nothing of a millisecond is left for the wire.
            expected.extend((own_millis > 1).then_some(own_millis));
            expected.sort_unstable();
            assert_eq!(told.iter().map(|offer| offer.millis).collect::<Vec<_>>(), expected, "{hz} Hz");
            let decimation = Decimation::for_host(rate);
            let at_250 = decimation.wire_budget_frames(hz / 4);
            let offer = told.iter().find(|o| o.millis == 250).unwrap();
            assert_eq!(offer.words, at_250.to_string());
            // What rates cost both ways is the client's own and in it whole.
            let own_millis = f64::from(decimation.latency_frames()) * 1e3 / f64::from(hz);
            let expected = 125.0 + own_millis / 2.0;
            assert!((offer.need_millis.unwrap() - expected).abs() < 0.1, "{offer:?} {expected}");
        }
        // A session of 250 ms asks about no twelfth budget; nor does one that is 250 ms but for a few frames.
        for own in [12_000, 12_010] {
            assert_eq!(wanted_offers_frames(SampleRate::HZ_48000, own).len(), STANDARD_BUDGETS_MILLIS.len());
        }
        assert!(in_millis(&[], SampleRate::HZ_48000, 12_000).is_empty());
    }
}
