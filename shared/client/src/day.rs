//! A day of a session on the client's side in virtual time: the books and the shadow buffers of a host whose audio runs
//! faster or slower than the machine's clock, with pauses. Whatever counts for ever, or compares two clocks for ever,
//! shows.

use std::time::Duration;

use rehearsekit_audio::StemSet;
use rehearsekit_protocol::{Mode, OpenRequest, Opened, PacketHeader, PacketKind};

use crate::{
    account::{Account, Lost},
    shadow::{Arrival, Shadow, ShadowFigures},
};

const RATE_HZ: u32 = 8_000;
const HOP: u32 = 800;
const BUDGET: u32 = 2_400;
/// From the last frame that a hop needs to its stems.
const TURNAROUND: Duration = Duration::from_millis(30);

struct Day {
    ppm: f64,
    /// The machine's clock.
    now: Duration,
    position: u64,
    account: Account,
    shadow: Shadow,
    lost: u64,
    late: u64,
}

impl Day {
    fn new(ppm: f64) -> Self {
        let request = OpenRequest {
            model: String::new(),
            rate_hz: RATE_HZ,
            budget_frames: BUDGET,
            block_frames: 64,
            link_micros: 5_000,
            mode: Mode::Live,
            wanted_offers_frames: Vec::new(),
        };
        let opened = Opened {
            session: 1,
            model: "test".to_owned(),
            stems: StemSet::new(&["vocals", "other"]).unwrap(),
            packet_frames: HOP,
            latency_frames: BUDGET,
            algorithmic_frames: HOP,
            hop_frames: HOP,
            look_ahead_frames: 0,
            description: String::new(),
            offers: Vec::new(),
        };
        let (account, shadow) = (Account::new(&opened, RATE_HZ, true), Shadow::new(&request, &opened));
        Self { ppm, now: Duration::ZERO, position: 0, account, shadow, lost: 0, late: 0 }
    }

    /// One hop of the mix goes out, and its stems come back.
    fn hop(&mut self) {
        let first_frame = self.position;
        self.position += u64::from(HOP);
        self.account.expect(first_frame..self.position);
        self.account.mix_until(self.position, self.now);
        let header = PacketHeader {
            kind: PacketKind::Stems,
            needed_through: self.position - 1,
            ..PacketHeader::mix(0, 0, first_frame, HOP)
        };
        let judged = self.account.chunk(&header, self.now + TURNAROUND);
        self.late += u64::from(judged.late);
        let (position, needed_through) = (self.position, header.needed_through);
        // Of the first after a pause nothing is known: what went in before has been forgotten.
        if let Some(turnaround) = judged.turnaround {
            let server = Duration::from_millis(25);
            self.shadow.arrived(Arrival { first_frame, position, needed_through, turnaround, server });
        }
        let Lost { frames, .. } = self.account.expire();
        self.lost += frames;
        assert!(self.account.take_gone().is_empty());
    }

    fn plays(&mut self, hours: f64) {
        let each = Duration::from_secs_f64(f64::from(HOP) / f64::from(RATE_HZ) / (1.0 + self.ppm * 1e-6));
        for _ in 0..(hours * 3_600.0 * f64::from(RATE_HZ / HOP)) as u64 {
            self.now += each;
            self.hop();
        }
    }

    /// What does not depend on how much of the newest ten seconds has passed.
    fn found(&self) -> (Option<f64>, Option<f64>, Option<f64>, f64, u64) {
        let ShadowFigures { needed, link, jitter, worst, lost, .. } = self.shadow.figures();
        (needed, link, jitter, worst, lost)
    }
}

#[test]
fn two_clocks_may_differ_for_a_day() {
    for ppm in [200.0, 0.0, -200.0] {
        let mut day = Day::new(ppm);
        day.plays(0.25);
        let early = day.found();
        day.plays(10.75);
        assert_eq!(day.found(), early, "{ppm} ppm: what is needed does not drift");
        // An hour in which the host calls nobody; then it goes on, and once it pushes eight seconds at once.
        day.now += Duration::from_secs(3_600);
        day.plays(5.0);
        (0..80).for_each(|_| day.hop());
        day.now += Duration::from_secs(3_600);
        day.plays(6.0);
        assert_eq!((day.late, day.lost), (0, 0), "{ppm} ppm");
        assert_eq!(day.found(), early, "{ppm} ppm");
    }
}
