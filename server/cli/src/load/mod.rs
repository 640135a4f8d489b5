//! `load`: many clients at once, each whole and by itself, to see what a server holds.
//!
//! Each client has a link of its own and a thread that waits for its session, plays by the clock and checks what it
//! plays. All links share one network, and nothing else: a client that is refused, or whose link breaks, is a figure and
//! no reason for the others to stop. Nothing is written to disk.

mod check;
mod report;
mod songs;

use std::{
    net::{SocketAddr, ToSocketAddrs},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use rehearsekit_badlink::{Impairments, UdpProxy};
use rehearsekit_client::{Finder, Link, LinkState, Opened, RefusalCode};
use tokio::runtime::Handle;

use crate::{
    args::{LoadArgs, Pace},
    client::{
        self, Ends, NoSession, POLL, Wanted,
        audio_thread::{self, End, Shared, Task},
        feed::Feed,
        host_frames,
    },
    failure::Failure,
    interrupt, progress,
    whom::Whom,
};
use check::Checker;
use report::{Admitted, Refused, Report};

/// How long a client's goodbye may take.
const GOODBYE: Duration = Duration::from_secs(1);

/// A client before it plays.
struct Client {
    number: usize,
    song: String,
    feed: Feed,
    wanted: Wanted,
    /// What lies between it and the server; ends with it.
    proxy: Option<UdpProxy>,
    shared: Arc<Shared>,
}

/// What became of a client.
enum Outcome {
    Admitted(Box<Admitted>),
    Refused(Refused, NoSession),
}

/// `rehearsekit load`.
pub(crate) fn run(args: &LoadArgs) -> Result<(), Failure> {
    let whom = Whom::of(&args.reach.server, args.reach.fingerprint.as_deref())?;
    let tunes = songs::read(args)?;
    let clients = (0..usize::from(args.clients))
        .map(|number| {
            let (song, feed) = songs::of_client(&tunes, number);
            client(args, &whom, number, song, feed)
        })
        .collect::<Result<Vec<_>, _>>()?;
    let rate = tunes[0].feed.rate();
    let runtime = client::network()?;
    let outcomes = play_all(args, &clients, runtime.handle());
    client::end_network(runtime);
    let outcomes = outcomes?;
    if interrupt::requested() {
        return Err(Failure::cancelled());
    }
    let mut report = Report::new(clients.iter().filter_map(|client| client.proxy.as_ref()));
    let mut first_no = None;
    for outcome in outcomes {
        match outcome {
            Outcome::Admitted(admitted) => report.clients.push(*admitted),
            Outcome::Refused(refused, no) => {
                report.refused.push(refused);
                first_no.get_or_insert(no);
            }
        }
    }
    report.sum_up();
    report.print(args.json)?;
    match first_no {
        Some(no) if report.clients.is_empty() => {
            Err(no.failure(whom.title(), rate, args.reach.connect_timeout))
        }
        _ => report.judge(),
    }
}

fn client(args: &LoadArgs, whom: &Whom, number: usize, song: &str, feed: Feed) -> Result<Client, Failure> {
    let proxy = args.impair.map(|impairments| proxy(whom, impairments, number)).transpose()?;
    let (server, finder) = match &proxy {
        // Elsewhere it would be found without what is in the way.
        Some(proxy) => (proxy.address.to_string(), Finder::default()),
        None => (whom.target.address().to_owned(), whom.finder.clone()),
    };
    let wanted = Wanted {
        server,
        trust: whom.target.trust(),
        finder,
        client_name: format!("rehearsekit load {number}"),
        model: args.mix.model(number).to_owned(),
        rate: feed.rate(),
        budget: args.budget,
        block_frames: args.block,
        pace: Pace::Realtime,
    };
    Ok(Client { number, song: song.to_owned(), feed, wanted, proxy, shared: Arc::default() })
}

/// A bad link of a client's own to the server, with luck of its own.
fn proxy(whom: &Whom, impairments: Impairments, number: usize) -> Result<UdpProxy, Failure> {
    let address = whom.target.address();
    // Seen from behind the proxy every server is on this machine, where nobody asks who it is.
    if whom.target.wants_code() {
        return Err(Failure::server(format!(
            "{address} is another machine, and this computer is not paired with it: `rehearsekit pair --with {address}`"
        )));
    }
    let to = resolved(address).ok_or_else(|| {
        Failure::usage(format!("cannot find '{address}'; with --impair write the server as HOST:PORT"))
    })?;
    let impairments = Impairments { seed: impairments.seed.wrapping_add(number as u64), ..impairments };
    UdpProxy::start(to, impairments).map_err(|error| Failure::run(format!("cannot make a bad link: {error}")))
}

fn resolved(address: &str) -> Option<SocketAddr> {
    address.to_socket_addrs().ok()?.next()
}

/// All clients at once; what became of each, in their order.
fn play_all(args: &LoadArgs, clients: &[Client], network: &Handle) -> Result<Vec<Outcome>, Failure> {
    let began = Instant::now();
    let playing = AtomicU64::new(0);
    thread::scope(|scope| {
        let start = |client| {
            let playing = &playing;
            thread::Builder::new()
                .name("audio".to_owned())
                .spawn_scoped(scope, move || one(args, client, network, began, playing))
                .map_err(|error| Failure::run(format!("cannot start the thread of a client: {error}")))
        };
        let threads = clients.iter().map(start).collect::<Result<Vec<_>, _>>();
        let threads = threads.inspect_err(|_| {
            // Those that run already must not play to the end first.
            clients.iter().for_each(|client| client.shared.stop.store(true, Relaxed));
        })?;
        let bar = progress::frames_bar("playing", args.length().as_millis() as u64);
        while threads.iter().any(|thread| !thread.is_finished()) {
            let millis = |client: &Client| {
                let frames = client.shared.played_frames.load(Relaxed);
                client.wanted.rate.duration(frames).as_millis() as u64
            };
            bar.set_position(clients.iter().map(millis).max().unwrap_or_default());
            bar.set_message(format!("{} play", playing.load(Relaxed)));
            thread::sleep(10 * POLL);
        }
        bar.finish_and_clear();
        let ended = |_| Failure::run("the thread of a client panicked; please report this");
        threads.into_iter().map(|thread| thread.join().map_err(ended)).collect()
    })
}

/// The life of one client, on a thread of its own.
fn one(args: &LoadArgs, client: &Client, network: &Handle, began: Instant, playing: &AtomicU64) -> Outcome {
    let turn = began + args.stagger * client.number as u32;
    while Instant::now() < turn && !interrupt::requested() && !client.shared.stop.load(Relaxed) {
        thread::sleep(POLL.min(turn.saturating_duration_since(Instant::now())));
    }
    let (link, ends) = client::connect(network, &client.wanted);
    // A server that is full is an answer here; only one that still loads its models is worth the wait.
    let opened =
        client::wait_until_live(&link, args.reach.connect_timeout, |code| code == RefusalCode::NotReady);
    let outcome = match opened {
        Ok(opened) => {
            playing.fetch_add(1, Relaxed);
            let admitted = play(client, &link, ends, opened);
            playing.fetch_sub(1, Relaxed);
            Outcome::Admitted(Box::new(admitted))
        }
        Err(no) => Outcome::Refused(Refused::new(client.number, &client.wanted, &no), no),
    };
    link.close().wait(GOODBYE);
    outcome
}

fn play(client: &Client, link: &Link, ends: Ends, opened: Opened) -> Admitted {
    let Client { feed, wanted, .. } = client;
    let (player, counters) = ends.player(wanted, &opened);
    let (stem_count, closing) = (opened.stems.count(), opened.stems.closing());
    let block_frames = wanted.block_frames as usize;
    let task = Task {
        feed: feed.clone(),
        player,
        stem_count,
        latency_frames: wanted.latency_frames().into(),
        block_frames,
        pace: wanted.pace,
        sink: Checker::new(feed.clone(), closing, block_frames, counters.clone()),
        shared: client.shared.clone(),
    };
    let began = Instant::now();
    let (ended, checker) = audio_thread::run(task);
    let elapsed = began.elapsed();
    let trouble = match (&ended.why, link.state()) {
        (End::Done, LinkState::Live(_)) => None,
        (End::Done, LinkState::Refused(refusal)) => Some(refusal.message),
        (End::Done, LinkState::Failed(error)) => Some(error.to_string()),
        (End::Done, LinkState::Connecting { last_error: Some(error), .. }) => Some(error.to_string()),
        (End::Done, LinkState::Connecting { .. } | LinkState::Closed) => Some("the link is down".to_owned()),
        _ => Some("stopped before the end".to_owned()),
    };
    Admitted::new(report::Seen {
        number: client.number,
        song: client.song.clone(),
        wanted,
        hop_frames: host_frames(wanted.rate, opened.hop_frames),
        opened,
        frames: client.shared.played_frames.load(Relaxed),
        elapsed,
        stats: link.stats(),
        times: link.times(),
        playout: counters.read(),
        verdict: checker.verdict,
        ended,
        trouble,
    })
}
