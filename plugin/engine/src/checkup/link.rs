//! The way to the server: what is measured on it anyway, and what that means.

use rehearsekit_client::LINK_ALLOWANCE;
use rehearsekit_playout::SLOT_FRAMES;

use super::{AIR_MILLIS, Check::Link, Finding, State, ms, times};

/// Links that vary by more are worth a word.
const MUCH_JITTER_MILLIS: f64 = 20.0;

pub(super) fn look(state: &State, all: &mut Vec<Finding>) {
    if !state.plays_live() {
        return;
    }
    all.extend(round_trip(state));
    all.push(needs(state));
    all.extend(breaks(state));
    all.push(missed(state));
}

fn round_trip(state: &State) -> Option<Finding> {
    let trip = state.view.round_trip_millis;
    let means = if state.is_here {
        "the server is on this computer."
    } else {
        "whether over a cable or Wi-Fi cannot be seen from here, but on a cable the two are mostly close together, and on \
         Wi-Fi the second is often many times the first."
    };
    let [usual, slow] = [trip.p50, trip.p99].map(ms);
    (trip.count > 0).then(|| {
        Finding::good(
            Link,
            format!("There and back takes {usual}, and 99 times of 100 at most {slow}: {means}"),
        )
    })
}

fn needs(state: &State) -> Finding {
    let (Some(link), Some(jitter)) = (state.shadow.link, state.shadow.jitter) else {
        return Finding::good(
            Link,
            "What the link needs of the budget is known after half a minute of playing.",
        );
    };
    let mut told = format!(
        "With the music the link needs {} of the budget, {} of it because it varies",
        ms(link),
        ms(jitter)
    );
    let leaves = state.plan_millis().map(|plan| (state.view.budget_millis - plan).max(0.0));
    if let Some(leaves) = leaves {
        told += &format!("; the plan leaves {} for it", ms(leaves));
    }
    let allowed = LINK_ALLOWANCE.as_secs_f64() * 1e3;
    if leaves.is_some_and(|leaves| link + AIR_MILLIS > leaves) {
        told +=
            ", which is too little: take a cable instead of Wi-Fi, or a larger budget on the page Latency.";
        Finding::warning(Link, "link-jitter", told)
    } else if jitter > MUCH_JITTER_MILLIS && link > allowed {
        told += &format!(
            ". That is more than plans reckon with ({allowed:.0} ms): take a cable instead of Wi-Fi, or stay at this budget."
        );
        Finding::warning(Link, "link-jitter", told)
    } else {
        Finding::good(Link, told + ".")
    }
}

fn breaks(state: &State) -> Option<Finding> {
    let breaks = state.shadow.breaks;
    let told = format!(
        "The connection broke {} in the last five minutes, and no latency helps against that: take a cable, another access \
         point, and let this computer not save energy on its network.",
        times(breaks)
    );
    match breaks {
        0 => None,
        1 => Some(Finding::warning(Link, "link-breaks", told)),
        _ => Some(Finding::failed(Link, "link-breaks", told)),
    }
}

fn missed(state: &State) -> Finding {
    let [underruns, late, lost] = state.lately.missed;
    if [underruns, late, lost] == [0; 3] {
        return Finding::good(Link, "Nothing came late and nothing was lost in the last five minutes.");
    }
    let rate_hz = f64::from(state.view.rate_hz.max(1));
    let bridged = ms(underruns as f64 * SLOT_FRAMES as f64 * 1e3 / rate_hz);
    let late = ms(late as f64 * SLOT_FRAMES as f64 * 1e3 / rate_hz);
    let name = state.late_name();
    let todo = match name {
        "server-slow" => {
            "The link is quick enough, so the server has other things to do: look at its load, or take a larger budget"
        }
        _ => "Take a cable instead of Wi-Fi, or a larger budget",
    };
    let told = format!(
        "In the last five minutes stems for {bridged} were not there in time and you heard the song itself ({late} came late, \
         {} never came). {todo}.",
        match lost {
            1 => "1 hop".to_owned(),
            _ => format!("{lost} hops"),
        }
    );
    Finding::warning(Link, name, told)
}
