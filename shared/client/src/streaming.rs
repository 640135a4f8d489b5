//! An open session: mix slots out, stem slots in, until something ends it.
//!
//! One task owns both rings and everything that counts; what may wait for the network (writing packets, reading
//! chunks, the control stream's writer) runs in tasks of its own that die with it. So nothing a server does or
//! leaves undone keeps the mix ring from being drained. This module must not decide about reconnecting.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use quinn::{Connection, ReadError, ReadToEndError, RecvStream, SendStream};
use rehearsekit_playout::Layout;
use rehearsekit_protocol::{
    ClientEvent, ClientSession, CloseReason, HEALTH_INTERVAL, MAX_PACKET_FRAMES, Opened, Packet, PacketError,
    PacketHeader, PacketKind, encode_packet, packet_bytes,
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval},
};

use crate::{
    LinkConfig, LinkError,
    account::{Account, Lost},
    dial::{Dialled, is_live},
    downstream::Downstream,
    link::{Orders, Rings},
    sender::{Outgoing, send_packets},
    shadow::Arrival,
    stats::{Counters, add},
    upstream::Cutter,
};

/// How often the rings are looked at: well below a packet, well above the timer's grain.
const POLL: Duration = Duration::from_millis(2);
/// Live: packets that wait for their stream at most; beyond, they are dropped as the deadline would have it.
const LIVE_QUEUE: usize = 128;
/// Reliable: packets and chunks under way at once; the rest waits in the caller's ring or at the server.
const RELIABLE_QUEUE: usize = 8;
/// What a chunk may be longer than hop and latency: a flushed tail, rounding, resampling.
const CHUNK_SLACK_FRAMES: u32 = 8_192;

/// Why a session is over.
#[derive(Debug)]
pub(crate) enum Ended {
    /// The caller wants to close.
    Stopped,
    /// The caller wants another session.
    Changed,
    Broken(LinkError),
}

/// What a task of its own came back with.
enum Done {
    Chunk(Result<Vec<u8>, ReadToEndError>),
    Control,
    Sender,
}

/// The part of a session that is not the network.
struct Session<'a> {
    config: &'a LinkConfig,
    counters: &'a Arc<Counters>,
    opened: Opened,
    live: bool,
    start: Instant,
    cutter: Cutter,
    account: Account,
    downstream: Downstream,
    /// Packets that are cut but not yet with the sender.
    outbox: VecDeque<Outgoing>,
    finishes_done: u64,
}

/// Runs the session until it ends. `next_epoch` is the wire's epoch count over all connections; `start` is the
/// zero of the session's time.
pub(crate) async fn run(
    config: &LinkConfig,
    dialled: Dialled,
    rings: &mut Rings,
    orders: &mut watch::Receiver<Orders>,
    counters: &Arc<Counters>,
    next_epoch: &mut u32,
    start: Instant,
) -> Ended {
    let Dialled { connection, session: mut control, opened, control_send, control_recv } = dialled;
    let live = is_live(config.open.mode);
    let mut session = Session {
        config,
        counters,
        live,
        start,
        cutter: Cutter::new(opened.packet_frames, config.decimation, *next_epoch),
        account: Account::new(&opened, config.open.rate_hz, live),
        downstream: Downstream::new(config.decimation, Layout::by_name(&opened.stems)),
        outbox: VecDeque::new(),
        finishes_done: rings.finishes_done,
        opened,
    };
    counters.pause(false);
    counters.begin_session(&config.open, &session.opened, config.decimation);
    let ended = session.drive(&connection, &mut control, control_send, control_recv, rings, orders).await;
    *next_epoch = session.cutter.next_epoch();
    rings.finishes_done = session.finishes_done;
    if matches!(ended, Ended::Broken(_)) {
        let lost = session.account.broke();
        session.count(lost);
        let position = session.account.newest();
        counters.to_shadow(|shadow| shadow.broke(lost.frames, position));
    }
    ended
}

impl Session<'_> {
    async fn drive(
        &mut self,
        connection: &Connection,
        control: &mut ClientSession,
        control_send: SendStream,
        mut control_recv: RecvStream,
        rings: &mut Rings,
        orders: &mut watch::Receiver<Orders>,
    ) -> Ended {
        let mut tasks = JoinSet::new();
        let (control_out, control_queue) = mpsc::unbounded_channel();
        tasks.spawn(write_control(control_send, control_queue));
        let (packets, queue) = mpsc::channel(if self.live { LIVE_QUEUE } else { RELIABLE_QUEUE });
        let sender = send_packets(connection.clone(), queue, Arc::clone(self.counters));
        tasks.spawn(async {
            sender.await;
            Done::Sender
        });
        let mut reading = 0;
        let changes = rings.changes_done;
        let mut poll = interval(POLL);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut buffer = [0; 4_096];
        let (missed_before, mut health) = (self.counters.missed(), interval(HEALTH_INTERVAL));
        loop {
            // Unbounded, but what goes in is a heartbeat each 100 ms, and 500 ms without an echo is the end.
            let outgoing = control.take_outgoing();
            if !outgoing.is_empty() {
                let _ = control_out.send(outgoing);
            }
            let due = self.start + control.next_tick().unwrap_or_default();
            let may_read = self.live || (reading < RELIABLE_QUEUE && self.downstream.is_empty());
            // In this order: what has arrived is looked at before the clock says that nothing did, and no flood
            // of chunks keeps the rings from being looked at.
            tokio::select! {
                biased;
                changed = orders.changed() => {
                    let now = *orders.borrow();
                    if changed.is_err() || now.stop || now.changes != changes {
                        self.goodbye(control, &control_out, connection).await;
                        return if changed.is_err() || now.stop { Ended::Stopped } else { Ended::Changed };
                    }
                }
                read = control_recv.read(&mut buffer) => {
                    let length = match read {
                        Ok(Some(length)) => length,
                        Ok(None) => return broken("the server ended the control stream"),
                        Err(error) => return broken(error),
                    };
                    match control.receive(&buffer[..length], self.start.elapsed()) {
                        Ok(events) => {
                            for event in &events {
                                match event {
                                    ClientEvent::Echo { round_trip, .. } => {
                                        self.counters.round_trip.add(*round_trip);
                                        let position = self.account.newest();
                                        self.counters.to_shadow(|shadow| shadow.echo(*round_trip, position));
                                    }
                                    ClientEvent::Paused(paused) => self.counters.pause(*paused),
                                    _ => {}
                                }
                            }
                            if let Some(reason) = goodbye_in(&events) {
                                return Ended::Broken(LinkError::ServerClosed(reason));
                            }
                        }
                        Err(error) => return Ended::Broken(error.into()),
                    }
                }
                () = tokio::time::sleep_until(due) => {
                    if let Err(error) = control.tick(self.start.elapsed()) {
                        return Ended::Broken(error.into());
                    }
                }
                _ = health.tick() => control.report(self.counters.health_since(missed_before)),
                _ = poll.tick() => {
                    let finishes = orders.borrow().finishes;
                    if let Err(error) = self.poll(rings, finishes, &packets) {
                        return Ended::Broken(error);
                    }
                }
                Some(done) = tasks.join_next() => match done {
                    Ok(Done::Chunk(read)) => {
                        reading -= 1;
                        if self.live {
                            // Judged by what the host has pushed by now, not by the last look.
                            let finishes = orders.borrow().finishes;
                            if let Err(error) = self.poll(rings, finishes, &packets) {
                                return Ended::Broken(error);
                            }
                        }
                        if let Err(error) = self.chunk(read) {
                            add(&self.counters.malformed, 1);
                            return Ended::Broken(error);
                        }
                        self.downstream.pump(&mut rings.stems);
                    }
                    // Both end only when the connection has, which `closed` tells in its own words.
                    Ok(Done::Control | Done::Sender) => {}
                    Err(error) => return broken(error),
                },
                accepted = connection.accept_uni(), if may_read => match accepted {
                    Ok(stream) => {
                        reading += 1;
                        tasks.spawn(read_chunk(stream, self.chunk_bytes()));
                    }
                    Err(error) => return broken(error),
                },
                error = connection.closed() => return broken(error),
            }
        }
    }

    /// Says goodbye on the control stream and lets it get out; the connection itself closes with the endpoint.
    async fn goodbye(
        &self,
        control: &mut ClientSession,
        control_out: &mpsc::UnboundedSender<Vec<u8>>,
        connection: &Connection,
    ) {
        control.close(CloseReason::ClientDone);
        let _ = control_out.send(control.take_outgoing());
        // A moment for the writer; the connection's own close tells the same, so this may be too short.
        let _ = tokio::time::timeout(Duration::from_millis(20), connection.closed()).await;
    }

    /// One look at both rings.
    fn poll(
        &mut self,
        rings: &mut Rings,
        finishes: u64,
        packets: &mpsc::Sender<Outgoing>,
    ) -> Result<(), LinkError> {
        let mut cut = Vec::new();
        // Reliable: what the sender has no room for stays in the ring, so that the caller sees and waits.
        while self.live || self.outbox.is_empty() {
            let Ok(slot) = rings.mix.pop() else { break };
            let pushed = self.cutter.push(&slot, &mut cut);
            if let Ok(Some(run)) = pushed {
                self.downstream.begin(run);
            }
            self.pack(&mut cut, packets);
            pushed.map_err(|r| LinkError::Rewound { expected: r.expected, got: r.got })?;
        }
        // The order to finish came after the last slot was in the ring, so an empty ring is all of it.
        if self.finishes_done != finishes && rings.mix.is_empty() {
            self.finishes_done = finishes;
            self.cutter.finish(&mut cut);
        }
        self.pack(&mut cut, packets);
        self.account.mix_until(self.cutter.end(), self.start.elapsed());
        let lost = self.account.expire();
        self.count(lost);
        let position = self.account.newest();
        for hole in self.account.take_gone() {
            self.counters.to_shadow(|shadow| shadow.gave_up(&hole, position));
        }
        self.downstream.pump(&mut rings.stems);
        if self.live {
            // Twice the latency and a second: a listener that is that far behind has stopped listening.
            let factor = self.config.decimation.factor() as usize;
            let most = (2 * self.opened.latency_frames + self.config.open.rate_hz) as usize * factor;
            add(&self.counters.dropped_slots, self.downstream.shed(most));
        }
        Ok(())
    }

    /// Encodes what was cut and hands over as much as the sender takes.
    fn pack(&mut self, cut: &mut Vec<Packet>, packets: &mpsc::Sender<Outgoing>) {
        let budget = f64::from(self.opened.latency_frames) / f64::from(self.config.open.rate_hz.max(1));
        let deadline = self.live.then(|| Instant::now() + Duration::from_secs_f64(budget));
        for packet in cut.drain(..) {
            self.account.expect(packet.header.first_frame..packet.header.end());
            let mut bytes = Vec::new();
            // The cutter makes headers that fit their samples; there is no error to expect here.
            if encode_packet(&packet.header, &packet.channels, &mut bytes).is_ok() {
                self.outbox.push_back(Outgoing { bytes, deadline });
            }
        }
        while let Some(packet) = self.outbox.pop_front() {
            match packets.try_send(packet) {
                Ok(()) => {}
                Err(mpsc::error::TrySendError::Full(packet)) if !self.live => {
                    self.outbox.push_front(packet);
                    return;
                }
                Err(_) => add(&self.counters.dropped_packets, 1),
            }
        }
    }

    /// Most bytes a chunk of this session can have.
    fn chunk_bytes(&self) -> usize {
        let Opened { hop_frames, latency_frames, .. } = self.opened;
        let frames = hop_frames.saturating_add(latency_frames).saturating_mul(2) + CHUNK_SLACK_FRAMES;
        packet_bytes(self.opened.travelling_channels(), frames.min(MAX_PACKET_FRAMES))
    }

    /// Checks a chunk, counts it, and lays it up for the ring.
    fn chunk(&mut self, read: Result<Vec<u8>, ReadToEndError>) -> Result<(), LinkError> {
        let now = self.start.elapsed();
        let bytes = match read {
            Ok(bytes) => bytes,
            Err(ReadToEndError::TooLong) => {
                return Err(LinkError::WrongChunk(format!("it is longer than {} bytes", self.chunk_bytes())));
            }
            // The server gave it up for its age: it never came, and will be counted as that.
            Err(ReadToEndError::Read(ReadError::Reset(_))) if self.live => return Ok(()),
            Err(ReadToEndError::Read(error)) => return Err(LinkError::Lost(error.to_string())),
        };
        let packet = Packet::decode(&bytes)?;
        let header = packet.header;
        if header.kind != PacketKind::Stems {
            return Err(PacketError::Value { field: "kind", got: 1 }.into());
        }
        let channels = self.opened.travelling_channels();
        if header.channels != channels {
            let why = format!("{} channels instead of {channels}", header.channels);
            return Err(LinkError::WrongChunk(why));
        }
        if header.end() > self.account.newest() {
            let (end, sent) = (header.end(), self.account.newest());
            let why = format!("it reaches to frame {end}, but only {sent} have been sent");
            return Err(LinkError::WrongChunk(why));
        }
        if header.frames == 0 {
            return Ok(());
        }
        let judged = self.account.chunk(&header, now);
        add(&self.counters.hops, 1);
        add(&self.counters.late, u64::from(judged.late));
        let inference = Duration::from_micros(header.inference_micros.into());
        let server = Duration::from_micros(header.server_micros.into());
        self.counters.inference.add(inference);
        self.counters.server_overhead.add(server.saturating_sub(inference));
        if let Some(turnaround) = judged.turnaround {
            self.counters.turnaround.add(turnaround);
            self.counters.overhead.add(turnaround.saturating_sub(inference));
            let PacketHeader { first_frame, needed_through, .. } = header;
            let position = self.account.newest();
            let arrival = Arrival { first_frame, position, needed_through, turnaround, server };
            self.counters.to_shadow(|shadow| shadow.arrived(arrival));
        }
        self.downstream.chunk(packet);
        Ok(())
    }

    fn count(&self, lost: Lost) {
        add(&self.counters.lost, lost.hops);
        add(&self.counters.lost_frames, lost.frames);
    }
}

fn broken(why: impl ToString) -> Ended {
    Ended::Broken(LinkError::Lost(why.to_string()))
}

fn goodbye_in(events: &[ClientEvent]) -> Option<CloseReason> {
    events.iter().find_map(|event| match event {
        ClientEvent::Closing(reason) => Some(*reason),
        _ => None,
    })
}

async fn write_control(mut stream: SendStream, mut queue: mpsc::UnboundedReceiver<Vec<u8>>) -> Done {
    // Small, and first of all: an echo that waits behind a packet looks like a dead peer.
    let _ = stream.set_priority(1);
    while let Some(bytes) = queue.recv().await {
        if stream.write_all(&bytes).await.is_err() {
            break;
        }
    }
    Done::Control
}

async fn read_chunk(mut stream: RecvStream, most_bytes: usize) -> Done {
    Done::Chunk(stream.read_to_end(most_bytes).await)
}
