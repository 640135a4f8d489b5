//! What came back for what was sent: late chunks, lost chunks, and how long each one took.
//!
//! One account per connection; all positions are wire frames and `now` is an argument. It must not hold more
//! than the last few seconds, whatever the server does.
#![warn(clippy::arithmetic_side_effects, reason = "it reckons with what came over the wire")]

use std::{collections::VecDeque, ops::Range, time::Duration};

use rehearsekit_protocol::{Opened, PacketHeader};

/// How long after its slot a chunk may still come before it counts as lost instead of late.
const GRACE: Duration = Duration::from_secs(1);
/// Arrivals are remembered for the budget and this much more.
const REMEMBERED: Duration = Duration::from_secs(5);
/// More holes than this are not told apart: the oldest count as lost.
const MOST_HOLES: usize = 1_024;

/// The books of one connection.
#[derive(Debug)]
pub(crate) struct Account {
    live: bool,
    latency_frames: u64,
    hop_frames: u64,
    grace_frames: u64,
    remembered: Duration,
    /// Position behind the newest mix frame that was taken over from the audio thread.
    newest: u64,
    /// Mix frames up to the position were here at the time; oldest first.
    arrivals: VecDeque<(u64, Duration)>,
    /// Whether arrivals have been dropped for their age.
    forgetful: bool,
    missing: Missing,
    lost_frames: u64,
    lost_told: u64,
    /// The same as positions, since [`Account::take_gone`] was called last.
    gone: Vec<Range<u64>>,
}

/// What one chunk means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Judged {
    pub(crate) late: bool,
    /// Since the arrival of the last mix frame it needed; `None` if that is forgotten or was never sent.
    pub(crate) turnaround: Option<Duration>,
}

/// Frames and whole hops that are lost since the last time this was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Lost {
    pub(crate) frames: u64,
    pub(crate) hops: u64,
}

impl Account {
    /// `live`: whether there are slots to miss at all.
    pub(crate) fn new(opened: &Opened, rate_hz: u32, live: bool) -> Self {
        let rate = f64::from(rate_hz.max(1));
        Self {
            live,
            latency_frames: opened.latency_frames.into(),
            hop_frames: opened.hop_frames.max(1).into(),
            grace_frames: (GRACE.as_secs_f64() * rate) as u64,
            remembered: REMEMBERED
                .saturating_add(Duration::from_secs_f64(f64::from(opened.latency_frames) / rate)),
            newest: 0,
            arrivals: VecDeque::new(),
            forgetful: false,
            missing: Missing::default(),
            lost_frames: 0,
            lost_told: 0,
            gone: Vec::new(),
        }
    }

    /// The mix up to (not including) `end` has been taken over at `now`.
    pub(crate) fn mix_until(&mut self, end: u64, now: Duration) {
        if end <= self.newest {
            return;
        }
        self.newest = end;
        self.arrivals.push_back((end, now));
        while self.arrivals.front().is_some_and(|(_, at)| now.saturating_sub(*at) > self.remembered) {
            self.arrivals.pop_front();
            self.forgetful = true;
        }
    }

    /// These frames are on their way to the server: stems for them should come.
    pub(crate) fn expect(&mut self, frames: Range<u64>) {
        self.missing.add(frames);
    }

    /// Position behind the newest mix frame.
    pub(crate) fn newest(&self) -> u64 {
        self.newest
    }

    /// A chunk has arrived whole at `now`.
    pub(crate) fn chunk(&mut self, header: &PacketHeader, now: Duration) -> Judged {
        self.missing.remove(header.first_frame..header.end());
        let late = self.live && header.first_frame.saturating_add(self.latency_frames) < self.newest;
        let at = self.arrivals.partition_point(|(end, _)| *end <= header.needed_through);
        // What the oldest remembered arrival covers may in truth have come with a forgotten one.
        let known = at > 0 || !self.forgetful;
        let arrived = self.arrivals.get(at).filter(|_| known).map(|(_, at)| *at);
        Judged { late, turnaround: arrived.map(|at| now.saturating_sub(at)) }
    }

    /// What is lost by now: its slot passed and a grace too.
    pub(crate) fn expire(&mut self) -> Lost {
        if self.live {
            let passed = self.newest.saturating_sub(self.latency_frames).saturating_sub(self.grace_frames);
            let gone = self.missing.take_before(passed, &mut self.gone);
            self.lost_frames = self.lost_frames.saturating_add(gone);
        }
        let gone = self.missing.bound(MOST_HOLES, &mut self.gone);
        self.lost_frames = self.lost_frames.saturating_add(gone);
        self.tell()
    }

    /// The connection broke: nothing that is missing will ever come. (When the listener leaves instead, what is
    /// still inside its grace was not lost but no longer waited for.)
    pub(crate) fn broke(&mut self) -> Lost {
        let gone = self.missing.take_before(u64::MAX, &mut self.gone);
        self.lost_frames = self.lost_frames.saturating_add(gone);
        self.tell()
    }

    /// Which frames are lost since this was called last.
    pub(crate) fn take_gone(&mut self) -> Vec<Range<u64>> {
        std::mem::take(&mut self.gone)
    }

    fn tell(&mut self) -> Lost {
        let hops = |frames: u64| frames.div_ceil(self.hop_frames);
        let told = std::mem::replace(&mut self.lost_told, self.lost_frames);
        Lost {
            frames: self.lost_frames.saturating_sub(told),
            hops: hops(self.lost_frames).saturating_sub(hops(told)),
        }
    }
}

/// A set of positions as disjoint ranges in order.
#[derive(Debug, Default)]
struct Missing(VecDeque<Range<u64>>);

impl Missing {
    /// Adds frames behind all that were added before.
    fn add(&mut self, frames: Range<u64>) {
        match self.0.back_mut() {
            _ if frames.is_empty() => {}
            Some(last) if last.end == frames.start => last.end = frames.end,
            _ => self.0.push_back(frames),
        }
    }

    fn remove(&mut self, frames: Range<u64>) {
        let first = self.0.partition_point(|hole| hole.end <= frames.start);
        let mut at = first;
        while let Some(hole) = self.0.get_mut(at).filter(|hole| hole.start < frames.end) {
            let (before, after) = (hole.start..frames.start, frames.end..hole.end);
            match (before.is_empty(), after.is_empty()) {
                (true, true) => {
                    self.0.remove(at);
                }
                (true, false) => {
                    *hole = after;
                    break;
                }
                (false, true) => {
                    *hole = before;
                    at = at.saturating_add(1);
                }
                (false, false) => {
                    *hole = before;
                    self.0.insert(at.saturating_add(1), after);
                    break;
                }
            }
        }
    }

    /// Moves everything before `position` to `gone`; how many frames that were.
    fn take_before(&mut self, position: u64, gone: &mut Vec<Range<u64>>) -> u64 {
        let mut taken = 0;
        while let Some(hole) = self.0.front_mut().filter(|hole| hole.start < position) {
            let end = hole.end.min(position);
            taken = end.saturating_sub(hole.start).saturating_add(taken);
            gone.push(hole.start..end);
            if end == hole.end {
                self.0.pop_front();
            } else {
                hole.start = end;
            }
        }
        taken
    }

    /// Moves the oldest ranges beyond `most` to `gone`; how many frames that were.
    fn bound(&mut self, most: usize, gone: &mut Vec<Range<u64>>) -> u64 {
        let excess = self.0.len().saturating_sub(most);
        let before = gone.len();
        gone.extend(self.0.drain(..excess));
        gone[before..].iter().map(|hole| hole.end.saturating_sub(hole.start)).sum()
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "in a test an overflow is a report")]
mod tests {
    use super::*;
    use rehearsekit_audio::StemSet;
    use rehearsekit_protocol::PacketKind;

    fn account(live: bool) -> Account {
        let opened = Opened {
            session: 1,
            model: "test".to_owned(),
            stems: StemSet::new(&["vocals", "other"]).unwrap(),
            packet_frames: 100,
            latency_frames: 2_000,
            algorithmic_frames: 1_000,
            hop_frames: 500,
            look_ahead_frames: 0,
            description: String::new(),
            offers: Vec::new(),
        };
        Account::new(&opened, 8_000, live)
    }

    fn chunk(first_frame: u64, frames: u32, needed_through: u64) -> PacketHeader {
        let kind = PacketKind::Stems;
        PacketHeader { kind, needed_through, ..PacketHeader::mix(0, 0, first_frame, frames) }
    }

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn turnaround_counts_from_the_frame_that_was_needed() {
        let mut account = account(true);
        account.mix_until(600, ms(10));
        account.mix_until(1_200, ms(20));
        let turnaround = |judged: Judged| judged.turnaround;
        assert_eq!(turnaround(account.chunk(&chunk(0, 500, 599), ms(35))), Some(ms(25)));
        assert_eq!(turnaround(account.chunk(&chunk(500, 500, 600), ms(35))), Some(ms(15)));
        assert_eq!(turnaround(account.chunk(&chunk(500, 500, 1_200), ms(35))), None);
    }

    #[test]
    fn late_is_what_comes_after_its_slot_and_only_live() {
        for live in [true, false] {
            let mut account = account(live);
            account.mix_until(2_500, ms(10));
            assert!(!account.chunk(&chunk(500, 500, 0), ms(10)).late);
            assert_eq!(account.chunk(&chunk(499, 500, 0), ms(10)).late, live);
        }
    }

    #[test]
    fn holes_are_counted_once_in_frames_and_whole_hops() {
        let mut account = account(true);
        account.expect(0..10_000);
        account.expect(10_000..20_000);
        account.chunk(&chunk(0, 500, 0), ms(0));
        account.chunk(&chunk(1_000, 500, 0), ms(0));
        account.chunk(&chunk(1_750, 8_250, 0), ms(0));
        account.mix_until(10_400, ms(1_300));
        assert_eq!(account.expire(), Lost::default());
        // Latency 2000 and grace 8000 frames behind the newest: 500..1000 goes in two halves.
        account.mix_until(10_750, ms(1_400));
        assert_eq!(account.expire(), Lost { frames: 250, hops: 1 });
        assert_eq!(account.take_gone().first(), Some(&(500..750)));
        account.mix_until(11_000, ms(1_400));
        assert_eq!(account.expire(), Lost { frames: 250, hops: 0 });
        account.mix_until(12_000, ms(1_500));
        assert_eq!(account.expire(), Lost { frames: 250, hops: 1 });
        assert_eq!(account.expire(), Lost::default());
        assert_eq!(account.broke(), Lost { frames: 10_000, hops: 20 });
        assert_eq!(account.take_gone(), [750..1_000, 1_500..1_750, 10_000..20_000]);
        assert!(account.take_gone().is_empty());
        assert_eq!(account.broke(), Lost::default());
    }

    #[test]
    fn books_stay_small() {
        let mut account = account(false);
        for n in 0..5_000_u64 {
            account.expect(n * 10..n * 10 + 5);
            account.mix_until(n * 10 + 10, ms(n * 10));
        }
        assert_eq!(account.expire().frames, (5_000 - MOST_HOLES as u64) * 5);
        assert!(account.arrivals.len() < 1_000, "{} arrivals are kept", account.arrivals.len());
    }
}
