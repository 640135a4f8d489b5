//! What the engine has found out about the set-up, as the panel shows it. Decides on nothing.

use rehearsekit_gui::{FindingView, Verdict};
use rehearsekit_plugin_engine as engine;

use super::view::sentence;
use crate::shared::Shared;

pub(super) fn findings(shared: &Shared) -> Vec<FindingView> {
    let finding = |found: engine::Finding| FindingView {
        check: sentence(found.check.word()),
        verdict: match found.verdict {
            engine::Verdict::Good => Verdict::Good,
            engine::Verdict::Warning => Verdict::Warning,
            engine::Verdict::Failed => Verdict::Failed,
        },
        sentence: sentence(&found.sentence),
        name: found.name.unwrap_or_default().to_owned(),
    };
    shared.instance.checkup().into_iter().map(finding).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rehearsekit_plugin_engine::AudioSetup;

    #[test]
    fn the_page_and_the_text_say_the_same() {
        let shared = Shared::default();
        assert_eq!(findings(&shared).len(), 1, "nothing is known before a host switches it on");
        shared.activate(AudioSetup::new(96_000, 512, false));
        let shown = findings(&shared);
        assert!(shown.iter().any(|found| found.check == "Host" && found.sentence.contains("96000 Hz")));
        let text = shared.instance.checkup_report();
        assert_eq!(text.lines().count(), 1 + shown.len(), "{text}");
    }
}
