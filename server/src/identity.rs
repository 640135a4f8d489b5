//! The server's long-lived key and self-signed certificate, which clients pin by fingerprint.
//!
//! One file, `DATA/identity/server.pem`, mode 0600, made once: a new key would lock out every paired client,
//! so a damaged one is an error with a way out and never replaced in silence. Must not open sockets.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use sha2::{Digest as _, Sha256};

use crate::private::{self, PrivateError};

/// The certificate's subject; clients trust the key, not the name.
const SUBJECT: &str = "rehearsekit";

/// Why there is no usable identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The file cannot be used.
    #[error(transparent)]
    Private(#[from] PrivateError),
    /// The file does not hold one certificate and its key.
    #[error(
        "the server's key {} is damaged ({reason}): restore it from a backup, or delete it to get a new one \
         (clients must then pair again)",
        path.display()
    )]
    Damaged {
        /// The key file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// No key could be made.
    #[error("cannot make a key for the server: {0}")]
    Generate(#[from] rcgen::Error),
}

/// SHA-256 of the certificate's DER, which clients pin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint(pub [u8; 32]);

impl fmt::Display for Fingerprint {
    /// 64 lower-case hex digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The certificate and its key.
#[derive(Debug)]
pub struct Identity {
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

impl Identity {
    /// Reads the identity below `data`, or makes it the first time.
    pub fn open(data: &Path) -> Result<Self, IdentityError> {
        let path = private::folder(data).join("server.pem");
        if private::read(&path)?.is_none() {
            let made = rcgen::generate_simple_self_signed([SUBJECT.to_owned()])?;
            let pem = made.cert.pem() + &made.signing_key.serialize_pem();
            // If another process was quicker, its key stands and ours is forgotten.
            private::write(&path, pem.as_bytes(), false)?;
        }
        let pem = private::read(&path)?.unwrap_or_default();
        Self::parse(&path, &pem)
    }

    fn parse(path: &Path, pem: &[u8]) -> Result<Self, IdentityError> {
        let damaged = |reason: String| IdentityError::Damaged { path: path.to_owned(), reason };
        let certificate = CertificateDer::from_pem_slice(pem).map_err(|error| damaged(error.to_string()))?;
        let key = PrivateKeyDer::from_pem_slice(pem).map_err(|error| damaged(error.to_string()))?;
        let identity = Self { certificate, key };
        // Builds the configuration once to learn whether key and certificate belong together.
        identity.tls(&[]).map_err(|error| damaged(error.to_string()))?;
        Ok(identity)
    }

    /// What clients pin.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint(Sha256::digest(&self.certificate).into())
    }

    /// TLS 1.3 with this identity, speaking only the protocol `alpn`.
    pub fn tls(&self, alpn: &[u8]) -> Result<rustls::ServerConfig, rustls::Error> {
        let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
        let mut tls = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_no_client_auth()
            .with_single_cert(vec![self.certificate.clone()], self.key.clone_key())?;
        tls.alpn_protocols = vec![alpn.to_vec()];
        Ok(tls)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_identity_is_made_once_and_stays() {
        let data = tempfile::tempdir().unwrap();
        let first = Identity::open(data.path()).unwrap().fingerprint();
        assert_eq!(Identity::open(data.path()).unwrap().fingerprint(), first);
        assert_eq!(first.to_string().len(), 64);
        let other = tempfile::tempdir().unwrap();
        assert_ne!(Identity::open(other.path()).unwrap().fingerprint(), first);
    }

    #[cfg(unix)]
    #[test]
    fn a_key_that_others_may_read_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let data = tempfile::tempdir().unwrap();
        Identity::open(data.path()).unwrap();
        let path = data.path().join("identity/server.pem");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let told = Identity::open(data.path()).unwrap_err().to_string();
        assert!(told.contains("can be read by others (mode 0640): run chmod 600"), "{told}");
    }

    #[test]
    fn a_damaged_key_is_told_and_not_replaced() {
        let data = tempfile::tempdir().unwrap();
        Identity::open(data.path()).unwrap();
        let path = data.path().join("identity/server.pem");
        let whole = fs::read_to_string(&path).unwrap();
        let other_dir = tempfile::tempdir().unwrap();
        Identity::open(other_dir.path()).unwrap();
        let other = fs::read_to_string(other_dir.path().join("identity/server.pem")).unwrap();
        let split = |text: &str| {
            let at = text.find("-----BEGIN PRIVATE KEY").unwrap();
            (text[..at].to_owned(), text[at..].to_owned())
        };
        let crossed = split(&whole).0 + &split(&other).1;
        for broken in ["", &whole[..whole.len() / 2], &split(&whole).0, &crossed] {
            fs::write(&path, broken).unwrap();
            let told = Identity::open(data.path()).unwrap_err().to_string();
            assert!(told.contains(" is damaged (") && told.contains("delete it"), "{told}");
            assert_eq!(fs::read_to_string(&path).unwrap(), broken);
        }
    }
}
