//! A newcomer of our own: connects over QUIC like any client, says hello and waits for the welcome. It asks for nothing
//! more, so it takes nobody's place. Must not know what it is asked for.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use quinn::crypto::rustls::QuicClientConfig;
use rehearsekit_protocol::{ALPN, ClientMessage, CloseReason, FrameReader, PROTOCOL_VERSIONS, ServerMessage};
use rustls::{
    CertificateError, DigitallySignedStruct, Error, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use sha2::{Digest as _, Sha256};
use tokio::time::timeout;

use crate::identity::Fingerprint;

/// What it calls itself.
const NAME: &str = "the server's watchdog";

pub(super) struct Door {
    /// Where the server listens.
    address: SocketAddr,
    certificate: Fingerprint,
    /// Made anew after each look in vain: what is broken may be our own end.
    from: Option<(quinn::Endpoint, SocketAddr)>,
}

impl Door {
    pub(super) fn new(address: SocketAddr, certificate: Fingerprint) -> Self {
        Self { address, certificate, from: None }
    }

    /// Comes in as far as the welcome and leaves again. `told`: where it comes from, before it does.
    pub(super) async fn knock(&mut self, within: Duration, told: impl Fn(SocketAddr)) -> Result<(), String> {
        let (endpoint, own) = match self.from.take() {
            Some(from) => from,
            None => {
                let endpoint = self.endpoint().map_err(|error| format!("no socket for a look: {error}"))?;
                let own = endpoint.local_addr().map_err(|error| format!("no address for a look: {error}"))?;
                told(own);
                (endpoint, own)
            }
        };
        let to = self.at(own.ip(), self.address.port());
        let late = |_| Err(format!("no welcome within {} s", within.as_secs_f64()));
        let result = timeout(within, come_in(&endpoint, to)).await.unwrap_or_else(late);
        if result.is_ok() {
            self.from = Some((endpoint, own));
        }
        result
    }

    /// On the address that is listened on, or on loopback where that is every address.
    fn endpoint(&self) -> std::io::Result<quinn::Endpoint> {
        let ips: &[IpAddr] = match self.address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => &[IpAddr::V4(Ipv4Addr::LOCALHOST)],
            IpAddr::V6(ip) if ip.is_unspecified() => {
                &[IpAddr::V6(Ipv6Addr::LOCALHOST), IpAddr::V4(Ipv4Addr::LOCALHOST)]
            }
            ip => &[ip],
        };
        let mut result = Err(std::io::ErrorKind::AddrNotAvailable.into());
        for ip in ips {
            result = quinn::Endpoint::client(self.at(*ip, 0));
            if result.is_ok() {
                break;
            }
        }
        let mut endpoint = result?;
        endpoint.set_default_client_config(self.config().map_err(std::io::Error::other)?);
        Ok(endpoint)
    }

    /// An address as ours is, which may belong to one interface only.
    fn at(&self, ip: IpAddr, port: u16) -> SocketAddr {
        let mut address = self.address;
        address.set_ip(ip);
        address.set_port(port);
        address
    }

    fn config(&self) -> Result<quinn::ClientConfig, Box<dyn std::error::Error + Send + Sync>> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut tls = rustls::ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Own { certificate: self.certificate, provider }))
            .with_no_client_auth();
        tls.alpn_protocols = vec![ALPN.to_vec()];
        // Each look is a newcomer's.
        tls.resumption = rustls::client::Resumption::disabled();
        Ok(quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls)?)))
    }
}

async fn come_in(endpoint: &quinn::Endpoint, to: SocketAddr) -> Result<(), String> {
    let said = |error: &dyn std::error::Error| {
        let cause = error.source().map(|source| format!(": {source}")).unwrap_or_default();
        format!("{error}{cause}")
    };
    let connecting = endpoint.connect(to, "rehearsekit").map_err(|error| said(&error))?;
    let connection = connecting.await.map_err(|error| said(&error))?;
    let result = greet(&connection).await;
    connection.close(0u8.into(), b"");
    result
}

async fn greet(connection: &quinn::Connection) -> Result<(), String> {
    let (mut send, mut recv) = connection.open_bi().await.map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    let (min_version, max_version) = PROTOCOL_VERSIONS.into_inner();
    let hello = ClientMessage::Hello { min_version, max_version, client_name: NAME.to_owned() };
    hello.encode(&mut bytes).map_err(|error| error.to_string())?;
    send.write_all(&bytes).await.map_err(|error| error.to_string())?;
    let (mut frames, mut buffer) = (FrameReader::new(), [0; 1_024]);
    loop {
        if let Some(frame) = frames.next_frame().map_err(|error| error.to_string())? {
            return match ServerMessage::decode(frame).map_err(|error| error.to_string())? {
                ServerMessage::Welcome { .. } => {
                    bytes.clear();
                    let goodbye = ClientMessage::Close { reason: CloseReason::ClientDone };
                    // If it does not arrive, the closing of the connection says the same.
                    if goodbye.encode(&mut bytes).is_ok() {
                        let _ = send.write_all(&bytes).await;
                    }
                    Ok(())
                }
                other => Err(format!("instead of a welcome there came {other:?}")),
            };
        }
        match recv.read(&mut buffer).await {
            Ok(Some(count)) => frames.push(&buffer[..count]),
            Ok(None) => return Err("no welcome, but the end".to_owned()),
            Err(error) => return Err(error.to_string()),
        }
    }
}

/// Believes this server's own certificate and no other.
#[derive(Debug)]
struct Own {
    certificate: Fingerprint,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Own {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.certificate.0[..] == Sha256::digest(end_entity)[..] {
            return Ok(ServerCertVerified::assertion());
        }
        Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
