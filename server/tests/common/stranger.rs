//! Another machine, played from another address of loopback: what it needs to be paired, to show a token, and to sit
//! in the middle.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use rehearsekit_protocol::{
    ALPN, ClientMessage, LAN_VERSIONS, Mode, Opened, PairStart, PairingCode, PairingEvent, PairingSession,
    Refusal, ServerMessage, SessionError, Token, pairing::EXPORTER_LABEL,
};
use rehearsekit_server::{
    Listeners,
    pairing::{PairingDesk, Shown},
};

use super::{Client, HalfEngine, TestServer, client_tls, config, endpoint_at, request, within};

/// Where this machine is, for a server of [`TestServer::strict`].
pub(crate) const NEAR: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 1));
/// Where the other one is.
pub(crate) const FAR: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 2));

impl TestServer {
    /// A server that takes only [`NEAR`] for this machine.
    pub(crate) async fn strict(keys: &[(&str, &str)]) -> Self {
        Self::strict_in(tempfile::tempdir().unwrap(), keys).await
    }

    /// The same with this data folder.
    pub(crate) async fn strict_in(data: tempfile::TempDir, keys: &[(&str, &str)]) -> Self {
        let config = config(data.path(), &[keys, &[("server_name", "closet")]].concat());
        let listeners = Listeners::bind(&config).unwrap().near_only(NEAR);
        let mut server = Self::on(data, config, listeners, Arc::new(HalfEngine::default())).await;
        assert_eq!(within(server.events.recv()).await, Some(rehearsekit_server::Event::Ready));
        server
    }

    /// A code, as `rehearsekit pair` makes it.
    pub(crate) fn shows(&self) -> Shown {
        PairingDesk::of(self.data.path()).show().unwrap()
    }

    /// How often something was refused with this code.
    pub(crate) async fn refused(&self, code: &str) -> f64 {
        self.metric(&format!("refused_total{{code=\"{code}\"}}")).await
    }
}

/// Another code than this.
pub(crate) fn other_than(code: &PairingCode) -> PairingCode {
    PairingCode::from_number(code.digits().parse::<u64>().unwrap() + 1)
}

/// How an attempt to pair ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    Paired(Token),
    Refused(Refusal),
    Failed(SessionError),
    /// The other end went away.
    Gone,
}

impl Outcome {
    pub(crate) fn token(self) -> Token {
        match self {
            Self::Paired(token) => token,
            other => panic!("not paired: {other:?}"),
        }
    }

    pub(crate) fn refusal(self) -> Refusal {
        match self {
            Self::Refused(refusal) => refusal,
            other => panic!("not refused: {other:?}"),
        }
    }
}

impl Client {
    pub(crate) async fn far(address: SocketAddr) -> Self {
        Self::connect_with(endpoint_at(FAR, 256, client_tls(ALPN)), address).await
    }

    /// Pairs as a client does, with what TLS exports on this connection.
    pub(crate) async fn pairs(mut self, code: &PairingCode, name: &str) -> Outcome {
        let mut channel = [0; 32];
        self.connection.export_keying_material(&mut channel, EXPORTER_LABEL, b"").unwrap();
        let mut session = PairingSession::new(code, name, channel, Default::default()).unwrap();
        loop {
            let bytes = session.take_outgoing();
            let _ = self.send.lock().await.write_all(&bytes).await;
            let mut buffer = [0; 1024];
            let Ok(Some(count)) = within(self.recv.read(&mut buffer)).await else { return Outcome::Gone };
            match session.receive(&buffer[..count]) {
                Ok(None) => {}
                Ok(Some(PairingEvent::Paired { server_name, token })) => {
                    assert_eq!(server_name, "closet");
                    return Outcome::Paired(token);
                }
                Ok(Some(PairingEvent::Refused(refusal))) => return Outcome::Refused(refusal),
                Err(error) => return Outcome::Failed(error),
            }
        }
    }

    /// Begins to pair with these very bytes; the server's answer.
    pub(crate) async fn starts(&mut self, start: PairStart) -> Option<ServerMessage> {
        self.hello(LAN_VERSIONS).await;
        self.say(&ClientMessage::PairStart(start)).await;
        self.hear().await
    }

    /// Asks for a session, with this token if there is one; the server's answer.
    pub(crate) async fn identifies(&mut self, token: Option<&Token>) -> Option<ServerMessage> {
        let welcome = self.hello(LAN_VERSIONS).await;
        assert!(matches!(welcome, Some(ServerMessage::Welcome { version: 4, .. })), "{welcome:?}");
        if let Some(token) = token {
            self.say(&ClientMessage::Identify(token.clone())).await;
        }
        self.say(&ClientMessage::Open(request(Mode::Reliable, 48_000))).await;
        self.hear().await
    }

    /// A session of a paired client.
    pub(crate) async fn paired_session(address: SocketAddr, token: &Token) -> (Self, Opened) {
        let mut client = Self::far(address).await;
        let opened = client.identifies(Some(token)).await;
        let Some(ServerMessage::Opened(opened)) = opened else { panic!("not opened: {opened:?}") };
        client.beat();
        (client, opened)
    }
}

/// Somebody at another address who pretends to be the server, and hands every byte of the control stream on to it.
pub(crate) struct Middle {
    pub(crate) address: SocketAddr,
    task: tokio::task::JoinHandle<()>,
}

impl Middle {
    pub(crate) fn of(server: SocketAddr) -> Self {
        let own = rcgen::generate_simple_self_signed(["rehearsekit".to_owned()]).unwrap();
        let key = rustls::pki_types::PrivateKeyDer::Pkcs8(own.signing_key.serialize_der().into());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut tls = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![own.cert.der().clone()], key)
            .unwrap();
        tls.alpn_protocols = vec![ALPN.to_vec()];
        let crypto = quinn::crypto::rustls::QuicServerConfig::try_from(tls).unwrap();
        let config = quinn::ServerConfig::with_crypto(Arc::new(crypto));
        let endpoint = quinn::Endpoint::server(config, SocketAddr::from(([127, 0, 0, 3], 0))).unwrap();
        let address = endpoint.local_addr().unwrap();
        let task = tokio::spawn(async move {
            while let Some(incoming) = endpoint.accept().await {
                let connection = incoming.await.unwrap();
                tokio::spawn(async move {
                    let (mut to_client, mut from_client) = connection.accept_bi().await.unwrap();
                    let mut server = Client::far(server).await;
                    let mut to_server = server.send.lock().await;
                    let up = tokio::io::copy(&mut from_client, &mut *to_server);
                    let down = async {
                        let _ = tokio::io::copy(&mut server.recv, &mut to_client).await;
                        let _ = to_client.finish();
                        let _ = to_client.stopped().await;
                    };
                    tokio::select! {
                        _ = up => {}
                        () = down => {}
                    }
                });
            }
        });
        Self { address, task }
    }
}

impl Drop for Middle {
    fn drop(&mut self) {
        self.task.abort();
    }
}
