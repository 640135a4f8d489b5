//! Pairing: two ends find out that they were told the same short code, and that nobody sits between them.
//!
//! SPAKE2 (over Ed25519's group, RFC 9382 in spirit, the crate's own transcript) makes one key of the code; a guess
//! costs a whole exchange, and nothing that was recorded helps with the next guess. Key confirmation is ours: each
//! end proves twice with HMAC-SHA-256, once that it knows the key (the same code), once that it also sees the same
//! TLS connection (its exporter). Somebody in the middle can hand on halves and proofs, but has two connections: the
//! first proof is right then and the second is wrong, which is told apart from a mistyped code.
//!
//! The client proves first, so whoever only pretends to be a client learns nothing.
//!
//! ```text
//! client                              server
//! PairStart(half, name) ──────────▶   one of five tries is used up here
//!                       ◀──────────   PairReply(half)
//! PairProof             ──────────▶
//!                       ◀──────────   Paired(proof, token)   or Refused(why)
//! ```
//!
//! This module must not count tries, keep codes or know the time: that is the server's business.

use std::{fmt, str::FromStr};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use spake2::{Ed25519Group, Identity, Password, Spake2};

use crate::message::{Half, PairProof, PairStart};

/// The label under which both ends export [`Channel`]'s bytes from TLS (RFC 8446, 7.5), with an empty context.
pub const EXPORTER_LABEL: &[u8] = b"EXPORTER-rehearsekit-pairing";
/// Digits of a code.
const DIGITS: usize = 8;

/// The code that a server shows and a player types: eight digits.
#[derive(Clone, PartialEq, Eq)]
pub struct PairingCode([u8; DIGITS]);

/// The text is no code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a pairing code has {DIGITS} digits, like 1234-5678")]
pub struct PairingCodeError;

impl PairingCode {
    /// The code of this number's last eight digits: give it 64 random bits, and every code is as likely as any other
    /// to one part in 10¹¹.
    pub fn from_number(number: u64) -> Self {
        let mut digits = [0; DIGITS];
        let mut rest = number;
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        Self(digits)
    }

    /// The eight digits without a hyphen, for a file only its owner can read.
    pub fn digits(&self) -> String {
        self.0.iter().map(|&digit| char::from(digit)).collect()
    }
}

impl FromStr for PairingCode {
    type Err = PairingCodeError;

    /// Eight digits; spaces, hyphens, dashes and dots between them are ignored.
    fn from_str(text: &str) -> Result<Self, PairingCodeError> {
        let is_between = |c: &char| match c {
            '-' | '.' | '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{200b}' => true,
            c => c.is_whitespace(),
        };
        let digits = text.chars().filter(|c| !is_between(c)).take(DIGITS + 1);
        // What is no byte is no digit either.
        let digits: Vec<u8> = digits.map(|c| u8::try_from(c).unwrap_or(0)).collect();
        if !digits.iter().all(u8::is_ascii_digit) {
            return Err(PairingCodeError);
        }
        digits.try_into().map(Self).map_err(|_| PairingCodeError)
    }
}

/// As people read it: `1234-5678`.
impl fmt::Display for PairingCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.digits();
        let (left, right) = digits.split_at(DIGITS / 2);
        write!(f, "{left}-{right}")
    }
}

impl fmt::Debug for PairingCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PairingCode(secret)")
    }
}

/// What TLS exports under [`EXPORTER_LABEL`]: the same on both ends of one connection, and on no other.
pub type Channel = [u8; 32];

/// Why a pairing did not work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PairingError {
    /// The codes differ (or the half is no point of the curve, which nobody sends by mistake).
    #[error("the code is wrong")]
    WrongCode,
    /// The code is right, but the two ends are not on one connection.
    #[error("somebody sits between the two ends")]
    Intercepted,
}

/// The client's end of one pairing.
pub struct ClientPairing {
    state: Spake2<Ed25519Group>,
    start: PairStart,
    channel: Channel,
}

/// The server's end of one pairing, once it has answered.
pub struct ServerPairing {
    proofs: Proofs,
}

/// The client's end after its proof: waits for the server's.
pub struct ClientProven {
    proofs: Proofs,
}

impl ClientPairing {
    /// Begins; send [`Self::start`]. `name`: what the client is to be called.
    pub fn new(code: &PairingCode, name: &str, channel: Channel) -> Self {
        let (state, half) = Spake2::start_a(&Password::new(code.0), &client(), &server());
        let start = PairStart { half: fixed(&half), name: name.to_owned() };
        Self { state, start, channel }
    }

    /// What to send first.
    pub fn start(&self) -> &PairStart {
        &self.start
    }

    /// Answers the server's half with the client's proof.
    pub fn prove(self, server_half: &Half) -> Result<(ClientProven, PairProof), PairingError> {
        let key = self.state.finish(server_half).map_err(|_| PairingError::WrongCode)?;
        let proofs = Proofs::new(key, &self.start, server_half, self.channel);
        let proof = proofs.of(CLIENT);
        Ok((ClientProven { proofs }, proof))
    }
}

impl ClientProven {
    /// Looks at the server's proof.
    pub fn check(&self, proof: &PairProof) -> Result<(), PairingError> {
        self.proofs.check(SERVER, proof)
    }
}

impl ServerPairing {
    /// Answers a client's start with the server's half.
    pub fn answer(
        code: &PairingCode,
        start: &PairStart,
        channel: Channel,
    ) -> Result<(Self, Half), PairingError> {
        let (state, half) = Spake2::<Ed25519Group>::start_b(&Password::new(code.0), &client(), &server());
        let half = fixed(&half);
        let key = state.finish(&start.half).map_err(|_| PairingError::WrongCode)?;
        Ok((Self { proofs: Proofs::new(key, start, &half, channel) }, half))
    }

    /// Looks at the client's proof; the server's own if it is right.
    pub fn check(&self, proof: &PairProof) -> Result<PairProof, PairingError> {
        self.proofs.check(CLIENT, proof)?;
        Ok(self.proofs.of(SERVER))
    }
}

const CLIENT: &[u8] = b"client";
const SERVER: &[u8] = b"server";

fn client() -> Identity {
    Identity::new(b"rehearsekit client")
}

fn server() -> Identity {
    Identity::new(b"rehearsekit server")
}

/// The crate gives 33 bytes, always.
fn fixed(half: &[u8]) -> Half {
    let mut bytes = [0; crate::message::HALF_BYTES];
    let length = half.len().min(bytes.len());
    bytes[..length].copy_from_slice(&half[..length]);
    bytes
}

/// What both ends can compute once they have the key.
struct Proofs {
    key: Vec<u8>,
    /// Both halves and the name, so that nobody changes the name on the way.
    said: Vec<u8>,
    channel: Channel,
}

impl Proofs {
    fn new(key: Vec<u8>, start: &PairStart, server_half: &Half, channel: Channel) -> Self {
        let said = [&start.half[..], server_half, start.name.as_bytes()].concat();
        Self { key, said, channel }
    }

    fn mac(&self, who: &[u8], what: &[u8]) -> Hmac<Sha256> {
        // HMAC takes a key of any length.
        #[expect(clippy::expect_used, reason = "no key is too long or too short for HMAC")]
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("any length");
        // `who` is one of two words of the same length, so nothing here can be read as something else.
        mac.update(who);
        mac.update(what);
        mac.update(&self.said);
        mac
    }

    fn of_code(&self, who: &[u8]) -> Hmac<Sha256> {
        self.mac(who, b"code")
    }

    fn of_channel(&self, who: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.mac(who, b"link");
        mac.update(&self.channel);
        mac
    }

    fn of(&self, who: &[u8]) -> PairProof {
        let bytes = |mac: Hmac<Sha256>| mac.finalize().into_bytes().into();
        PairProof { of_code: bytes(self.of_code(who)), of_channel: bytes(self.of_channel(who)) }
    }

    /// In constant time.
    fn check(&self, who: &[u8], proof: &PairProof) -> Result<(), PairingError> {
        self.of_code(who).verify_slice(&proof.of_code).map_err(|_| PairingError::WrongCode)?;
        self.of_channel(who).verify_slice(&proof.of_channel).map_err(|_| PairingError::Intercepted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHANNEL: Channel = [7; 32];

    /// One exchange; what each end thinks of the other's proof.
    fn pair(
        client_code: &str,
        server_code: &str,
        client_channel: Channel,
        server_channel: Channel,
    ) -> Result<(), PairingError> {
        let client = ClientPairing::new(&client_code.parse().unwrap(), "drummer's laptop", client_channel);
        let start = client.start().clone();
        let (server, half) = ServerPairing::answer(&server_code.parse().unwrap(), &start, server_channel)?;
        let (client, proof) = client.prove(&half)?;
        client.check(&server.check(&proof)?)
    }

    #[test]
    fn the_same_code_on_the_same_connection_pairs() {
        assert_eq!(pair("1234-5678", "12345678", CHANNEL, CHANNEL), Ok(()));
    }

    #[test]
    fn another_code_and_another_connection_are_told_apart() {
        assert_eq!(pair("1234-5678", "1234-5679", CHANNEL, CHANNEL), Err(PairingError::WrongCode));
        assert_eq!(pair("1234-5678", "1234-5678", CHANNEL, [8; 32]), Err(PairingError::Intercepted));
        assert_eq!(pair("1234-5678", "8765-4321", CHANNEL, [8; 32]), Err(PairingError::WrongCode));
    }

    #[test]
    fn what_was_said_in_one_pairing_is_worth_nothing_in_the_next() {
        let code: PairingCode = "0000-0001".parse().unwrap();
        let client = ClientPairing::new(&code, "laptop", CHANNEL);
        let start = client.start().clone();
        let (server, half) = ServerPairing::answer(&code, &start, CHANNEL).unwrap();
        let (_, proof) = client.prove(&half).unwrap();
        assert!(server.check(&proof).is_ok());
        let (again, _) = ServerPairing::answer(&code, &start, CHANNEL).unwrap();
        assert_eq!(again.check(&proof).unwrap_err(), PairingError::WrongCode);
    }

    #[test]
    fn nobody_can_prove_with_the_other_ends_proof_or_another_name() {
        let code: PairingCode = "0000-0001".parse().unwrap();
        let client = ClientPairing::new(&code, "laptop", CHANNEL);
        let start = client.start().clone();
        let renamed = PairStart { name: "somebody".into(), ..start.clone() };
        let (server, half) = ServerPairing::answer(&code, &start, CHANNEL).unwrap();
        let (deceived, _) = ServerPairing::answer(&code, &renamed, CHANNEL).unwrap();
        let (client, proof) = client.prove(&half).unwrap();
        assert_eq!(client.check(&proof), Err(PairingError::WrongCode), "its own proof came back");
        assert_eq!(deceived.check(&proof).unwrap_err(), PairingError::WrongCode);
        assert!(server.check(&proof).is_ok());
    }

    #[test]
    fn halves_that_are_none_are_refused() {
        let code: PairingCode = "0000-0001".parse().unwrap();
        let good = ClientPairing::new(&code, "laptop", CHANNEL).start().clone();
        let mut reflected = good.clone();
        reflected.half[0] = b'B';
        for half in [[0; crate::message::HALF_BYTES], [0xff; 33], reflected.half] {
            let start = PairStart { half, ..good.clone() };
            assert!(ServerPairing::answer(&code, &start, CHANNEL).is_err());
        }
    }

    #[test]
    fn codes_print_and_parse() {
        for (number, text) in [(0, "0000-0000"), (12_345_678, "1234-5678"), (u64::MAX, "0955-1615")] {
            let code = PairingCode::from_number(number);
            assert_eq!(code.to_string(), text);
            assert_eq!(text.parse(), Ok(code.clone()));
            assert_eq!(code.digits().parse(), Ok(code));
        }
        for text in [" 12 34-56.78", "1234–5678", "1234\u{2011}5678\u{200b}", "1234\u{a0}5678"] {
            assert_eq!(text.parse(), Ok(PairingCode::from_number(12_345_678)), "{text:?}");
        }
        for bad in ["", "1234567", "123456789", "1234-567a", "１２３４５６７８"] {
            assert_eq!(bad.parse::<PairingCode>(), Err(PairingCodeError), "{bad}");
        }
        assert!(!format!("{:?}", PairingCode::from_number(5)).contains('5'));
    }
}
