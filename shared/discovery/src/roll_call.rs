//! The words of the roll call: a question by broadcast, and a server's answer to the one who asked. It finds servers
//! where multicast DNS cannot, because another program keeps its port or a network drops multicast. Pure; must not
//! touch a socket, and must never make an answer that is longer than its question, so that nobody can use a server to
//! send more than he sends himself.

use crate::{Announcement, NotAnAnnouncement};

/// Where servers listen for the question: the neighbour of the link's usual port.
pub(crate) const PORT: u16 = 7432;
/// How long a question is: longer than any answer (about 620 bytes), shorter than a packet of any network.
pub(crate) const QUESTION_BYTES: usize = 1_000;
/// Longest packet that is looked at.
pub(crate) const MOST_BYTES: usize = 1_500;

const ASK: &[u8; 16] = b"rehearsekit ask1";
const ANSWER: &[u8; 16] = b"rehearsekit ans1";
/// Behind the word: eight bytes that the one who asks made up, and that an answer repeats.
const NONCE_BYTES: usize = 8;
const PORT_BYTES: usize = 2;

/// What ties an answer to its question.
pub(crate) type Nonce = [u8; NONCE_BYTES];

/// The question.
pub(crate) fn question(nonce: Nonce) -> Vec<u8> {
    let mut packet = [&ASK[..], &nonce].concat();
    packet.resize(QUESTION_BYTES, 0);
    packet
}

/// The answer to what was received, or `None` where that is no question or too short for the answer.
pub(crate) fn answer(packet: &[u8], announcement: &Announcement) -> Option<Vec<u8>> {
    let nonce = packet.strip_prefix(&ASK[..])?.get(..NONCE_BYTES)?;
    let mut answer = [&ANSWER[..], nonce, &announcement.quic_port.to_be_bytes()].concat();
    for (key, value) in announcement.to_properties() {
        // As in a TXT record: one byte for the length, then `key=value` of at most 255.
        answer.push(u8::try_from(key.len() + 1 + value.len()).ok()?);
        answer.extend([key.as_bytes(), b"=", value.as_bytes()].concat());
    }
    (answer.len() <= packet.len()).then_some(answer)
}

/// What a server said in its answer to the question with this nonce; `None` where it is an answer to another one, or
/// none.
pub(crate) fn read_answer(packet: &[u8], nonce: Nonce) -> Option<Result<Announcement, NotAnAnnouncement>> {
    let rest = packet.strip_prefix(&ANSWER[..])?.strip_prefix(&nonce[..])?;
    let (port, mut rest) = rest.split_at_checked(PORT_BYTES)?;
    let port = u16::from_be_bytes(port.try_into().ok()?);
    let mut properties = Vec::new();
    while let Some((&length, behind)) = rest.split_first() {
        let (property, behind) = behind.split_at_checked(usize::from(length))?;
        let at = property.iter().position(|&byte| byte == b'=')?;
        properties.push((std::str::from_utf8(&property[..at]).ok()?, &property[at + 1..]));
        rest = behind;
    }
    Some(Announcement::from_properties(properties, port))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::announcement::tests::{announcements, closet};

    const NONCE: Nonce = *b"12345678";

    #[test]
    fn an_answer_says_what_the_announcement_says() {
        let answer = answer(&question(NONCE), &closet()).unwrap();
        assert_eq!(read_answer(&answer, NONCE), Some(Ok(closet())));
        assert_eq!(read_answer(&answer, *b"87654321"), None, "an answer to another question");
    }

    #[test]
    fn the_words_of_the_wire_stay() {
        let question = question(NONCE);
        assert_eq!(question.len(), 1_000);
        assert_eq!(&question[..24], b"rehearsekit ask112345678");
        assert!(question[24..].iter().all(|&byte| byte == 0));
        let answer = answer(&question, &closet()).unwrap();
        assert_eq!(&answer[..26], b"rehearsekit ans112345678\x1d\x09");
        assert_eq!(&answer[26..38], b"\x0bname=closet");
    }

    #[test]
    fn a_question_that_is_shorter_than_its_answer_gets_none() {
        let whole = question(NONCE);
        let answered = answer(&whole, &closet()).unwrap().len();
        assert!(answer(&whole[..answered], &closet()).is_some());
        for bytes in [0, 15, 16, 23, 24, answered - 1] {
            assert_eq!(answer(&whole[..bytes], &closet()), None, "{bytes} bytes");
        }
        assert_eq!(answer(&[0; 1_000], &closet()), None);
    }

    proptest! {
        /// Whatever a server is called, its answer fits into the question.
        #[test]
        fn no_answer_is_longer_than_a_question(announcement in announcements()) {
            let answer = answer(&question(NONCE), &announcement);
            prop_assert!(answer.is_some_and(|answer| answer.len() <= QUESTION_BYTES));
        }

        /// Nothing that arrives can do more than be refused.
        #[test]
        fn nonsense_is_refused(tail in prop::collection::vec(any::<u8>(), 0..700)) {
            let packet = [&ANSWER[..], &NONCE, &tail].concat();
            let _ = read_answer(&packet, NONCE);
            prop_assert_eq!(read_answer(&tail, NONCE), None);
            prop_assert!(answer(&[&ASK[..], &tail].concat(), &closet()).is_none_or(|a| a.len() <= 16 + tail.len()));
        }
    }
}
