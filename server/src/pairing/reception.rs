//! The server's answers to those who want to be paired. Each try is taken from the file before anything is answered,
//! so that a client which vanishes, or a server which is started again, gives nobody a sixth.
//!
//! All of it reads and writes files and may wait for their lock: call it where waiting is allowed. It must not know
//! how messages travel.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use rehearsekit_protocol::{
    Half, PairProof, PairStart, Paired, PairingCode, Refusal,
    pairing::{Channel, PairingError, ServerPairing},
};

use super::{ENDINGS_TOLD_SECONDS, Ending, NotedBy, PairingDesk, Written, words};
use crate::{
    clients::{Client, ClientBook, ClientsError},
    private::{self, Lock, PrivateError, Stamp},
    token_bucket::TokenBucket,
};

/// Clients' halves that are remembered, so that none is taken twice.
const HALVES: usize = 64;
/// Attempts that are looked at: this many at once, and so many per second after that. Each costs a few milliseconds
/// and a write; a flood of them shall cost the players nothing.
const BURST: u64 = 10;
const PER_SECOND: u64 = 4;

/// What must be remembered between two looks at the file.
struct Memory {
    /// The code that was seen last, and since when.
    seen: Option<(String, Instant)>,
    stamp: Option<Stamp>,
    halves: VecDeque<Half>,
    /// Attempts that may still be made now.
    pace: TokenBucket,
    /// Attempts that wait for the client's proof.
    pending: usize,
}

/// Answers attempts to pair.
pub(crate) struct Reception {
    desk: PairingDesk,
    book: ClientBook,
    noted_by: NotedBy,
    began: Instant,
    memory: Arc<Mutex<Memory>>,
}

/// An attempt whose proof is waited for.
pub(crate) struct Attempt {
    pairing: ServerPairing,
    id: String,
    name: String,
    tries_left: u32,
    memory: Arc<Mutex<Memory>>,
}

impl Drop for Attempt {
    fn drop(&mut self) {
        lock(&self.memory).pending -= 1;
    }
}

fn lock(memory: &Mutex<Memory>) -> MutexGuard<'_, Memory> {
    memory.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Reception {
    pub(crate) fn new(data: &Path, server_name: &str, address: SocketAddr) -> Self {
        let memory = Memory {
            seen: None,
            stamp: None,
            halves: VecDeque::new(),
            pace: TokenBucket::new(BURST, PER_SECOND),
            pending: 0,
        };
        Self {
            desk: PairingDesk::of(data),
            book: ClientBook::of(data),
            noted_by: NotedBy { server: server_name.to_owned(), address },
            began: Instant::now(),
            memory: Arc::new(Mutex::new(memory)),
        }
    }

    pub(crate) fn desk(&self) -> &PairingDesk {
        &self.desk
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        lock(&self.memory)
    }

    /// Takes one of the tries and answers the client's half, or says why not.
    pub(crate) fn begin(&self, start: &PairStart, channel: Channel) -> Result<(Attempt, Half), Refusal> {
        self.hold_pace(self.began.elapsed())?;
        if self.memory().halves.contains(&start.half) {
            return Err(words::replayed());
        }
        let (id, code, tries_left) = self.take_try()?;
        {
            let mut memory = self.memory();
            memory.halves.push_back(start.half);
            if memory.halves.len() > HALVES {
                memory.halves.pop_front();
            }
        }
        match ServerPairing::answer(&code, start, channel) {
            Ok((pairing, half)) => {
                self.memory().pending += 1;
                let (name, memory) = (start.name.clone(), self.memory.clone());
                Ok((Attempt { pairing, id, name, tries_left, memory }, half))
            }
            Err(_) => Err(self.wrong(&id, tries_left)),
        }
    }

    /// Looks at the client's proof. If it is right, the client is paired and the code has done its work.
    pub(crate) fn finish(&self, attempt: &Attempt, proof: &PairProof) -> Result<(Client, Paired), Refusal> {
        let proof = match attempt.pairing.check(proof) {
            Ok(proof) => proof,
            Err(PairingError::WrongCode) => return Err(self.wrong(&attempt.id, attempt.tries_left)),
            Err(PairingError::Intercepted) => {
                self.end(&attempt.id, Ending::Intercepted);
                return Err(words::intercepted(&self.noted_by.server));
            }
        };
        let held = Lock::take(self.book.folder()).map_err(|error| self.trouble(&error))?;
        let written = self.living()?;
        if written.id != attempt.id {
            return Err(words::no_code(&self.noted_by.server));
        }
        let added = self.book.add_under(&held, &attempt.name).or_else(|error| match error {
            ClientsError::Nameless => self.book.add_under(&held, "a client without a name"),
            other => Err(other),
        });
        let (client, token) = added.map_err(|error| match error {
            ClientsError::Full => words::full(&error.to_string()),
            other => self.trouble(&other),
        })?;
        let ending = Ending::Paired { name: client.name.clone(), id: client.id.clone() };
        let ended = self.desk.change(&attempt.id, |written| written.end(ending));
        ended.map_err(|error| self.trouble(&error))?;
        Ok((client, Paired { proof, token }))
    }

    /// Looks whether there is a new code, and ends one whose time or tries are over. Now and then.
    pub(crate) fn look(&self) -> Result<(), PrivateError> {
        let stamp = self.desk.stamp();
        let is_news = {
            let mut memory = self.memory();
            let is_news = memory.stamp.as_ref() != Some(&stamp);
            memory.stamp = Some(stamp);
            is_news
        };
        if !is_news && self.memory().seen.is_none() {
            return Ok(());
        }
        let _lock = Lock::take(self.book.folder())?;
        let Some(written) = self.desk.read()?.filter(|written| written.code.is_some()) else {
            self.memory().seen = None;
            return Ok(());
        };
        let is_over = self.is_over(&written);
        let is_tried_out = written.tries_left == 0 && self.memory().pending == 0;
        let noted_by = Some(self.noted_by.clone());
        let changes = is_over || is_tried_out || written.noted_by != noted_by;
        if changes {
            self.desk.change(&written.id, |written| {
                written.noted_by = noted_by;
                if is_over {
                    written.end(Ending::Expired);
                } else if is_tried_out {
                    written.end(Ending::TriesOver);
                }
            })?;
        }
        Ok(())
    }

    /// Attempts beyond a pace at which people type are not even looked at.
    fn hold_pace(&self, now: Duration) -> Result<(), Refusal> {
        if self.memory().pace.take(1, now) { Ok(()) } else { Err(words::too_many()) }
    }

    /// Which code is shown, after taking one of its tries, and how many are left.
    fn take_try(&self) -> Result<(String, PairingCode, u32), Refusal> {
        let _lock = Lock::take(self.book.folder()).map_err(|error| self.trouble(&error))?;
        let written = self.living()?;
        if written.tries_left == 0 {
            self.end_under_lock(&written.id, Ending::TriesOver);
            return Err(words::tries_over(&self.noted_by.server));
        }
        let left = written.tries_left - 1;
        let taken = self.desk.change(&written.id, |written| written.tries_left = left);
        taken.map_err(|error| self.trouble(&error))?;
        let code = written.code.as_deref().unwrap_or_default().parse();
        Ok((written.id, code.map_err(|error| self.trouble(&error))?, left))
    }

    /// The code that is shown now, if it may still be used; otherwise why not. For who has the lock.
    fn living(&self) -> Result<Written, Refusal> {
        let written = self.desk.read().map_err(|error| self.trouble(&error))?;
        let Some(written) = written else { return Err(words::no_code(&self.noted_by.server)) };
        if let Some((ending, at)) = &written.ended {
            let is_recent = private::unix_now().abs_diff(*at) < ENDINGS_TOLD_SECONDS;
            return Err(match ending {
                Ending::TriesOver if is_recent => words::tries_over(&self.noted_by.server),
                Ending::Expired if is_recent => words::expired(&self.noted_by.server),
                _ => words::no_code(&self.noted_by.server),
            });
        }
        if self.is_over(&written) {
            self.end_under_lock(&written.id, Ending::Expired);
            return Err(words::expired(&self.noted_by.server));
        }
        Ok(written)
    }

    /// Whether this code's time is over, by the system's clock or by our own.
    fn is_over(&self, written: &Written) -> bool {
        let mut memory = self.memory();
        let known_for = match &memory.seen {
            Some((id, since)) if *id == written.id => since.elapsed(),
            _ => {
                memory.seen = Some((written.id.clone(), Instant::now()));
                Duration::ZERO
            }
        };
        written.is_over(private::unix_now(), known_for)
    }

    fn end(&self, id: &str, ending: Ending) {
        if let Err(error) = self.desk.end(id, ending) {
            tracing::error!(%error, "the pairing code could not be taken back");
        }
    }

    fn end_under_lock(&self, id: &str, ending: Ending) {
        if let Err(error) = self.desk.change(id, |written| written.end(ending)) {
            tracing::error!(%error, "the pairing code could not be taken back");
        }
    }

    fn wrong(&self, id: &str, tries_left: u32) -> Refusal {
        if tries_left == 0 {
            self.end(id, Ending::TriesOver);
        }
        words::wrong(&self.noted_by.server, tries_left)
    }

    fn trouble(&self, error: &dyn std::error::Error) -> Refusal {
        tracing::error!("pairing does not work: {error}");
        words::trouble(&self.noted_by.server)
    }
}

#[cfg(test)]
mod tests {
    use rehearsekit_protocol::{RefusalCode, pairing::ClientPairing};

    use super::{super::CODE_LIVES, *};

    const CHANNEL: Channel = [1; 32];

    fn reception(data: &Path) -> Reception {
        Reception::new(data, "closet", ([10, 0, 0, 1], 7433).into())
    }

    fn client(code: &PairingCode) -> ClientPairing {
        ClientPairing::new(code, "laptop", CHANNEL)
    }

    /// One whole attempt with this code on this end's channel.
    fn attempt(reception: &Reception, code: &PairingCode, channel: Channel) -> Result<Client, Refusal> {
        let client = client(code);
        let (attempt, half) = reception.begin(client.start(), channel)?;
        let (_, proof) = client.prove(&half).unwrap();
        // Each test makes more attempts than a person does.
        reception.memory().pace = TokenBucket::new(BURST, PER_SECOND);
        reception.finish(&attempt, &proof).map(|(client, _)| client)
    }

    fn code_of(result: Result<Client, Refusal>) -> RefusalCode {
        result.unwrap_err().code
    }

    fn wrong(code: &PairingCode) -> PairingCode {
        PairingCode::from_number(code.digits().parse::<u64>().unwrap() + 1)
    }

    #[test]
    fn the_right_code_pairs_once() {
        let data = tempfile::tempdir().unwrap();
        let reception = reception(data.path());
        assert_eq!(code_of(attempt(&reception, &PairingCode::from_number(0), CHANNEL)), RefusalCode::NoCode);
        let shown = reception.desk.show().unwrap();
        let client = attempt(&reception, &shown.code, CHANNEL).unwrap();
        let ending = Ending::Paired { name: "laptop".to_owned(), id: client.id };
        assert_eq!(reception.desk.progress(&shown.id).unwrap().ending, Some(ending));
        assert_eq!(code_of(attempt(&reception, &shown.code, CHANNEL)), RefusalCode::NoCode);
        assert_eq!(ClientBook::of(data.path()).read().unwrap().len(), 1);
    }

    #[test]
    fn five_tries_are_five_even_over_a_restart_and_for_clients_that_vanish() {
        let data = tempfile::tempdir().unwrap();
        let shown = PairingDesk::of(data.path()).show().unwrap();
        let first = reception(data.path());
        let told = attempt(&first, &wrong(&shown.code), CHANNEL).unwrap_err();
        assert_eq!(told.message, "the code is wrong; 4 tries are left");
        drop(first.begin(client(&shown.code).start(), CHANNEL).unwrap());
        let second = reception(data.path());
        for words in ["2 tries are left", "one try is left", "that was the last try"] {
            let told = attempt(&second, &wrong(&shown.code), CHANNEL).unwrap_err();
            assert_eq!(told.code, RefusalCode::WrongCode);
            assert!(told.message.contains(words), "{told}");
        }
        assert_eq!(code_of(attempt(&second, &shown.code, CHANNEL)), RefusalCode::TriesOver);
        assert_eq!(second.desk.progress(&shown.id).unwrap().ending, Some(Ending::TriesOver));
        assert_eq!(code_of(attempt(&reception(data.path()), &shown.code, CHANNEL)), RefusalCode::TriesOver);
    }

    #[test]
    fn five_clients_that_vanish_end_a_code_at_the_next_look() {
        let data = tempfile::tempdir().unwrap();
        let reception = reception(data.path());
        let shown = reception.desk.show().unwrap();
        let mut attempts: Vec<_> =
            (0..5).map(|_| reception.begin(client(&shown.code).start(), CHANNEL).unwrap().0).collect();
        let last = attempts.pop().unwrap();
        drop(attempts);
        reception.look().unwrap();
        let told = reception.desk.progress(&shown.id).unwrap();
        assert_eq!((told.tries_left, told.ending), (0, None), "the fifth may still be right");
        drop(last);
        reception.look().unwrap();
        assert_eq!(reception.desk.progress(&shown.id).unwrap().ending, Some(Ending::TriesOver));
    }

    #[test]
    fn a_half_is_taken_once() {
        let data = tempfile::tempdir().unwrap();
        let reception = reception(data.path());
        let shown = reception.desk.show().unwrap();
        let start = client(&shown.code).start().clone();
        drop(reception.begin(&start, CHANNEL).unwrap());
        assert_eq!(reception.begin(&start, CHANNEL).err().unwrap().code, RefusalCode::Replayed);
        assert_eq!(reception.desk.progress(&shown.id).unwrap().tries_left, 4, "a repetition is no try");
    }

    #[test]
    fn somebody_in_the_middle_ends_the_code() {
        let data = tempfile::tempdir().unwrap();
        let reception = reception(data.path());
        let shown = reception.desk.show().unwrap();
        assert_eq!(code_of(attempt(&reception, &shown.code, [2; 32])), RefusalCode::Intercepted);
        assert_eq!(code_of(attempt(&reception, &shown.code, CHANNEL)), RefusalCode::NoCode);
        assert!(ClientBook::of(data.path()).read().unwrap().is_empty());
    }

    #[test]
    fn time_ends_a_code_at_the_start_in_the_middle_and_at_a_look() {
        let data = tempfile::tempdir().unwrap();
        let reception = reception(data.path());
        let age = |id: &str| {
            let past = Instant::now().checked_sub(CODE_LIVES).unwrap();
            reception.memory().seen = Some((id.to_owned(), past));
        };
        let shown = reception.desk.show().unwrap();
        age(&shown.id);
        assert_eq!(code_of(attempt(&reception, &shown.code, CHANNEL)), RefusalCode::CodeExpired);
        let shown = reception.desk.show().unwrap();
        let client = client(&shown.code);
        let (attempt, half) = reception.begin(client.start(), CHANNEL).unwrap();
        age(&shown.id);
        let proof = client.prove(&half).unwrap().1;
        assert_eq!(reception.finish(&attempt, &proof).unwrap_err().code, RefusalCode::CodeExpired);
        let shown = reception.desk.show().unwrap();
        reception.look().unwrap();
        assert_eq!(reception.desk.progress(&shown.id).unwrap().noted_by, Some(reception.noted_by.clone()));
        age(&shown.id);
        reception.look().unwrap();
        assert_eq!(reception.desk.progress(&shown.id).unwrap().ending, Some(Ending::Expired));
    }

    #[test]
    fn a_flood_is_not_looked_at() {
        let data = tempfile::tempdir().unwrap();
        let reception = reception(data.path());
        let passed = |seconds: u64| {
            let at = Duration::from_secs(seconds);
            (0..1_000).filter(|_| reception.hold_pace(at).is_ok()).count()
        };
        assert_eq!((passed(0), passed(1), passed(100)), (10, 4, 10));
    }
}
