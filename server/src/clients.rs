//! Who is paired: `DATA/identity/clients.json`, which the server and the commands both change.
//!
//! A token itself is never kept, only its hash. Whoever was shut out stays in the file for a while, so that a
//! revoked token can be told from one that was never given out. This module must not know of connections.

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
};

use rehearsekit_protocol::{MAX_NAME_BYTES, Token};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::{
    hex,
    private::{self, Lock, PrivateError, Stamp},
};

/// Most clients that may be paired at a time.
pub const MOST_CLIENTS: usize = 64;
/// Most that were shut out and are remembered; the oldest go first.
const MOST_REVOKED: usize = 64;
/// The format of the file.
const VERSION: u64 = 1;

/// The SHA-256 of a token, as 64 hexadecimal digits in the file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
struct TokenHash([u8; 32]);

impl TokenHash {
    fn of(token: &Token) -> Self {
        Self(Sha256::digest(token.0).into())
    }
}

impl TryFrom<String> for TokenHash {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        hex::from_hex(&text).map(Self).ok_or("a token_sha256 has 64 hexadecimal digits")
    }
}

impl From<TokenHash> for String {
    fn from(hash: TokenHash) -> Self {
        hex::hex(&hash.0)
    }
}

/// One client, paired now or shut out.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Client {
    /// Eight hexadecimal digits; no two clients have the same.
    pub id: String,
    /// What it is called; no two clients that are paired have the same.
    pub name: String,
    token_sha256: TokenHash,
    /// When it was paired, in seconds since 1970.
    pub paired_at: u64,
    /// When it was shut out, in seconds since 1970; `None` while it is paired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<u64>,
}

impl Client {
    /// Whether it may come in.
    pub fn is_paired(&self) -> bool {
        self.revoked_at.is_none()
    }
}

/// Why the list cannot be used, or not in this way.
#[derive(Debug, thiserror::Error)]
pub enum ClientsError {
    /// Of the file.
    #[error(transparent)]
    Private(#[from] PrivateError),
    /// There is no more room.
    #[error(
        "{MOST_CLIENTS} clients are paired, and there is no room for more: `rehearsekit clients revoke NAME` makes some"
    )]
    Full,
    /// Nothing is left of the name.
    #[error("a client needs a name, like \"drummer's laptop\"")]
    Nameless,
    /// Nobody is called that.
    #[error("no client is called '{which}'; {}", there_are(.there))]
    Unknown {
        /// As asked for.
        which: String,
        /// Who is paired.
        there: Vec<Client>,
    },
    /// Somebody is called that and was shut out before.
    #[error("'{which}' was shut out already")]
    AlreadyRevoked {
        /// As asked for.
        which: String,
    },
    /// More than one are meant.
    #[error("'{which}' may mean more than one client; say which by its id: {}", names(.these))]
    Ambiguous {
        /// As asked for.
        which: String,
        /// Who may be meant.
        these: Vec<Client>,
    },
}

fn there_are(clients: &[Client]) -> String {
    if clients.is_empty() { "nobody is paired".to_owned() } else { format!("there are {}", names(clients)) }
}

fn names(clients: &[Client]) -> String {
    clients.iter().map(|c| format!("{} ({})", c.name, c.id)).collect::<Vec<_>>().join(", ")
}

/// Who a token belongs to.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Belongs<'a> {
    To(&'a Client),
    /// To one who was shut out.
    Revoked(&'a Client),
    ToNobody,
}

/// Finds out who shows `token`, in a time that does not tell how much of it is right.
pub(crate) fn who<'a>(clients: &'a [Client], token: &Token) -> Belongs<'a> {
    let hash = TokenHash::of(token);
    let mut found = Belongs::ToNobody;
    for client in clients {
        if bool::from(client.token_sha256.0.ct_eq(&hash.0)) {
            found = if client.is_paired() { Belongs::To(client) } else { Belongs::Revoked(client) };
        }
    }
    found
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    version: u64,
    clients: Vec<Client>,
}

/// The file, wherever it stands. Each change reads it, changes it and writes it under the lock.
#[derive(Debug, Clone)]
pub struct ClientBook {
    folder: PathBuf,
}

impl ClientBook {
    /// The list of the server whose data folder this is.
    pub fn of(data: &Path) -> Self {
        Self { folder: private::folder(data) }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    fn path(&self) -> PathBuf {
        self.folder.join("clients.json")
    }

    pub(crate) fn stamp(&self) -> Stamp {
        Stamp::of(&self.path())
    }

    /// All clients, those who were shut out included, in the order in which they were paired.
    pub fn read(&self) -> Result<Vec<Client>, PrivateError> {
        let written: Option<Written> = private::read_json(&self.path(), VERSION)?;
        Ok(written.map(|written| written.clients).unwrap_or_default())
    }

    /// Pairs a client without a code: gives the token that it shows from now on. Of a name that is taken there will
    /// be two, the new one with a number behind it.
    pub fn add(&self, name: &str) -> Result<(Client, Token), ClientsError> {
        self.add_under(&Lock::take(&self.folder)?, name)
    }

    /// As [`Self::add`], for who has the lock already.
    pub(crate) fn add_under(&self, _lock: &Lock, name: &str) -> Result<(Client, Token), ClientsError> {
        let mut clients = self.read()?;
        if clients.iter().filter(|client| client.is_paired()).count() >= MOST_CLIENTS {
            return Err(ClientsError::Full);
        }
        let name = unique(&tidy(name).ok_or(ClientsError::Nameless)?, &clients);
        let token = Token(private::random()?);
        let id = loop {
            let id = hex::hex(&private::random::<4>()?);
            if clients.iter().all(|client| client.id != id) {
                break id;
            }
        };
        let token_sha256 = TokenHash::of(&token);
        let client = Client { id, name, token_sha256, paired_at: private::unix_now(), revoked_at: None };
        clients.push(client.clone());
        self.write(clients)?;
        Ok((client, token))
    }

    /// Shuts out the client of this name or id. Its sessions end within about a second.
    pub fn revoke(&self, which: &str) -> Result<Client, ClientsError> {
        let _lock = Lock::take(&self.folder)?;
        let mut clients = self.read()?;
        let which = which.trim();
        let is_meant = |client: &Client| client.name == which || client.id.eq_ignore_ascii_case(which);
        let (meant, there): (Vec<Client>, Vec<Client>) = {
            let paired = clients.iter().filter(|client| client.is_paired());
            (paired.clone().filter(|client| is_meant(client)).cloned().collect(), paired.cloned().collect())
        };
        let which = which.to_owned();
        let [client] = &meant[..] else {
            return Err(match meant.len() {
                0 if clients.iter().any(is_meant) => ClientsError::AlreadyRevoked { which },
                0 => ClientsError::Unknown { which, there },
                _ => ClientsError::Ambiguous { which, these: meant },
            });
        };
        let mut revoked = client.clone();
        revoked.revoked_at = Some(private::unix_now());
        clients.retain(|other| other.id != revoked.id);
        clients.push(revoked.clone());
        self.write(clients)?;
        Ok(revoked)
    }

    fn write(&self, clients: Vec<Client>) -> Result<(), PrivateError> {
        let (paired, mut revoked): (Vec<Client>, VecDeque<Client>) = {
            let (paired, revoked): (Vec<_>, Vec<_>) = clients.into_iter().partition(Client::is_paired);
            (paired, revoked.into())
        };
        while revoked.len() > MOST_REVOKED {
            revoked.pop_front();
        }
        let clients = paired.into_iter().chain(revoked).collect();
        private::write_json(&self.path(), &Written { version: VERSION, clients })
    }
}

/// A name as it can be shown in a list: trimmed, in one line, nothing invisible in it, and not too long.
fn tidy(name: &str) -> Option<String> {
    let shown = |c: &char| {
        // What turns text around or has no width could make one name look like another.
        let invisible = matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
        !c.is_control() && !invisible
    };
    let name: String = name.chars().filter(shown).collect();
    let name = cut(name.trim(), MAX_NAME_BYTES).trim_end();
    (!name.is_empty()).then(|| name.to_owned())
}

/// `name`, with a number behind it if somebody who is paired is called that already. Pairing never takes a place
/// from somebody else: two players' laptops may well have the same name.
fn unique(name: &str, clients: &[Client]) -> String {
    let taken = |name: &str| clients.iter().any(|client| client.is_paired() && client.name == name);
    let numbered = (2..).map(|n| {
        let number = format!(" ({n})");
        cut(name, MAX_NAME_BYTES - number.len()).trim_end().to_owned() + &number
    });
    std::iter::once(name.to_owned()).chain(numbered).find(|name| !taken(name)).unwrap_or_default()
}

fn cut(text: &str, most: usize) -> &str {
    let end = (0..=most.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn book() -> (tempfile::TempDir, ClientBook) {
        let data = tempfile::tempdir().unwrap();
        let book = ClientBook::of(data.path());
        (data, book)
    }

    fn told(book: &ClientBook, token: &Token) -> &'static str {
        match who(&book.read().unwrap(), token) {
            Belongs::To(_) => "paired",
            Belongs::Revoked(_) => "revoked",
            Belongs::ToNobody => "nobody",
        }
    }

    #[test]
    fn a_token_is_known_until_it_is_revoked_and_told_from_a_strange_one_after() {
        let (_data, book) = book();
        assert!(book.read().unwrap().is_empty());
        let (client, token) = book.add(" drummer's laptop\n").unwrap();
        assert_eq!((client.name.as_str(), client.id.len()), ("drummer's laptop", 8));
        assert_eq!(told(&book, &token), "paired");
        assert_eq!(told(&book, &Token([0; 32])), "nobody");
        let text = std::fs::read_to_string(book.path()).unwrap();
        assert!(!text.contains(&hex::hex(&token.0)), "the token itself is in the file");
        assert_eq!(book.revoke(&client.id.to_uppercase()).unwrap().id, client.id);
        assert_eq!(told(&book, &token), "revoked");
        assert!(matches!(book.revoke(&client.id), Err(ClientsError::AlreadyRevoked { .. })));
    }

    #[test]
    fn two_of_one_name_are_two_and_each_can_be_revoked_by_name() {
        let (_data, book) = book();
        let names: Vec<String> = (0..3).map(|_| book.add("laptop").unwrap().0.name).collect();
        assert_eq!(names, ["laptop", "laptop (2)", "laptop (3)"]);
        book.revoke("laptop").unwrap();
        assert_eq!(book.add("laptop").unwrap().0.name, "laptop", "the name is free again");
        let told = book.revoke("lap").unwrap_err().to_string();
        assert!(told.starts_with("no client is called 'lap'; there are laptop (2) ("), "{told}");
        let long = "ü".repeat(40);
        let names: Vec<String> = (0..2).map(|_| book.add(&long).unwrap().0.name).collect();
        assert_eq!(names, ["ü".repeat(32), "ü".repeat(30) + " (2)"]);
    }

    #[test]
    fn a_name_and_an_id_that_are_the_same_are_told_apart_by_asking() {
        let (_data, book) = book();
        let id = book.add("one").unwrap().0.id;
        book.add(&id).unwrap();
        let told = book.revoke(&id).unwrap_err().to_string();
        assert!(told.contains("may mean more than one client") && told.contains("one ("), "{told}");
    }

    #[test]
    fn names_are_made_fit_to_be_shown() {
        assert_eq!(tidy("  a\u{1b}[31m\r\nb\u{202e}c  ").unwrap(), "a[31mbc");
        for none in ["", " \t", "\u{0}\u{200b}"] {
            assert_eq!(tidy(none), None);
        }
    }

    #[test]
    fn there_is_room_for_so_many_and_the_oldest_revoked_are_forgotten() {
        let (_data, book) = book();
        let first = book.add("first").unwrap();
        book.revoke("first").unwrap();
        for n in 0..MOST_CLIENTS {
            book.add(&n.to_string()).unwrap();
        }
        assert!(matches!(book.add("one more"), Err(ClientsError::Full)));
        assert_eq!(told(&book, &first.1), "revoked");
        for n in 0..MOST_REVOKED {
            book.revoke(&n.to_string()).unwrap();
        }
        assert_eq!(told(&book, &first.1), "nobody");
        assert_eq!(book.read().unwrap().len(), MOST_REVOKED);
    }

    #[test]
    fn a_file_that_is_damaged_or_newer_is_told_and_not_replaced() {
        let (_data, book) = book();
        book.add("laptop").unwrap();
        let whole = std::fs::read_to_string(book.path()).unwrap();
        for (text, words) in [
            (whole[..whole.len() / 2].to_owned(), "is damaged ("),
            ("{}".to_owned(), "it has no version"),
            (whole.replace("token_sha256", "token"), "is damaged ("),
            (whole.replace("\"version\": 1", "\"version\": 2"), "later version of rehearsekit (format 2)"),
        ] {
            std::fs::write(book.path(), &text).unwrap();
            for error in
                [book.add("x").unwrap_err().to_string(), book.revoke("laptop").unwrap_err().to_string()]
            {
                assert!(error.contains(words) && error.contains("delete"), "{error}");
            }
            assert_eq!(std::fs::read_to_string(book.path()).unwrap(), text);
        }
    }
}
