//! `stream`: a client that behaves as the plugin will, without a DAW.
//!
//! Three parties: the network tasks of `rehearsekit_client`, the audio thread (`audio_thread`, which drives a
//! `player`), and this thread, which writes what was played to disk block by block, so that memory stays flat
//! however long it runs.

mod audio_thread;
mod feed;
mod player;
mod report;

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use rehearsekit_audio::{SampleRate, StemSet};
use rehearsekit_client::{
    Decimation, LINK_ALLOWANCE, Link, LinkConfig, LinkState, OpenRequest, Opened,
    offers::{in_millis, wanted_offers_frames},
};
use rehearsekit_playout::{MixSlot, Playout, PlayoutConfig, SLOT_FRAMES, StemSlot};
use rehearsekit_protocol::Mode;
use rehearsekit_server::media::{StemFormat, StemWriter};

use crate::{
    args::{Pace, StreamArgs},
    failure::Failure,
    interrupt, progress, separate,
    whom::Whom,
};
use audio_thread::{End, Ended, Shared, Task};
use feed::Feed;
use player::Player;
use report::Report;

/// Most of the wait for the server is the server's; looking this often costs nothing.
const POLL: Duration = Duration::from_millis(10);
/// What the rings hold, in seconds: the mix for a network task that stalls, stems for a whole buffer, and
/// what was played for a disk that takes its time.
const MIX_RING_SECONDS: f64 = 2.0;
const STEM_RING_SECONDS: f64 = 4.0;
const PLAYED_RING_SECONDS: f64 = 20.0;

/// `rehearsekit stream`.
pub(crate) fn run(args: &StreamArgs) -> Result<(), Failure> {
    let whom = Whom::of(&args.server, args.fingerprint.as_deref())?;
    let title = whom.title().to_owned();
    let song = separate::read_song(&args.song)?;
    let rate = args.rate.map_or(Ok(song.rate()), SampleRate::new).map_err(Failure::usage)?;
    let feed = Feed::new(song, rate, args.seconds.map(|s| s.as_secs_f64()), args.looped)?;

    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("network")
        .enable_all()
        .build()
        .map_err(|error| Failure::run(format!("cannot start the network: {error}")))?;
    let slots = |seconds: f64| (seconds * f64::from(rate.hz()) / SLOT_FRAMES as f64) as usize + 64;
    let (mix_in, mix_out) = rtrb::RingBuffer::<MixSlot>::new(slots(MIX_RING_SECONDS));
    let (stems_in, stems_out) = rtrb::RingBuffer::<StemSlot>::new(slots(STEM_RING_SECONDS) * 2);
    let link =
        rehearsekit_client::connect(runtime.handle(), link_config(args, whom, rate), mix_out, stems_in);
    let result = wait_until_live(args, &title, rate, &link)
        .and_then(|opened| play_through(args, &title, feed, &opened, &link, mix_in, stems_out));
    link.close().wait(Duration::from_secs(1));
    // Whatever a network task still does, it must not hold up the end of the command.
    runtime.shutdown_timeout(Duration::from_secs(2));
    result?.print()
}

fn link_config(args: &StreamArgs, whom: Whom, rate: SampleRate) -> LinkConfig {
    let decimation = Decimation::for_host(rate);
    LinkConfig {
        server: whom.target.address().to_owned(),
        trust: whom.target.trust(),
        finder: whom.finder,
        client_name: "rehearsekit stream".to_owned(),
        open: OpenRequest {
            model: args.model.clone(),
            rate_hz: decimation.wire_hz(rate),
            budget_frames: decimation.wire_budget_frames(args.budget.frames(rate)),
            block_frames: args.block.div_ceil(decimation.factor()),
            link_micros: LINK_ALLOWANCE.as_micros() as u32,
            mode: if args.pace == Pace::Fast { Mode::Reliable } else { Mode::Live },
            wanted_offers_frames: wanted_offers_frames(rate, args.budget.frames(rate)),
        },
        decimation,
    }
}

/// Waits for the first session; a server that cannot be reached or says no is the end here. (The plugin plays
/// on instead; a command has nobody to play to.)
fn wait_until_live(args: &StreamArgs, title: &str, rate: SampleRate, link: &Link) -> Result<Opened, Failure> {
    let began = Instant::now();
    loop {
        match link.state() {
            LinkState::Live(opened) => return Ok(opened),
            // A server that still loads its models, or is full for the moment, is worth the wait.
            LinkState::Refused(refusal)
                if !refusal.code.is_worth_retrying() || began.elapsed() > args.connect_timeout =>
            {
                let hint = refusal.smallest_budget_frames.map(|frames| smallest_budget(rate, frames));
                let message = format!("{title} says no: {}", refusal.message);
                return Err(Failure::server(message + &hint.unwrap_or_default()));
            }
            LinkState::Failed(error) => return Err(Failure::server(error)),
            LinkState::Closed => {
                return Err(Failure::server(format!("the link to {title} is closed")));
            }
            LinkState::Connecting { last_error, .. } if began.elapsed() > args.connect_timeout => {
                let why = last_error.map_or_else(|| "no answer".to_owned(), |error| error.to_string());
                return Err(Failure::server(format!(
                    "cannot reach the server at {title} within {} s ({why}); is `rehearsekit serve` running there, and is the address right?",
                    args.connect_timeout.as_secs_f64()
                )));
            }
            LinkState::Connecting { .. } | LinkState::Refused(_) => {}
        }
        if interrupt::requested() {
            return Err(Failure::cancelled());
        }
        thread::sleep(POLL);
    }
}

/// What to ask for instead; the server counts in frames of the wire.
fn smallest_budget(rate: SampleRate, wire_frames: u32) -> String {
    let decimation = Decimation::for_host(rate);
    let frames =
        u64::from(wire_frames) * u64::from(decimation.factor()) + u64::from(decimation.latency_frames());
    format!("; --budget {}ms holds", (rate.duration(frames).as_secs_f64() * 1e3).ceil())
}

/// Plays the song through the open session and writes the stems.
fn play_through<'a>(
    args: &'a StreamArgs,
    title: &str,
    feed: Feed,
    opened: &Opened,
    link: &Link,
    mix: rtrb::Producer<MixSlot>,
    stems: rtrb::Consumer<StemSlot>,
) -> Result<Report<'a>, Failure> {
    let (rate, frames) = (feed.rate(), feed.frames());
    let set = &opened.stems;
    let latency_frames = u64::from(args.budget.frames(rate));
    let playout = Playout::new(PlayoutConfig {
        latency_frames: latency_frames as u32,
        stem_count: set.count(),
        closing: set.closing(),
        max_block_frames: args.block,
    });
    let counters = playout.counters();
    let mut writer = StemWriter::create(&args.out, set, StemFormat::Wav, rate, 2, Some(frames))?;
    let channels = 2 * set.count() + 2;
    let capacity = (PLAYED_RING_SECONDS * f64::from(rate.hz())) as usize * channels;
    let (played_in, mut played) = rtrb::RingBuffer::new(capacity);
    let shared = Arc::new(Shared::default());
    let task = Task {
        feed,
        player: Player::new(playout, set.count(), mix, stems),
        stem_count: set.count(),
        latency_frames,
        block_frames: args.block as usize,
        pace: args.pace,
        played: played_in,
        shared: shared.clone(),
    };
    let began = Instant::now();
    let audio = thread::Builder::new()
        .name("audio".to_owned())
        .spawn(move || audio_thread::run(task))
        .map_err(|error| Failure::run(format!("cannot start the audio thread: {error}")))?;
    let bar = progress::frames_bar("streaming", frames);
    let written = loop {
        let finished = audio.is_finished();
        bar.set_position(shared.played_frames.load(Relaxed));
        match write_played(&mut writer, set, &mut played) {
            Ok(0) if finished => break Ok(()),
            Ok(0) => thread::sleep(POLL),
            Ok(_) => {}
            Err(error) => break Err(error),
        }
    };
    bar.finish_and_clear();
    shared.stop.store(true, Relaxed);
    let ended = audio.join().map_err(|_| Failure::run("the audio thread panicked; please report this"))?;
    let elapsed = began.elapsed();
    written?;
    check_end(args, title, &ended, link)?;
    let decimation = Decimation::for_host(rate);
    let at_host = |wire_frames: u32| u64::from(wire_frames) * u64::from(decimation.factor());
    Ok(Report {
        args,
        model: opened.model.clone(),
        plan: opened.description.clone(),
        offers: in_millis(&opened.offers, rate, latency_frames as u32),
        rate,
        latency_frames,
        algorithmic_frames: at_host(opened.algorithmic_frames) + u64::from(decimation.latency_frames()),
        hop_frames: at_host(opened.hop_frames),
        look_ahead_frames: at_host(opened.look_ahead_frames),
        frames,
        elapsed,
        link: link.stats(),
        playout: counters.read(),
        max_slip: ended.max_slip,
        dropped_mix_frames: ended.dropped_mix_frames,
        files: writer.finish()?,
    })
}

/// Writes what has been played since the last call; how many frames that was.
fn write_played(
    writer: &mut StemWriter,
    set: &StemSet,
    played: &mut rtrb::Consumer<f32>,
) -> Result<usize, Failure> {
    const MOST_FRAMES: usize = 8_192;
    let channels = 2 * set.count() + 2;
    let frames = (played.slots() / channels).min(MOST_FRAMES);
    if frames == 0 {
        return Ok(0);
    }
    let mut interleaved = vec![0.0f32; frames * channels];
    if played.pop_entire_slice(&mut interleaved).is_err() {
        return Ok(0);
    }
    let lane = |channel: usize| -> Vec<f32> {
        interleaved.iter().skip(channel).step_by(channels).copied().collect()
    };
    let stems: Vec<Vec<Vec<f32>>> = (0..set.count()).map(|s| vec![lane(2 * s), lane(2 * s + 1)]).collect();
    let main = [lane(channels - 2), lane(channels - 1)];
    writer.write(&[&main[0], &main[1]], &stems)?;
    Ok(frames)
}

fn check_end(args: &StreamArgs, title: &str, ended: &Ended, link: &Link) -> Result<(), Failure> {
    match ended.why {
        End::Done => Ok(()),
        End::Stopped => Err(Failure::cancelled()),
        End::Stalled(position) => {
            let state = match link.state() {
                LinkState::Live(_) => "the link is up, but the stems do not come".to_owned(),
                LinkState::Refused(refusal) => refusal.message,
                LinkState::Connecting { last_error: Some(error), .. } => error.to_string(),
                LinkState::Failed(error) => error.to_string(),
                LinkState::Connecting { .. } | LinkState::Closed => "the link is down".to_owned(),
            };
            Err(Failure::server(format!(
                "{title}: no stems for frame {position} ({state}); look at the server's log"
            )))
        }
        End::WriterTooSlow => Err(Failure::run(format!(
            "{} takes data more slowly than the song plays; choose a faster disk",
            args.out.display()
        ))),
    }
}
