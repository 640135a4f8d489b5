//! The door: who is there, may it come in, does it want to be paired? From a peer on this machine only what it asks
//! for is of interest. From any other nothing but a paired client's token, or the way to one, is listened to.
//! This module must not open sessions.

use std::sync::Arc;

use rehearsekit_protocol::{
    LAN_VERSIONS, OpenRequest, PROTOCOL_VERSIONS, PairProof, PairStart, Refusal, RefusalCode, ServerEvent,
    pairing::{Channel, EXPORTER_LABEL},
};
use tokio::sync::watch;

use super::{End, code_name, control::Control, sleep_until};
use crate::{pairing::Attempt, quic::Life, state::Shared, trust::Visitor};

/// The versions that are spoken with this peer.
pub(super) fn versions(shared: &Shared, connection: &quinn::Connection) -> std::ops::RangeInclusive<u16> {
    if is_near(shared, connection) { PROTOCOL_VERSIONS } else { LAN_VERSIONS }
}

fn is_near(shared: &Shared, connection: &quinn::Connection) -> bool {
    shared.trust.is_near(connection.remote_address().ip())
}

/// Waits for the request for a session, and gives it with the client that is paired; a peer on this machine is nobody
/// in particular. A refusal has been told when this gives one.
pub(super) async fn negotiate(
    connection: &quinn::Connection,
    control: &mut Control,
    shared: &Arc<Shared>,
    life: &mut watch::Receiver<Life>,
) -> Result<(OpenRequest, Option<Visitor>), End> {
    let mut door =
        Door { connection, shared, is_near: is_near(shared, connection), visitor: None, attempt: None };
    loop {
        let tick = control.next_tick();
        let count = tokio::select! {
            count = control.read() => count?,
            () = sleep_until(tick) => {
                control.tick().await?;
                continue;
            }
            () = Life::over(life) => return Err(End::Shutdown),
        };
        for event in control.handle(count).await? {
            if let Some(request) = door.hear(event, control).await? {
                return Ok((request, door.visitor));
            }
        }
    }
}

struct Door<'a> {
    connection: &'a quinn::Connection,
    shared: &'a Arc<Shared>,
    is_near: bool,
    visitor: Option<Visitor>,
    attempt: Option<Attempt>,
}

impl Door<'_> {
    async fn hear(&mut self, event: ServerEvent, control: &mut Control) -> Result<Option<OpenRequest>, End> {
        match event {
            ServerEvent::Hello { client_name, version } => {
                tracing::debug!(client_name, version, "hello");
                tracing::Span::current().record("says", client_name);
            }
            ServerEvent::Open(request) if self.is_near || self.visitor.is_some() => return Ok(Some(request)),
            ServerEvent::Open(_) => return Err(self.refuse(control, self.shared.trust.not_paired()).await),
            ServerEvent::Identify(_) if self.visitor.is_some() => {
                return Err(End::Protocol("the client showed two tokens".to_owned()));
            }
            // A peer on this machine needs none; an old one in its memory shall not keep it out.
            ServerEvent::Identify(_) if self.is_near => {}
            ServerEvent::Identify(token) => {
                let shared = self.shared.clone();
                match blocking(move || shared.trust.identify(&token)).await? {
                    Ok(visitor) => {
                        tracing::Span::current().record("client", &visitor.name);
                        self.visitor = Some(visitor);
                    }
                    Err(refusal) => return Err(self.refuse(control, refusal).await),
                }
            }
            ServerEvent::PairStart(start) => self.begin(start, control).await?,
            ServerEvent::PairProof(proof) => return Err(self.finish(proof, control).await),
            ServerEvent::Refused(refusal) => {
                self.count(&refusal);
                return Err(End::Refused);
            }
            ServerEvent::Closed(reason) => return Err(End::Client(reason)),
            ServerEvent::Health(_) => {}
        }
        Ok(None)
    }

    async fn begin(&mut self, start: PairStart, control: &mut Control) -> Result<(), End> {
        let mut channel: Channel = [0; 32];
        let exported = self.connection.export_keying_material(&mut channel, EXPORTER_LABEL, b"");
        exported.map_err(|_| End::Internal("TLS exports no keying material".to_owned()))?;
        let shared = self.shared.clone();
        match blocking(move || shared.trust.reception.begin(&start, channel)).await? {
            Ok((attempt, half)) => {
                self.attempt = Some(attempt);
                control.pair_reply(half).await
            }
            Err(refusal) => Err(self.refuse(control, refusal).await),
        }
    }

    async fn finish(&mut self, proof: PairProof, control: &mut Control) -> End {
        let Some(attempt) = self.attempt.take() else {
            return End::Protocol("the client proved what nobody asked for".to_owned());
        };
        let shared = self.shared.clone();
        let finish = move || {
            let finished = shared.trust.reception.finish(&attempt, &proof);
            shared.trust.refresh();
            finished
        };
        match blocking(finish).await {
            Ok(Ok((client, paired))) => {
                tracing::warn!(id = client.id, "'{}' is paired", client.name);
                control.paired(paired).await;
                End::Paired
            }
            Ok(Err(refusal)) => {
                if refusal.code == RefusalCode::Intercepted {
                    tracing::error!(
                        "SOMEBODY SITS IN THE MIDDLE: a client typed the right code, but its connection ends elsewhere \
                         than here. Nothing was paired and the code is dead. Look who else is in this network"
                    );
                }
                self.refuse(control, refusal).await
            }
            Err(end) => end,
        }
    }

    async fn refuse(&self, control: &mut Control, refusal: Refusal) -> End {
        self.count(&refusal);
        control.refuse(refusal).await;
        End::Refused
    }

    fn count(&self, refusal: &Refusal) {
        self.shared.metrics.refused.count(code_name(refusal.code));
        tracing::info!(code = ?refusal.code, "refused: {refusal}");
    }
}

/// Does what reads files where that may take its time.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, End> {
    tokio::task::spawn_blocking(work).await.map_err(|error| End::Internal(error.to_string()))
}
