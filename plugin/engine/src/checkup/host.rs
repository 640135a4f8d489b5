//! The program that calls us, and the computer it runs on.

use rehearsekit_audio::SampleRate;
use rehearsekit_client::Decimation;

use super::{
    Check::{Host, Machine},
    Finding, State, ms, times,
};
use crate::lately::HeldUp;

/// A block may take this part of the budget before anything is said about it.
const MUCH_OF_THE_BUDGET: f64 = 0.2;

pub(super) fn look(state: &State, all: &mut Vec<Finding>) {
    if state.view.rate_hz == 0 {
        return;
    }
    all.push(rate(state));
    all.push(latency(state));
    if state.view.offline {
        all.push(bounce(state));
    } else {
        all.push(block(state));
        all.push(pace(state));
    }
}

fn millis_of(state: &State, frames: u64) -> f64 {
    frames as f64 * 1e3 / f64::from(state.view.rate_hz.max(1))
}

fn rate(state: &State) -> Finding {
    let hz = state.view.rate_hz;
    let Ok(rate) = SampleRate::new(hz) else {
        return Finding::failed(
            Host,
            None,
            format!("The host runs at {hz} Hz, which no server takes: set it to 44100 or 48000 Hz."),
        );
    };
    let decimation = Decimation::for_host(rate);
    let told = match decimation.factor() {
        1 => format!("The host runs at {hz} Hz, and so does the way to the server."),
        by => format!(
            "The host runs at {hz} Hz; stems travel at 1/{by} of it, which takes {} of the budget, and what lies above their \
             range stays in the stem that closes the sum. 44100 or 48000 Hz would do as well.",
            ms(millis_of(state, decimation.latency_frames().into()))
        ),
    };
    Finding::good(Host, told)
}

fn latency(state: &State) -> Finding {
    let (told, wanted) = (state.view.latency_frames, state.wanted_frames);
    let said =
        format!("The host was told a latency of {told} frames ({})", ms(millis_of(state, told.into())));
    if told == wanted {
        return Finding::good(Host, format!("{said}, which is your budget."));
    }
    let wanted = ms(millis_of(state, wanted.into()));
    let told = format!(
        "{said}, but your budget is {wanted} now: stop the transport, and if that does not do, switch the plugin off and on, so \
         that the host asks anew."
    );
    Finding::warning(Host, None, told)
}

fn block(state: &State) -> Finding {
    let millis = millis_of(state, state.block_frames.into());
    let budget = state.view.budget_millis;
    let told = format!("The host plays in blocks of up to {} frames ({}", state.block_frames, ms(millis));
    if millis > budget * MUCH_OF_THE_BUDGET {
        let told = format!(
            "{told} of the budget's {}), which is much: a smaller buffer in the host's audio settings leaves more for the model.",
            ms(budget)
        );
        return Finding::warning(Host, None, told);
    }
    Finding::good(Host, format!("{told} of the budget's {}).", ms(budget)))
}

fn pace(state: &State) -> Finding {
    const SWITCH_OFF: &str = "switch that off for this track (Reaper: anticipative FX; Cubase: ASIO-Guard)";
    let bursts = state.view.bursts;
    if state.view.bursting {
        let told = format!("The host renders ahead, so that stems cannot be there in time: {SWITCH_OFF}.");
        return Finding::failed(Host, None, told);
    }
    if bursts > 0 {
        let told = format!(
            "The host has called ahead of real time {} since it was started, but not just now; if the song itself is heard \
             then, {SWITCH_OFF}.",
            times(bursts)
        );
        return Finding::warning(Host, None, told);
    }
    Finding::good(Host, "The host calls in real time and renders nothing ahead.")
}

fn bounce(state: &State) -> Finding {
    match &state.view.error {
        Some(error) => {
            Finding::failed(Host, None, format!("The bounce failed and is silent: {error}. Start it again."))
        }
        None => {
            Finding::good(Host, "The host bounces: each stem is waited for, and no latency is too small.")
        }
    }
}

pub(super) fn look_at_machine(state: &State, all: &mut Vec<Finding>) {
    if state.view.rate_hz == 0 {
        return;
    }
    let HeldUp { times: count, worst } = state.lately.network;
    let worst = ms(worst.as_secs_f64() * 1e3);
    all.push(match count {
        0 => Finding::good(Machine, "This computer's network thread had its turn in time in the last five minutes."),
        _ => Finding::warning(
            Machine,
            None,
            format!(
                "This computer kept its network thread waiting {} in the last five minutes, {worst} at worst: close what else \
                 runs, put a laptop on mains, and switch energy saving off.",
                times(count.into())
            ),
        ),
    });
    let dropped = state.view.counters.dropped_frames;
    if dropped > 0 {
        let told = format!(
            "{} of the song could not be handed to the network, since that stood still: close what else runs on this computer.",
            ms(millis_of(state, dropped))
        );
        all.push(Finding::warning(Machine, None, told));
    }
    if state.view.offline {
        return;
    }
    let HeldUp { times: count, worst } = state.lately.audio;
    let worst = ms(worst.as_secs_f64() * 1e3);
    all.push(match count {
        0 => Finding::good(Machine, "No audio callback came late in the last five minutes."),
        _ => Finding::warning(
            Machine,
            None,
            format!(
                "Audio callbacks came late {} in the last five minutes, {worst} at worst: take a larger buffer in the host's \
                 audio settings, or fewer plugins.",
                times(count.into())
            ),
        ),
    });
}
