//! What packets do when they have arrived: at the server, order and epochs and what is worth a worker's time; at the
//! client, what is late, what is lost, and the frames between the frames of the wire.

use std::time::Duration;

use rehearsekit_protocol::*;

use super::{
    Script,
    client::{
        account::Account,
        rates::{Decimation, Interpolator},
        shadow::{Arrival, Shadow},
    },
    server::intake::{Intake, IntakeLimits, Step},
    sessions::{opened, request},
};

/// The same script for the order of packets and for what a session makes of it.
pub(super) fn arrival(data: &[u8]) {
    arranger(data);
    intake(data);
}

/// Packets in an order of the script's: runs are well formed, nothing comes twice, nothing goes back.
fn arranger(data: &[u8]) {
    let mut script = Script(data);
    let max_packets = usize::from(script.byte() % 8);
    let mut arranger = Arranger::new(Duration::from_millis(script.byte().into()), max_packets);
    let (mut now, mut open, mut end) = (Duration::ZERO, false, 0u64);
    let mut check = |run: Run| match run {
        Run::Start { position, .. } => {
            assert!(!open && position >= end);
            (open, end) = (true, position);
        }
        Run::Frames { first_frame, channels, .. } => {
            assert!(open && first_frame == end && !channels[0].is_empty());
            end += channels[0].len() as u64;
        }
        Run::End { position } => {
            assert!(open && position == end);
            open = false;
        }
    };
    while !script.is_over() {
        let flags = script.byte();
        let frames = u32::from(script.byte() % 16);
        let header = PacketHeader {
            end_of_epoch: flags & 1 != 0,
            ..PacketHeader::mix(
                (flags >> 1 & 3).into(),
                script.byte().into(),
                u64::from(script.byte()) * u64::from(1 + (flags >> 3 & 15)),
                frames,
            )
        };
        let channels = vec![vec![0.0; frames as usize]; 2];
        let Ok(packet) = Packet { header, channels }.encode() else { continue };
        let packet = Packet::decode(&packet).expect("just encoded");
        if arranger.push(packet, now).is_err() {
            return;
        }
        now += Duration::from_millis(u64::from(flags >> 7) * 50);
        loop {
            match arranger.next_run(now) {
                Ok(Some(run)) => check(run),
                Ok(None) => break,
                Err(_) => return,
            }
        }
        assert!(arranger.next_deadline().is_none_or(|at| at > now), "what is due is given up");
    }
    if let Ok(rest) = arranger.finish() {
        rest.into_iter().for_each(&mut check);
        assert!(!open);
    }
}

/// A packet of a script: its frames tell their positions.
fn packet(script: &mut Script<'_>, sequence: u32) -> Packet {
    let flags = script.byte();
    let frames = u32::from(script.byte());
    let first_frame = u64::from(script.word()) * u64::from(1 + (flags >> 3 & 7));
    // Now and then at the very end of what a position can be.
    let first_frame = if flags & 0xc0 == 0xc0 { u64::MAX - first_frame } else { first_frame };
    let header = PacketHeader {
        end_of_epoch: flags & 1 != 0,
        ..PacketHeader::mix((flags >> 1 & 3).into(), sequence, first_frame, frames)
    };
    let samples: Vec<f32> =
        (0..u64::from(frames)).map(|n| (first_frame.wrapping_add(n) % 9_973) as f32).collect();
    Packet { header, channels: vec![samples.clone(), samples] }
}

/// A session's intake: its steps are whole epochs, in order and never shifted, and it holds no more than it may.
fn intake(data: &[u8]) {
    let mut script = Script(data);
    let reliable = script.byte() & 1 == 1;
    let backlog_frames = u64::from(script.word() % 2_000) + 2;
    let limits =
        IntakeLimits { rate_hz: 8_000, reliable, gap_wait: Duration::from_millis(50), backlog_frames };
    let mut intake = Intake::new(limits);
    let (mut now, mut sequence) = (Duration::ZERO, 0u32);
    let (mut open, mut end) = (None, 0u64);
    let (mut sent, mut taken) = (0u64, 0u64);
    while !script.is_over() {
        let step = script.byte();
        sequence = if step & 1 == 0 { sequence.wrapping_add(1) } else { script.word().into() };
        let packet = packet(&mut script, sequence - u32::from(step & 1 == 0));
        if packet.header.end().checked_add(1).is_none() || packet.encode().is_err() {
            continue;
        }
        sent += u64::from(packet.header.frames);
        if intake.accept(packet, now).is_err() {
            return;
        }
        now += Duration::from_millis(u64::from(step >> 1));
        if intake.tick(now).is_err() {
            return;
        }
        assert!(intake.deadline().is_none_or(|at| at > now), "what is due is given up");
        if step & 2 == 0 {
            continue;
        }
        loop {
            let job = intake.take(usize::from(script.byte()) + 1, usize::from(script.byte()) + 1);
            if job.is_empty() {
                break;
            }
            for step in job {
                match step {
                    Step::Start { epoch, position } => {
                        assert!(open.is_none() && position >= end);
                        (open, end) = (Some(epoch), position);
                    }
                    Step::Push { first_frame, channels, ready } => {
                        assert!(open.is_some() && first_frame == end && ready <= now);
                        for (n, sample) in (first_frame..).zip(&channels[0]) {
                            assert_eq!(*sample, (n % 9_973) as f32, "shifted");
                        }
                        taken += channels[0].len() as u64;
                        end += channels[0].len() as u64;
                    }
                    Step::Finish => assert!(open.take().is_some()),
                }
            }
        }
        let counts = intake.counts();
        assert!(taken + counts.dropped_frames <= sent);
        assert!(!reliable || counts.dropped_frames == 0);
        let bound = if reliable { u64::MAX } else { backlog_frames + 65 * 255 };
        assert!(
            sent - taken - counts.dropped_frames <= bound.max(255 * counts.late),
            "more is held than may be"
        );
    }
}

/// The client's books, shadow buffers and interpolation with what a server claims of its chunks.
pub(super) fn chunks(data: &[u8]) {
    let mut script = Script(data);
    let manner = script.byte();
    let live = manner & 1 == 0;
    let opened = Opened {
        latency_frames: u32::from(script.word()) + 1,
        hop_frames: u32::from(script.word()) + 1,
        algorithmic_frames: script.word().into(),
        ..opened()
    };
    let decimation = [Decimation::None, Decimation::By2, Decimation::By4][usize::from(manner >> 1) % 3];
    let factor = u64::from(decimation.factor());
    let mut account = Account::new(&opened, 8_000, live);
    let mut shadow = Shadow::new(&request(), &opened);
    let mut interpolator = Interpolator::new(decimation);
    let (mut now, mut newest, mut lost, mut expected) = (Duration::ZERO, 0u64, 0u64, 0u64);
    let mut made = std::collections::HashSet::new();
    while !script.is_over() {
        match script.byte() % 8 {
            0 | 1 => {
                let frames = u64::from(script.word() % 4_096);
                let start = newest + u64::from(script.byte() & 1) * 64;
                newest = start + frames;
                account.expect(start..newest);
                expected += frames;
                account.mix_until(newest, now);
                interpolator.begin(start, 2);
            }
            2 => now += Duration::from_millis(script.word().into()),
            3 => {
                let more = account.expire();
                lost += more.frames;
                let gone = account.take_gone();
                assert!(gone.iter().all(|hole| hole.start < hole.end && hole.end <= newest));
                gone.iter().for_each(|hole| shadow.gave_up(hole, newest));
            }
            _ => {
                // Most of them on a grid, as chunks are that fit to one another; some one frame off.
                let far = script.byte();
                let grid = if far & 0x30 == 0 { 1 } else { 64 };
                let back = u64::from(script.byte()) * grid + u64::from(far >> 6 & 1);
                let first_frame = newest.saturating_sub(back);
                let frames = u32::from(script.byte() % 8 + 1) * grid as u32 + u32::from(far >> 7);
                let needed_through = match far & 3 {
                    0 => u64::MAX,
                    1 => first_frame + u64::from(frames),
                    _ => u64::from(far),
                };
                let server_micros = if far & 4 == 0 { u32::MAX } else { script.word().into() };
                let header = PacketHeader {
                    kind: PacketKind::Stems,
                    needed_through,
                    server_micros,
                    ..PacketHeader::mix(0, 0, first_frame, frames)
                };
                // The session turns away what was never sent.
                if header.end() > newest {
                    continue;
                }
                let judged = account.chunk(&header, now);
                assert!(live || !judged.late);
                if let Some(turnaround) = judged.turnaround {
                    assert!(turnaround <= now);
                    let server = Duration::from_micros(server_micros.into());
                    let position = newest;
                    shadow.arrived(Arrival { first_frame, position, needed_through, turnaround, server });
                }
                if decimation == Decimation::None {
                    continue;
                }
                let channel: Vec<f32> = vec![0.5; frames as usize];
                let (position, channels) = interpolator.push(first_frame, vec![channel.clone(), channel]);
                assert_eq!(channels[0].len(), channels[1].len());
                assert!(channels[0].len() as u64 <= (u64::from(frames) + 128) * factor);
                for at in position..position + channels[0].len() as u64 {
                    // What is far behind is forgotten, and may then be made again of chunks that come again.
                    let is_new = made.insert(at) || newest > 90_000;
                    assert!(is_new, "host frame {at} was made twice");
                }
            }
        }
        assert!(lost <= expected);
        let figures = shadow.figures();
        assert!(figures.stretches <= 30 && figures.worst.is_finite());
        assert!(figures.buffers.iter().all(|b| b.missed <= figures.chunks + figures.lost));
    }
}
