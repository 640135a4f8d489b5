//! `stream`: a client that behaves as the plugin will, without a DAW.
//!
//! Three parties: the network tasks and the audio thread of a `client`, and this thread, which writes what was played
//! to disk block by block, so that memory stays flat however long it runs.

mod report;

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use rehearsekit_audio::{SampleRate, StemSet};
use rehearsekit_client::{Decimation, Link, LinkState, Opened, RefusalCode, offers::in_millis};
use rehearsekit_media::{Inputs, StemFiles, StemFormat, StemWriter, Tags, place::shown};

use crate::{
    args::StreamArgs,
    client::{
        self, Ends, POLL, Wanted,
        audio_thread::{self, End, Ended, Played, Shared, Sink, Task},
        feed::Feed,
        host_frames,
    },
    failure::Failure,
    progress, song,
    whom::Whom,
};
use report::Report;

/// What the ring to the disk holds, in seconds: it may take its time.
const PLAYED_RING_SECONDS: f64 = 20.0;

/// `rehearsekit stream`.
pub(crate) fn run(args: &StreamArgs) -> Result<(), Failure> {
    let whom = Whom::of(&args.reach.server, args.reach.fingerprint.as_deref())?;
    let title = whom.title().to_owned();
    let song = song::read_whole(&args.song)?;
    let rate = args.rate.map_or(Ok(song.rate()), SampleRate::new).map_err(Failure::usage)?;
    let feed = Feed::new(song, rate, args.seconds.map(|s| s.as_secs_f64()), args.looped)?;

    let runtime = client::network()?;
    let wanted = Wanted {
        server: whom.target.address().to_owned(),
        trust: whom.target.trust(),
        finder: whom.finder,
        client_name: "rehearsekit stream".to_owned(),
        model: args.model.clone(),
        rate,
        budget: args.budget,
        block_frames: args.block,
        pace: args.pace,
    };
    let (link, ends) = client::connect(runtime.handle(), &wanted);
    // A server that still loads its models, or is full for the moment, is worth the wait.
    let result = client::wait_until_live(&link, args.reach.connect_timeout, RefusalCode::is_worth_retrying)
        .map_err(|no| no.failure(&title, rate, args.reach.connect_timeout))
        .and_then(|opened| play_through(args, &title, feed, &opened, &link, ends, &wanted));
    link.close().wait(Duration::from_secs(1));
    client::end_network(runtime);
    result?.print()
}

/// Plays the song through the open session and writes the stems.
fn play_through<'a>(
    args: &'a StreamArgs,
    title: &str,
    feed: Feed,
    opened: &Opened,
    link: &Link,
    ends: Ends,
    wanted: &Wanted,
) -> Result<Report<'a>, Failure> {
    let (rate, frames) = (feed.rate(), feed.frames());
    let set = &opened.stems;
    let latency_frames = u64::from(wanted.latency_frames());
    let (player, counters) = ends.player(wanted, opened);
    let names: Vec<String> = set.names().iter().map(|stem| stem.as_str().to_owned()).collect();
    let inputs = Inputs::new([&args.song]);
    let files = StemFiles {
        folder: &args.out,
        names: &names,
        format: StemFormat::Wav,
        inputs: &inputs,
        overwrite: args.overwrite,
        tags: &Tags::default(),
    };
    let mut writer = StemWriter::create(files, set, rate, 2, Some(frames))?;
    let channels = 2 * set.count() + 2;
    let capacity = (PLAYED_RING_SECONDS * f64::from(rate.hz())) as usize * channels;
    let (played_in, mut played) = rtrb::RingBuffer::new(capacity);
    let shared = Arc::new(Shared::default());
    let task = Task {
        feed,
        player,
        stem_count: set.count(),
        latency_frames,
        block_frames: args.block as usize,
        pace: args.pace,
        sink: ToWriter {
            played: played_in,
            interleaved: vec![0.0; args.block as usize * channels],
            channels,
        },
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
    let (ended, _) =
        audio.join().map_err(|_| Failure::run("the audio thread panicked; please report this"))?;
    let elapsed = began.elapsed();
    written?;
    check_end(args, title, &ended, link)?;
    let decimation = Decimation::for_host(rate);
    let at_host = |wire_frames: u32| host_frames(rate, wire_frames);
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

/// Interleaved frames to the writer: left and right of each stem, then of the main mix.
struct ToWriter {
    played: rtrb::Producer<f32>,
    /// A block.
    interleaved: Vec<f32>,
    channels: usize,
}

impl Sink for ToWriter {
    fn has_room(&self, frames: usize) -> bool {
        self.played.slots() >= frames * self.channels
    }

    fn take(&mut self, Played { lanes, range, .. }: Played<'_>) -> bool {
        let samples = range.len() * lanes.len();
        for (frame, target) in range.zip(self.interleaved.chunks_mut(lanes.len())) {
            target.iter_mut().zip(lanes).for_each(|(t, lane)| *t = lane[frame]);
        }
        self.played.push_entire_slice(&self.interleaved[..samples]).is_ok()
    }
}

/// Writes what has been played since the last call; how many frames that was.
fn write_played(
    writer: &mut StemWriter<'_>,
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
        End::SinkTooSlow => Err(Failure::run(format!(
            "{} takes data more slowly than the song plays; choose a faster disk",
            shown(&args.out)
        ))),
    }
}
