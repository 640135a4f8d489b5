//! Which server certificate is believed.
//!
//! Two answers exist: a server on this very machine (any certificate, but only at a loopback address, which
//! [`ServerTrust::allows`] decides before anything is sent), or the one certificate that was pinned when this computer
//! was paired with it. There are no authorities and no names: a box in a closet has neither. In both cases the
//! handshake signature is verified, so a copied certificate without its key is worth nothing.
//!
//! Only `pairing` may speak to whoever answers: what it is told is believed after the proofs and not before. This
//! module must not offer others a way to switch verification off.

use std::{
    fmt,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use rehearsekit_protocol::Token;
use rustls::{
    CertificateError, DigitallySignedStruct, Error, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use sha2::{Digest, Sha256};

/// Whom the client talks to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerTrust {
    /// Any certificate, but only from a loopback address: whoever answers there is already on this machine.
    Loopback,
    /// Exactly the certificate with this fingerprint, wherever it answers; on other machines only with a token.
    Pinned {
        /// The server's identity.
        fingerprint: Fingerprint,
        /// What pairing gave. Goes to nobody else than the holder of that certificate.
        token: Option<Token>,
    },
}

impl ServerTrust {
    /// Whether this trust lets the client talk to `address` at all.
    pub fn allows(&self, address: SocketAddr) -> bool {
        let here = address.ip().to_canonical().is_loopback();
        here || matches!(self, Self::Pinned { token: Some(_), .. })
    }

    /// The identity that is asked for, if one is.
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        match self {
            Self::Loopback => None,
            Self::Pinned { fingerprint, .. } => Some(*fingerprint),
        }
    }
}

/// SHA-256 of a certificate's DER bytes. Prints as 64 hexadecimal digits and is parsed from them.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub [u8; 32]);

/// The text is no fingerprint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no fingerprint: write the 64 hexadecimal digits the server prints at its start")]
pub struct FingerprintError(String);

impl Fingerprint {
    /// The fingerprint of a certificate in DER.
    pub fn of(certificate_der: &[u8]) -> Self {
        Self(Sha256::digest(certificate_der).into())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

impl std::str::FromStr for Fingerprint {
    type Err = FingerprintError;

    /// 64 hexadecimal digits; colons and spaces between them are ignored.
    fn from_str(text: &str) -> Result<Self, FingerprintError> {
        let bad = || FingerprintError(text.chars().take(100).collect());
        let digits = text
            .chars()
            .filter(|c| !matches!(c, ':' | ' '))
            .map(|c| c.to_digit(16).map(|digit| digit as u8))
            .collect::<Option<Vec<u8>>>()
            .ok_or_else(bad)?;
        let bytes: Vec<u8> =
            digits.chunks(2).map(|pair| pair.iter().fold(0, |byte, d| byte << 4 | d)).collect();
        if digits.len() != 64 {
            return Err(bad());
        }
        bytes.try_into().map(Self).map_err(|_| bad())
    }
}

/// rustls's question, answered by a fingerprint, or with yes to any. One per attempt: it remembers what it was shown.
#[derive(Debug)]
pub(crate) struct Verifier {
    expected: Option<Fingerprint>,
    provider: Arc<CryptoProvider>,
    shown: Mutex<Option<Fingerprint>>,
}

impl Verifier {
    pub(crate) fn new(expected: Option<Fingerprint>, provider: Arc<CryptoProvider>) -> Self {
        Self { expected, provider, shown: Mutex::new(None) }
    }

    /// What the server showed.
    pub(crate) fn shown(&self) -> Option<Fingerprint> {
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the server showed, if that was not what is pinned: expected, then got.
    pub(crate) fn mismatch(&self) -> Option<(Fingerprint, Fingerprint)> {
        self.expected.zip(self.shown()).filter(|(expected, shown)| expected != shown)
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = Some(Fingerprint::of(end_entity));
        if self.mismatch().is_some() {
            return Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure));
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_print_and_parse() {
        // SHA-256 of the empty message, FIPS 180-4.
        let text = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let fingerprint = Fingerprint::of(b"");
        assert_eq!(fingerprint.to_string(), text);
        assert_eq!(text.parse(), Ok(fingerprint));
        assert_eq!(text.to_uppercase().replace("B8", "b8:").parse(), Ok(fingerprint));
        for bad in ["", "e3", &text[1..], &format!("{text}00"), &text.replace('e', "x"), "é"] {
            assert!(bad.parse::<Fingerprint>().is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn loopback_trust_stays_on_this_machine() {
        for (address, allowed) in [
            ("127.0.0.1:7777", true),
            ("127.8.9.1:7777", true),
            ("[::1]:7777", true),
            ("[::ffff:127.0.0.1]:7777", true),
            ("192.168.1.5:7777", false),
            ("0.0.0.0:7777", false),
            ("[fe80::1]:7777", false),
        ] {
            let address = address.parse().unwrap();
            let pinned = |token| ServerTrust::Pinned { fingerprint: Fingerprint([0; 32]), token };
            assert_eq!(ServerTrust::Loopback.allows(address), allowed, "{address}");
            assert_eq!(pinned(None).allows(address), allowed, "{address}: pinned, but never paired");
            assert!(pinned(Some(Token([0; 32]))).allows(address));
        }
    }

    #[test]
    fn only_the_pinned_certificate_passes() {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let show = |expected: Option<Fingerprint>, der: &'static [u8]| {
            let verifier = Verifier::new(expected, Arc::clone(&provider));
            let name = ServerName::try_from("rehearsekit").unwrap();
            let answer = verifier.verify_server_cert(
                &CertificateDer::from(der),
                &[],
                &name,
                &[],
                UnixTime::since_unix_epoch(Default::default()),
            );
            (answer.is_ok(), verifier.mismatch())
        };
        let pinned = Fingerprint::of(b"mine");
        assert_eq!(show(Some(pinned), b"mine"), (true, None));
        let other = Fingerprint::of(b"yours");
        assert_eq!(show(Some(pinned), b"yours"), (false, Some((pinned, other))));
        assert_eq!(show(None, b"yours"), (true, None));
    }
}
