//! Whether a live take is whole, by the figures that `rehearsekit stream --json` reported of it. A pure function: it
//! reads no file, asks no clock, and believes nothing but the report.

use serde_json::Value;

/// Frames in one of the slots that `underruns` counts.
const SLOT_FRAMES: f64 = 64.0;
/// From this share of the music on a take is broken: it is not what the model can do, and nobody should judge it by that.
const BROKEN_SHARE: f64 = 0.01;
/// Inference that takes this share of its hop leaves no time for anything else.
const FULL_SHARE: f64 = 0.9;
/// Other programs that use less of the cores than this are no reason.
const BUSY_SHARE: f64 = 0.25;
/// How long the machine is looked at.
const LOOK_ON: std::time::Duration = std::time::Duration::from_millis(500);

/// What a take is worth.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Verdict {
    /// Every stem was there in time.
    Whole,
    /// Here and there the song was heard instead of stems; a sentence about it.
    Hiccups(String),
    /// What was recorded is not what the model can do: what is wrong, and why.
    Broken {
        /// How much of it is missing.
        what: String,
        /// What the figures say of the reason.
        why: String,
    },
}

/// How busy the machine was before the take began, when nothing of ours ran.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Load {
    /// The share of all cores that other programs used, 0 to 1.
    pub(crate) share: f64,
    /// Cores that there are.
    pub(crate) cores: usize,
}

impl Load {
    /// Looks on for a moment; `None` where the system has no such figure.
    pub(crate) fn measure() -> Option<Self> {
        let [busy, all] = Self::jiffies()?;
        std::thread::sleep(LOOK_ON);
        let [busy_then, all_then] = Self::jiffies()?;
        let share = (busy_then - busy) / (all_then - all).max(1.0);
        Some(Self { share, cores: std::thread::available_parallelism().ok()?.get() })
    }

    /// What all cores together have worked and been there for, since the machine started.
    fn jiffies() -> Option<[f64; 2]> {
        Self::read(&std::fs::read_to_string("/proc/stat").ok()?)
    }

    fn read(stat: &str) -> Option<[f64; 2]> {
        let line = stat.lines().next()?.strip_prefix("cpu ")?;
        // user, nice, system, idle, waiting for disks, interrupts, soft interrupts, stolen by the hypervisor
        let parts: Vec<f64> =
            line.split_whitespace().take(8).map(str::parse).collect::<Result<_, _>>().ok()?;
        let all = parts.iter().sum::<f64>();
        let idle = parts.get(3)? + parts.get(4)?;
        Some([all - idle, all])
    }
}

impl Verdict {
    /// Whether the take should be made again.
    pub(crate) fn is_broken(&self) -> bool {
        matches!(self, Self::Broken { .. })
    }

    /// In sentences; nothing of a take that is whole.
    pub(crate) fn sentences(&self) -> Option<String> {
        match self {
            Self::Whole => None,
            Self::Hiccups(sentence) => Some(sentence.clone()),
            Self::Broken { what, why } => Some(format!("{what} {why}")),
        }
    }
}

/// Judges the take by `report`, the JSON of `rehearsekit stream`.
pub(crate) fn judge(report: &Value, load: Option<Load>) -> Verdict {
    let count = |key: &str| report[key].as_f64().filter(|value| value.is_finite() && *value >= 0.0);
    let (Some(slots), Some(frames), Some(rate_hz)) = (count("underruns"), count("frames"), count("rate_hz"))
    else {
        return Verdict::Broken {
            what: "Nobody knows how much of this take is missing.".to_owned(),
            why: "Its report counts neither slots nor frames; that is a fault of the program.".to_owned(),
        };
    };
    let missing = count("missing_frames").unwrap_or(0.0).max(slots * SLOT_FRAMES);
    if missing == 0.0 {
        return Verdict::Whole;
    }
    let share = missing / frames.max(1.0);
    let seconds = missing / rate_hz.max(1.0);
    let missed = format!("{slots:.0} of its {:.0} slots of music came without stems", frames / SLOT_FRAMES);
    if share < BROKEN_SHARE {
        return Verdict::Hiccups(format!(
            "{missed} ({seconds:.2} s in all); there the song itself is heard."
        ));
    }
    Verdict::Broken {
        what: format!(
            "{missed} ({seconds:.1} s, {:.0} %); there the song itself is heard, so this take is not what the model can do.",
            (share * 100.0).min(100.0)
        ),
        why: why(report, load),
    }
}

/// What the figures say of the reason.
fn why(report: &Value, load: Option<Load>) -> String {
    let figure = |key: &str, part: &str| report[key][part].as_f64();
    let millis = |frames: &str| Some(report[frames].as_f64()? / report["rate_hz"].as_f64()? * 1e3);
    let busy = load.filter(|load| load.share >= BUSY_SHARE).map(|load| {
        format!(
            " Before it began, other programs used {:.0} % of the {} cores.",
            load.share * 100.0,
            load.cores
        )
    });
    let busy = busy.unwrap_or_default();
    let breaks = report["reconnects"].as_u64().unwrap_or(0);
    if breaks > 0 {
        return format!("The connection to the server broke {breaks} times; see the server's log.");
    }
    match (figure("inference_millis", "p50"), figure("inference_millis", "p99"), millis("hop_frames")) {
        (Some(p50), Some(p99), Some(hop)) if p99 >= FULL_SHARE * hop => format!(
            "Computing was slower than the music: {hop:.0} ms of music took {p50:.0} ms, and {p99:.0} ms at worst \
             (p99).{busy} Close other programs, and try again."
        ),
        _ => match (figure("turnaround_millis", "p99"), millis("latency_frames")) {
            (Some(p99), Some(latency)) => format!(
                "Stems came back late: the slowest hundredth took {p99:.0} ms where the latency is {latency:.0} \
                 ms.{busy} Close other programs, and try again."
            ),
            _ => format!("No stems came back at all.{busy} See the server's log."),
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// As `stream` reports of 10.9 s of music at 2.5 s; `underruns` slots are missing.
    fn report(underruns: u64, inference_p99: f64) -> Value {
        json!({"rate_hz": 44_100, "frames": 480_690, "latency_frames": 110_250, "hop_frames": 44_100,
            "underruns": underruns, "late": 3, "lost": 0, "missing_frames": underruns * 64, "reconnects": 0,
            "inference_millis": {"p50": 1_400.0, "p99": inference_p99}, "turnaround_millis": {"p99": 4_100.0}})
    }

    #[test]
    fn a_take_with_a_third_of_its_slots_missing_is_broken_and_says_why() {
        let busy = Some(Load { share: 0.93, cores: 2 });
        let Verdict::Broken { what, why } = judge(&report(2_437, 2_900.0), busy) else {
            panic!("not broken")
        };
        assert!(what.contains("2437 of its 7511 slots") && what.contains("32 %"), "{what}");
        assert!(why.contains("1000 ms of music took 1400 ms"), "{why}");
        assert!(why.contains("other programs used 93 % of the 2 cores"), "{why}");
    }

    #[test]
    fn a_take_without_a_hole_is_whole_and_one_hole_is_told_but_breaks_nothing() {
        assert_eq!(judge(&report(0, 300.0), None), Verdict::Whole);
        let one = judge(&report(1, 300.0), None);
        assert!(!one.is_broken());
        assert!(one.sentences().is_some_and(|said| said.contains("1 of its 7511 slots")));
    }

    #[test]
    fn stems_that_are_late_although_computing_was_quick_are_told_from_slow_computing() {
        let verdict = judge(&report(2_437, 300.0), Some(Load { share: 0.05, cores: 8 }));
        let said = verdict.sentences().unwrap();
        assert!(said.contains("4100 ms where the latency is 2500 ms"), "{said}");
        assert!(!said.contains("Before it began"), "an idle machine is not blamed: {said}");
    }

    #[test]
    fn the_machines_own_figures_are_read() {
        let stat = "cpu  10 1 5 80 4 0 0 0 0 0\ncpu0 10 1 5 80 4 0 0 0 0 0\n";
        assert_eq!(Load::read(stat), Some([16.0, 100.0]));
        assert_eq!(Load::read("cpu  10 x\n"), None);
        assert_eq!(Load::read(""), None);
    }

    #[test]
    fn a_connection_that_broke_is_the_reason() {
        let mut of = report(2_437, 300.0);
        of["reconnects"] = json!(2);
        assert!(judge(&of, None).sentences().unwrap().contains("broke 2 times"));
    }

    #[test]
    fn what_reports_nothing_is_not_called_whole() {
        for odd in [json!({}), json!(null), json!({"underruns": "many"}), json!({"underruns": -1})] {
            assert!(judge(&odd, None).is_broken(), "{odd}");
        }
        let nothing_came = json!({"rate_hz": 44_100, "frames": 64_000, "underruns": 1_000});
        assert!(judge(&nothing_came, None).sentences().unwrap().contains("100 %"));
    }
}
