//! What a stream has shown: the figures of the link, the playout and the clock.

use std::time::Duration;

use rehearsekit_audio::SampleRate;
use rehearsekit_client::{
    BudgetOffer, LinkStats, Recommendation, ShadowBuffer, Situation, recommend, would_hold,
};
use rehearsekit_media::WrittenStem;
use rehearsekit_playout::PlayoutCounts;
use serde_json::{Value, json};

use crate::{
    args::StreamArgs,
    client::figures::{Misses, Times, offers, tenths},
    failure::Failure,
    output, separate,
};

/// Everything there is to tell after a stream.
pub(super) struct Report<'a> {
    pub(super) args: &'a StreamArgs,
    pub(super) model: String,
    pub(super) plan: String,
    pub(super) offers: Vec<BudgetOffer>,
    pub(super) rate: SampleRate,
    pub(super) latency_frames: u64,
    pub(super) algorithmic_frames: u64,
    pub(super) hop_frames: u64,
    pub(super) look_ahead_frames: u64,
    pub(super) frames: u64,
    pub(super) elapsed: Duration,
    pub(super) link: LinkStats,
    pub(super) playout: PlayoutCounts,
    pub(super) max_slip: Duration,
    pub(super) dropped_mix_frames: u64,
    pub(super) files: Vec<WrittenStem>,
}

impl Report<'_> {
    pub(super) fn print(&self) -> Result<(), Failure> {
        if self.args.json {
            return output::json(&self.json());
        }
        separate::table(&self.files);
        let (link, playout) = (&self.link, &self.playout);
        let millis = |frames: u64| self.rate.duration(frames).as_secs_f64() * 1e3;
        output::note(&format!(
            "{}: {:.1} ms latency ({:.1} ms algorithmic), {} hops; {}",
            self.model,
            millis(self.latency_frames),
            millis(self.algorithmic_frames),
            link.hops,
            self.plan
        ));
        output::note(&format!(
            "{} underruns, {} late, {} lost, {} reconnects, {:.1} ms bridged; slip of the clock at most {:.1} ms",
            playout.underruns,
            link.late,
            link.lost,
            link.reconnects,
            millis(playout.bridged_frames),
            self.max_slip.as_secs_f64() * 1e3
        ));
        output::note(&format!(
            "turnaround {:.1} ms (p99 {:.1}, worst {:.1}), inference {:.1} ms (p99 {:.1}), server's own {:.1} ms (p99 {:.1})",
            link.turnaround_millis.p50,
            link.turnaround_millis.p99,
            link.turnaround_millis.max,
            link.inference_millis.p50,
            link.inference_millis.p99,
            link.server_overhead_millis.p50,
            link.server_overhead_millis.p99
        ));
        output::note(&self.link_quality());
        Ok(())
    }

    /// What the link needs, and what would do better.
    fn link_quality(&self) -> String {
        let (trip, shadow) = (&self.link.round_trip_millis, &self.link.shadow);
        let trip = format!("round trip {:.1} ms (p99 {:.1})", trip.p50, trip.p99);
        let needs = match (shadow.needed, shadow.link, shadow.jitter) {
            (Some(needed), Some(link), Some(jitter)) => format!(
                "{needed:.1} ms are needed, {link:.1} ms of them by the link, which varies by {jitter:.1} ms"
            ),
            _ => "too short to tell what the link needs".to_owned(),
        };
        let advice = match (self.recommendation(), would_hold(self.situation())) {
            (Some(Recommendation { sentence, .. }), _) => format!(". {sentence}"),
            (None, Some(millis)) => format!("; {millis} ms would hold as well"),
            (None, None) => String::new(),
        };
        format!("{trip}; {needs}{advice}")
    }

    fn recommendation(&self) -> Option<Recommendation> {
        recommend(self.situation(), None)
    }

    fn situation(&self) -> Situation<'_> {
        Situation {
            budget_millis: self.rate.duration(self.latency_frames).as_secs_f64() * 1e3,
            offers: &self.offers,
            shadow: &self.link.shadow,
            missed: self.playout.underruns + self.link.late + self.link.lost,
        }
    }

    fn json(&self) -> Value {
        let (link, playout) = (&self.link, &self.playout);
        let mut all = json!({
            "model": self.model,
            "plan": self.plan,
            "offers": offers(&self.offers),
            "rate_hz": self.rate.hz(),
            "latency_frames": self.latency_frames,
            "algorithmic_frames": self.algorithmic_frames,
            "hop_frames": self.hop_frames,
            "look_ahead_frames": self.look_ahead_frames,
            "frames": self.frames,
            "seconds": self.rate.duration(self.frames).as_secs_f64(),
            "elapsed_seconds": self.elapsed.as_secs_f64(),
            "hops": link.hops,
            "underruns": playout.underruns,
            "late": link.late,
            "lost": link.lost,
            "lost_frames": link.lost_frames,
            "holes": playout.holes,
            "late_slots": playout.late,
            "missing_frames": playout.missing_frames,
            "bridged_frames": playout.bridged_frames,
            "reconnects": link.reconnects,
            "sent_packets": link.sent_packets,
            "dropped_packets": link.dropped_packets,
            "dropped_slots": link.dropped_slots,
            "dropped_mix_frames": self.dropped_mix_frames,
            "unsent_frames": link.unsent_frames,
            "malformed": link.malformed,
            "turnaround_millis": Times::from(link.turnaround_millis),
            "inference_millis": Times::from(link.inference_millis),
            "overhead_millis": Times::from(link.overhead_millis),
            "server_overhead_millis": Times::from(link.server_overhead_millis),
            "max_slip_millis": self.max_slip.as_secs_f64() * 1e3,
            "files": separate::file_list(&self.files),
        });
        let misses = Misses::of(link, self.frames + self.latency_frames, self.hop_frames);
        // In parts: all in one is more than the macro takes.
        for part in [json!(misses), self.link_quality_json()] {
            if let (Value::Object(all), Value::Object(part)) = (&mut all, part) {
                all.extend(part);
            }
        }
        all
    }

    fn link_quality_json(&self) -> Value {
        let (link, shadow) = (&self.link, &self.link.shadow);
        let recommendation = self.recommendation();
        json!({
            "round_trip_millis": Times::from(link.round_trip_millis),
            "needed_millis": tenths(shadow.needed),
            "needed_by_link_millis": tenths(shadow.link),
            "jitter_millis": tenths(shadow.jitter),
            "recommended_millis": recommendation.as_ref().and_then(|r| r.millis),
            "recommendation": recommendation.as_ref().map(|r| &r.sentence),
            "would_hold_millis": would_hold(self.situation()),
            "shadow": {
                "chunks": shadow.chunks,
                "lost": shadow.lost,
                "breaks": shadow.breaks,
                "stretches": shadow.stretches,
                "worst_millis": tenths(Some(shadow.worst)),
                "buffers": shadow.buffers.iter().map(buffer).collect::<Vec<_>>(),
            },
        })
    }
}

fn buffer(of: &ShadowBuffer) -> Value {
    json!({ "millis": tenths(Some(of.depth)), "missed": of.missed })
}
