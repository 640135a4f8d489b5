//! Which budget this link would do better with: arithmetic on what was measured, in sentences for musicians.
//!
//! A recommendation only ever leads up, and nobody but the player follows it. It must not flicker: it comes when the
//! present budget has been too small on several occasions, and goes when the need has become clearly less.

use crate::{BudgetOffer, ShadowFigures};

/// What the network's task and the playout take beside everything that is measured, and a little air.
const MARGIN_MILLIS: f64 = 5.0;
/// A recommendation goes when the need has fallen below the budget by this part of it.
const CLEAR: f64 = 0.1;
/// So often in five minutes a connection may break before anything is said about it.
const BREAKS_FORGIVEN: u64 = 1;

/// What a recommendation depends on.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'a> {
    /// The present budget, in ms of the host's time.
    pub budget_millis: f64,
    /// What the server offers, the present budget among it if it can tell.
    pub offers: &'a [BudgetOffer],
    /// In ms, as [`LinkStats`](crate::LinkStats) has it.
    pub shadow: &'a ShadowFigures,
    /// What was missed in this session, in whatever unit: without any, no larger budget is recommended.
    pub missed: u64,
}

/// Another budget would do better, or none would.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recommendation {
    /// The budget to pick, in ms; none where no budget helps.
    pub millis: Option<u32>,
    /// Why, in a sentence for the player.
    pub sentence: String,
}

/// What to recommend now, given what was recommended a moment ago.
pub fn recommend(now: Situation<'_>, standing: Option<&Recommendation>) -> Option<Recommendation> {
    let Situation { budget_millis, shadow, missed, .. } = now;
    if shadow.breaks > BREAKS_FORGIVEN {
        let times = shadow.breaks;
        let sentence = format!(
            "The connection broke {times} times in the last five minutes, and no latency helps against that; a cable may."
        );
        return Some(Recommendation { millis: None, sentence });
    }
    let needed = shadow.needed.filter(|_| missed > 0)?;
    let enough = if standing.is_some() { budget_millis * (1.0 - CLEAR) } else { budget_millis };
    if needed <= enough {
        return None;
    }
    let beside = now.beside_the_plan(needed);
    let larger = now.offers.iter().filter(|offer| f64::from(offer.millis) > budget_millis);
    let holding = |air: f64| {
        let holds = move |offer: &&BudgetOffer| now.holds(offer, needed, beside * air);
        larger.clone().filter(holds).map(|offer| offer.millis)
    };
    let millis = match standing.and_then(|standing| standing.millis) {
        // One that stands stays, unless it does not hold any more or a smaller one would with room to spare.
        Some(stands) if holding(1.0).any(|millis| millis == stands) => {
            holding(1.0 + CLEAR).chain([stands]).min()
        }
        _ => holding(1.0).min(),
    };
    let why = now.why(needed);
    let sentence = match millis {
        Some(millis) => format!("{why} {millis} ms would hold."),
        None => format!("{why} No latency of this server's holds that; a cable or fewer players may help."),
    };
    Some(Recommendation { millis, sentence })
}

/// The smallest budget below the present one that would hold as well; only to be mentioned. Nothing as long as less
/// than a minute is known, or the server does not say what its plans need.
pub fn would_hold(now: Situation<'_>) -> Option<u32> {
    let needed = now.shadow.needed.filter(|_| now.shadow.stretches >= 6)?;
    let beside = now.beside_the_plan(needed);
    let smaller = now.offers.iter().filter(|offer| f64::from(offer.millis) < now.budget_millis);
    let holds = |offer: &&BudgetOffer| {
        offer.need_millis.is_some() && now.holds(offer, needed, beside * (1.0 + CLEAR))
    };
    smaller.filter(holds).map(|offer| offer.millis).min()
}

impl Situation<'_> {
    /// What the plan of the present budget needs, as the server says.
    fn plan_millis(&self) -> Option<f64> {
        let present = |offer: &&BudgetOffer| (f64::from(offer.millis) - self.budget_millis).abs() < 1.0;
        self.offers.iter().find(present)?.need_millis
    }

    /// What is to be added to a plan: the link's part, or all that was needed beyond the present plan if that is more.
    fn beside_the_plan(&self, needed: f64) -> f64 {
        let beyond = self.plan_millis().map_or(0.0, |plan| needed - plan);
        self.shadow.link.unwrap_or_default().max(beyond)
    }

    /// Whether an offer holds with this much beside its plan. Where the server does not say what the plan needs, it is
    /// taken for as demanding as the present one.
    fn holds(&self, offer: &BudgetOffer, needed: f64, beside: f64) -> bool {
        let plan = offer.need_millis.unwrap_or(needed - self.beside_the_plan(needed));
        offer.holds && plan + beside + MARGIN_MILLIS <= f64::from(offer.millis)
    }

    fn why(&self, needed: f64) -> String {
        let (budget, needed) = (self.budget_millis.round(), needed.ceil());
        let link = self.shadow.link.unwrap_or_default();
        match self.plan_millis() {
            // What is missing is not explained by the link.
            Some(plan) if plan + link + MARGIN_MILLIS < self.budget_millis => format!(
                "Stems come too late for {budget} ms, because the server is busier than it planned: {needed} ms is what it takes now."
            ),
            _ => format!("Stems come too late for {budget} ms over this link: it needs {needed} ms."),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offers(of: &[(u32, f64)]) -> Vec<BudgetOffer> {
        let offer = |&(millis, need)| BudgetOffer {
            millis,
            holds: need <= f64::from(millis),
            quality_db: None,
            words: String::new(),
            need_millis: Some(need),
        };
        of.iter().map(offer).collect()
    }

    /// A plan for 350 ms that fills it, as plans do: the next that leaves room is 500 ms.
    fn usual() -> Vec<BudgetOffer> {
        offers(&[(93, 110.0), (180, 170.0), (250, 200.0), (350, 335.0), (500, 400.0), (750, 420.0)])
    }

    fn shadow(needed: f64, link: f64) -> ShadowFigures {
        ShadowFigures { needed: Some(needed), link: Some(link), stretches: 30, ..ShadowFigures::default() }
    }

    fn at<'a>(offers: &'a [BudgetOffer], shadow: &'a ShadowFigures, missed: u64) -> Situation<'a> {
        Situation { budget_millis: 250.0, offers, shadow, missed }
    }

    fn millis(offers: &[BudgetOffer], needed: f64, link: f64) -> Option<Option<u32>> {
        recommend(at(offers, &shadow(needed, link), 7), None).map(|r| r.millis)
    }

    #[test]
    fn it_leads_up_to_the_smallest_that_holds_and_never_down() {
        let offers = usual();
        assert_eq!(millis(&offers, 249.0, 20.0), None);
        assert_eq!(millis(&offers, 100.0, 1.0), None);
        // 350 ms leaves 15 ms for the link, 500 ms leaves 100.
        assert_eq!(millis(&offers, 255.0, 9.0), Some(Some(500)));
        assert_eq!(millis(&offers, 260.0, 80.0), Some(Some(500)));
        assert_eq!(millis(&offers, 290.0, 110.0), Some(Some(750)));
        assert_eq!(millis(&offers, 900.0, 800.0), Some(None));
        assert_eq!(recommend(at(&offers, &shadow(300.0, 90.0), 0), None), None);
        assert_eq!(recommend(at(&offers, &ShadowFigures::default(), 7), None), None);
        assert_eq!(recommend(at(&[], &shadow(300.0, 90.0), 7), None).unwrap().millis, None);
    }

    #[test]
    fn without_a_word_about_plans_the_present_one_is_assumed() {
        let silent = |offer: BudgetOffer| BudgetOffer { need_millis: None, ..offer };
        let offers: Vec<_> = usual().into_iter().map(silent).collect();
        assert_eq!(millis(&offers, 290.0, 110.0), Some(Some(350)));
        assert_eq!(millis(&offers, 349.0, 110.0), Some(Some(500)));
        assert_eq!(would_hold(at(&offers, &shadow(100.0, 5.0), 0)), None);
    }

    #[test]
    fn it_does_not_flicker() {
        let offers = usual();
        let mut standing = None;
        let mut seen = Vec::new();
        for (needed, link) in [
            (249.0, 45.0),
            (251.0, 50.0),
            (249.0, 45.0),
            (230.0, 40.0),
            (301.0, 96.0),
            (295.0, 94.0),
            (290.0, 88.0),
            (285.0, 80.0),
            (226.0, 40.0),
            (224.0, 40.0),
            (249.0, 45.0),
        ] {
            let shadow = shadow(needed, link);
            standing = recommend(at(&offers, &shadow, 7), standing.as_ref());
            seen.push(standing.as_ref().and_then(|r: &Recommendation| r.millis));
        }
        let (five, seven) = (Some(500), Some(750));
        assert_eq!(seen, [None, five, five, five, seven, seven, seven, five, five, None, None]);
    }

    #[test]
    fn sentences_name_who_is_to_blame() {
        let offers = usual();
        let said = |needed, link| recommend(at(&offers, &shadow(needed, link), 7), None).unwrap().sentence;
        assert_eq!(
            said(283.4, 83.0),
            "Stems come too late for 250 ms over this link: it needs 284 ms. 500 ms would hold."
        );
        assert!(said(283.4, 3.0).contains("the server is busier than it planned"));
        assert!(said(2_000.0, 1_800.0).contains("No latency"));
        let broken = ShadowFigures { breaks: 3, ..shadow(200.0, 3.0) };
        let said = recommend(at(&offers, &broken, 7), None).unwrap();
        assert!(said.millis.is_none() && said.sentence.contains("broke 3 times"), "{said:?}");
        let once = ShadowFigures { breaks: 1, ..broken };
        assert_eq!(recommend(at(&offers, &once, 7), None), None);
    }

    #[test]
    fn smaller_budgets_are_only_mentioned() {
        let offers = offers(&[(50, 80.0), (93, 81.0), (180, 170.0), (250, 200.0)]);
        assert_eq!(would_hold(at(&offers, &shadow(201.0, 1.0), 0)), Some(93));
        assert_eq!(would_hold(at(&offers, &shadow(208.0, 8.0), 0)), None);
        let early = ShadowFigures { stretches: 5, ..shadow(201.0, 1.0) };
        assert_eq!(would_hold(at(&offers, &early, 0)), None);
    }
}
