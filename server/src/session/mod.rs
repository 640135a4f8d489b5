//! One connection from handshake to goodbye. Each has its own task, and whatever goes wrong in it ends it
//! and nothing else. This module decides who gets a session and how sessions end; the playing itself is
//! `player`. It must not run inference: that is the workers' job.

mod control;
#[cfg(test)]
mod day;
mod gate;
mod intake;
mod job;
mod outbox;
mod player;
mod samples;

use std::{sync::Arc, time::Duration};

use quinn::Incoming;
use rehearsekit_audio::SampleRate;
use rehearsekit_protocol::{
    BudgetOffer, CloseReason, HANDSHAKE_WITHIN, MAX_OFFER_WORDS_BYTES, MAX_SENTENCE_BYTES, Mode, OpenRequest,
    Opened, Refusal, RefusalCode, ServerSession, SessionError,
};
use tokio::{
    sync::watch,
    time::{Instant, timeout, timeout_at},
};
use tracing::Instrument as _;

use crate::{
    admission::{Admitted, Door, Offer},
    engine::{OpenRefusal, OpenSpec},
    guests::Guest,
    metrics::sessions::SessionEntry,
    quic::{self, Life, close_code},
    state::{NotAdmitted, Place, Shared},
    token_bucket::TokenBucket,
    workers::message_of,
};
use control::Control;
pub(crate) use job::SessionTask;
use player::Player;

/// TLS handshake of a client that means it.
const TLS_WITHIN: Duration = Duration::from_secs(5);

/// Why a session ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    /// The client said goodbye.
    Client(CloseReason),
    /// It was refused, and has been told.
    Refused,
    /// It came to be paired, and is.
    Paired,
    /// The server's owner shut it out.
    Revoked,
    /// The connection is gone.
    Gone(String),
    Protocol(String),
    TooSlow(String),
    Silent(String),
    Shutdown,
    Internal(String),
}

impl End {
    /// For the metrics and the log: the kind, and what happened.
    fn told(&self) -> (&'static str, &str) {
        match self {
            Self::Client(_) => ("client_done", "the client said goodbye"),
            Self::Refused => ("refused", "refused"),
            Self::Paired => ("paired", "paired"),
            Self::Revoked => ("revoked", "the server's owner has shut this client out"),
            Self::Gone(text) => ("gone", text),
            Self::Protocol(text) => ("protocol_error", text),
            Self::TooSlow(text) => ("too_slow", text),
            Self::Silent(text) => ("silent", text),
            Self::Shutdown => ("server_shutdown", "the server shuts down"),
            Self::Internal(text) => ("internal", text),
        }
    }

    fn reason(&self) -> CloseReason {
        match self {
            Self::Client(_) | Self::Refused | Self::Paired | Self::Gone(_) => CloseReason::ClientDone,
            Self::Revoked => CloseReason::Revoked,
            Self::Protocol(_) => CloseReason::ProtocolError,
            Self::TooSlow(_) => CloseReason::TooSlow,
            Self::Silent(_) => CloseReason::Silent,
            Self::Shutdown => CloseReason::ServerShutdown,
            Self::Internal(_) => CloseReason::Internal,
        }
    }
}

impl From<SessionError> for End {
    fn from(error: SessionError) -> Self {
        let text = error.to_string();
        match error.reason() {
            CloseReason::TooSlow => Self::TooSlow(text),
            CloseReason::Silent => Self::Silent(text),
            _ => Self::Protocol(text),
        }
    }
}

/// Serves one connection until it ends.
pub(crate) async fn serve(
    incoming: Incoming,
    shared: Arc<Shared>,
    mut guest: Guest,
    mut life: watch::Receiver<Life>,
) {
    let address = incoming.remote_address();
    let Ok(connecting) = incoming.accept() else { return };
    // Strangers who knock and vanish are not worth a line in the log; but whoever takes us for somebody else hangs up
    // here too, so they are counted.
    let connection = match timeout(TLS_WITHIN, connecting).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(_)) => return shared.metrics.refused.count("tls"),
        Err(_) => return shared.metrics.refused.count("handshake_timeout"),
    };
    let _closes = Closes(connection.clone());
    if guest.is_own() {
        // The watchdog knows what came of it; nobody else needs to.
        let end = converse(&connection, &shared, &mut guest, &mut life).await;
        return connection.close(close_code(end.reason()), b"");
    }
    let _counted = shared.metrics.connections.count();
    shared.metrics.connections_total.add(1);
    // What it says it is called, and the paired client that it is.
    use tracing::field::Empty;
    let span = tracing::info_span!("connection", %address, session = Empty, says = Empty, client = Empty);
    let end = converse(&connection, &shared, &mut guest, &mut life).instrument(span.clone()).await;
    let (kind, text) = end.told();
    span.in_scope(|| tracing::info!(kind, "ended: {text}"));
    shared.metrics.closed.count(kind);
    if matches!(end, End::Protocol(_)) {
        shared.metrics.protocol_errors.add(1);
    }
    connection.close(close_code(end.reason()), text.as_bytes());
}

/// Closes a connection whose task ends without a word, by a panic: its client shall not take that for a goodbye.
struct Closes(quinn::Connection);

impl Drop for Closes {
    fn drop(&mut self) {
        // Of no effect where it has been closed with a reason.
        self.0.close(close_code(CloseReason::Internal), b"the server failed inside; its log says why");
    }
}

async fn converse(
    connection: &quinn::Connection,
    shared: &Arc<Shared>,
    guest: &mut Guest,
    life: &mut watch::Receiver<Life>,
) -> End {
    let start = Instant::now();
    let streams = tokio::select! {
        streams = timeout_at(start + HANDSHAKE_WITHIN, connection.accept_bi()) => match streams {
            Ok(Ok(streams)) => streams,
            Ok(Err(error)) => return End::Gone(error.to_string()),
            Err(_) => return SessionError::Handshake.into(),
        },
        () = Life::over(life) => return End::Shutdown,
    };
    let (name, models) = (&shared.config.server_name, &shared.config.models);
    let session = ServerSession::speaking(gate::versions(shared, connection), name, models, Duration::ZERO);
    let session = match session {
        Ok(session) => session,
        Err(error) => return End::Internal(error.to_string()),
    };
    let mut control = Control::new(session, streams, start);
    let end = match gate::negotiate(connection, &mut control, shared, life).await {
        Ok((request, visitor)) => {
            let shut_out = async {
                match visitor {
                    Some(mut visitor) => visitor.shut_out().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                end = play(connection, &mut control, shared, guest, life, request) => end,
                () = shut_out => End::Revoked,
            }
        }
        Err(end) => end,
    };
    match &end {
        // Nobody is there, or all has been said.
        End::Gone(_) | End::Client(_) | End::Paired => {}
        End::Refused => control.goodbye().await,
        End::Shutdown
        | End::Revoked
        | End::Protocol(_)
        | End::TooSlow(_)
        | End::Silent(_)
        | End::Internal(_) => {
            control.close(end.reason()).await;
        }
    }
    end
}

async fn play(
    connection: &quinn::Connection,
    control: &mut Control,
    shared: &Arc<Shared>,
    guest: &mut Guest,
    life: &mut watch::Receiver<Life>,
    request: OpenRequest,
) -> End {
    let (place, admitted, offers) = match admit(shared, &request).await {
        Ok(all) => all,
        Err(refusal) => {
            shared.metrics.refused.count(code_name(refusal.code));
            tracing::info!(code = ?refusal.code, "refused: {refusal}");
            control.refuse(refusal).await;
            return End::Refused;
        }
    };
    let promise = &admitted.promise;
    guest.seated();
    quic::seat(connection);
    tracing::Span::current().record("session", place.session);
    tracing::info!(
        model = promise.model,
        budget_frames = request.budget_frames,
        rate_hz = request.rate_hz,
        mode = ?request.mode,
        "opened: {}", promise.description
    );
    let opened = Opened {
        session: place.session,
        model: promise.model.clone(),
        stems: promise.stems.clone(),
        packet_frames: promise.packet_frames,
        latency_frames: request.budget_frames,
        algorithmic_frames: promise.algorithmic_frames,
        hop_frames: promise.hop_frames,
        look_ahead_frames: promise.look_ahead_frames,
        description: shorten(&promise.description, MAX_SENTENCE_BYTES),
        offers,
    };
    if let Err(end) = control.open(opened).await {
        return end;
    }
    shared.metrics.sessions_total.add(1);
    let health = SessionEntry::new(&shared.metrics, place.session, &promise.model);
    let mut player = Player::new(connection.clone(), shared.clone(), &request, admitted, health);
    let Err(end) = player.play(control, life).await;
    // What a worker still holds of this session is given up with it; its place is free from here on.
    drop((player, place));
    end
}

/// Finds a place and a pipeline, or says why there is none and what would help.
async fn admit(
    shared: &Arc<Shared>,
    request: &OpenRequest,
) -> Result<(Place, Admitted, Vec<BudgetOffer>), Refusal> {
    let no = |code, message: &str| Refusal::new(code, message, None);
    let place = shared.admit().map_err(|error| match error {
        NotAdmitted::NotReady(reason) => no(RefusalCode::NotReady, &format!("{reason}; try again soon")),
        NotAdmitted::ShuttingDown => no(RefusalCode::ShuttingDown, "the server is shutting down"),
        NotAdmitted::Full(most) => {
            let message = format!(
                "all {most} places of this server are taken; close a plugin somewhere, or raise max_sessions"
            );
            no(RefusalCode::Full, &message)
        }
    })?;
    let config = &shared.config;
    let model = if request.model.is_empty() { config.default_model.clone() } else { request.model.clone() };
    if !config.models.contains(&model) {
        let message = format!("this server has no model {model:?}; it has {}", config.models.join(", "));
        return Err(no(RefusalCode::UnknownModel, &message));
    }
    let rate = SampleRate::new(request.rate_hz).map_err(|e| no(RefusalCode::BadRequest, &e.to_string()))?;
    let link = Duration::from_micros(request.link_micros.into());
    let spec = OpenSpec {
        model,
        rate,
        budget_frames: request.budget_frames,
        block_frames: request.block_frames,
        link_frames: u32::try_from(rate.frames_in(link)).unwrap_or(u32::MAX),
    };
    let (wanted, reliable) = (request.wanted_offers_frames.clone(), is_reliable(request));
    let here = shared.clone();
    let work = move || {
        let door = Door { engine: &*here.engine, workers: &here.workers, models: &here.config.models };
        // What would hold beside everybody else, not beside this session itself.
        let offers: Vec<BudgetOffer> = door.offers(&spec, &wanted).into_iter().map(on_wire).collect();
        (if reliable { door.open_patient(&spec) } else { door.open_live(&spec) }, offers)
    };
    match tokio::task::spawn_blocking(work).await {
        Ok((Ok(admitted), offers)) => Ok((place, admitted, offers)),
        Ok((Err(OpenRefusal::BudgetTooSmall { smallest_budget_frames, reason }), offers)) => {
            let refusal = Refusal::new(RefusalCode::BudgetTooSmall, &reason, smallest_budget_frames);
            Err(Refusal { offers, ..refusal })
        }
        Ok((Err(OpenRefusal::Full { smallest_budget_frames, reason }), offers)) => {
            Err(Refusal { offers, ..Refusal::new(RefusalCode::Full, &reason, smallest_budget_frames) })
        }
        Ok((Err(OpenRefusal::Failed(error)), _)) => {
            tracing::error!(%error, "a session could not be opened");
            Err(no(RefusalCode::Busy, &format!("the server could not start the model: {error}")))
        }
        Err(panic) => {
            shared.metrics.panics.add(1);
            let text = panic.try_into_panic().map_or_else(|e| e.to_string(), |panic| message_of(&*panic));
            tracing::error!("opening a session panicked: {text}");
            Err(no(RefusalCode::Busy, "the server could not start the model; its log says why"))
        }
    }
}

/// A name for the metrics; a fixed set.
fn code_name(code: RefusalCode) -> &'static str {
    match code {
        RefusalCode::Version => "version",
        RefusalCode::UnknownModel => "unknown_model",
        RefusalCode::BudgetTooSmall => "budget_too_small",
        RefusalCode::Full => "full",
        RefusalCode::NotReady => "not_ready",
        RefusalCode::ShuttingDown => "shutting_down",
        RefusalCode::BadRequest => "bad_request",
        RefusalCode::Busy => "busy",
        RefusalCode::NotPaired => "not_paired",
        RefusalCode::Revoked => "revoked",
        RefusalCode::WrongCode => "wrong_code",
        RefusalCode::NoCode => "no_code",
        RefusalCode::CodeExpired => "code_expired",
        RefusalCode::TriesOver => "tries_over",
        RefusalCode::Replayed => "replayed",
        RefusalCode::Intercepted => "intercepted",
        RefusalCode::Other(_) => "other",
    }
}

fn on_wire(offer: Offer) -> BudgetOffer {
    let Offer { budget_frames, holds, quality_db, words, need_frames } = offer;
    let words = shorten(&words, MAX_OFFER_WORDS_BYTES);
    BudgetOffer { budget_frames, holds, quality_db, words, need_frames }
}

/// At most as long as a text may be on the wire.
fn shorten(text: &str, most: usize) -> String {
    let end = (0..=most.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    text[..end].to_owned()
}

/// Waits until `at`; for ever if there is no such moment.
async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// How live the request is.
fn is_reliable(request: &OpenRequest) -> bool {
    match request.mode {
        Mode::Live => false,
        Mode::Reliable => true,
    }
}
