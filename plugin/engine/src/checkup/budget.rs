//! The latency that was picked: what the plan needs of it, what else the server could hold, and what would do better.

use rehearsekit_client::would_hold;

use super::{Check::Budget, Finding, State, ms};

pub(super) fn look(state: &State, all: &mut Vec<Finding>) {
    if state.plays_live() {
        all.extend(plan(state));
        all.extend(recommended(state));
    }
    all.extend(offers(state));
}

fn model(state: &State) -> &str {
    state.view.model.as_deref().unwrap_or("the model that is asked for")
}

fn plan(state: &State) -> Option<Finding> {
    let (plan, budget) = (state.plan_millis()?, state.view.budget_millis);
    let measured = match state.shadow.needed {
        Some(needed) => format!("; with everything, {} were needed in the last five minutes", ms(needed)),
        None => String::new(),
    };
    let told = format!(
        "Of {} the plan for {} needs {}, which leaves {} for the link{measured}.",
        ms(budget),
        model(state),
        ms(plan),
        ms((budget - plan).max(0.0)),
    );
    Some(Finding::good(Budget, told))
}

fn recommended(state: &State) -> Option<Finding> {
    let budget = ms(state.view.budget_millis);
    if let Some(better) = state.recommendation() {
        let todo = if better.millis.is_some() { " Pick it on the page Latency." } else { "" };
        return Some(Finding::failed(Budget, state.late_name(), format!("{}{todo}", better.sentence)));
    }
    // Before, there is nothing to judge by.
    state.shadow.needed?;
    let smaller = would_hold(state.situation());
    let smaller = smaller.map(|millis| format!("; {millis} ms would hold as well")).unwrap_or_default();
    Some(Finding::good(Budget, format!("The recommended budget is the one you have, {budget}{smaller}.")))
}

/// As the server said when it was asked last.
fn offers(state: &State) -> Option<Finding> {
    let offers = &state.view.offers;
    if offers.is_empty() {
        return None;
    }
    let list = |holds: bool| {
        let those = offers.iter().filter(|offer| offer.holds == holds);
        those.map(|offer| offer.millis.to_string()).collect::<Vec<_>>().join(", ")
    };
    let (whom, model) = (state.whom(), model(state));
    let (holding, others) = (list(true), list(false));
    let own = offers.iter().find(|offer| (f64::from(offer.millis) - state.view.budget_millis).abs() < 1.0);
    let not = if others.is_empty() { String::new() } else { format!(", but not {others}") };
    let told = format!("Asked last, {whom} could hold a budget of {holding} ms with {model}{not}");
    Some(if holding.is_empty() {
        let told = format!(
            "Asked last, {whom} could hold none of the budgets with {model}: take another model, or try later."
        );
        Finding::failed(Budget, "server-refuses", told)
    } else if own.is_some_and(|own| !own.holds) {
        let told = format!("{told}, which is yours: pick one of those on the page Latency.");
        Finding::failed(Budget, "server-refuses", told)
    } else {
        Finding::good(Budget, format!("{told}; the page Latency says what each buys."))
    })
}
