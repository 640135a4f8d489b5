//! What is said to whoever is not paired: each no with its sentence for the player. Must not decide which.

use rehearsekit_protocol::{Refusal, RefusalCode};

use super::CODE_LIVES;

fn no(code: RefusalCode, message: impl AsRef<str>) -> Refusal {
    Refusal::new(code, message.as_ref(), None)
}

pub(super) fn replayed() -> Refusal {
    no(RefusalCode::Replayed, "this attempt to pair repeats an earlier one; begin again")
}

pub(super) fn too_many() -> Refusal {
    no(RefusalCode::Busy, "too many want to be paired at once; try again in some seconds")
}

pub(super) fn intercepted(server: &str) -> Refusal {
    no(
        RefusalCode::Intercepted,
        format!(
            "the code is right, but somebody sits between this computer and {server} and pretends to be it; nothing was \
             paired, and the code is worth nothing any more: look who else is in this network"
        ),
    )
}

pub(super) fn wrong(server: &str, tries_left: u32) -> Refusal {
    let rest = match tries_left {
        0 => format!("and that was the last try: run `rehearsekit pair` on {server} for a new one"),
        1 => "one try is left".to_owned(),
        n => format!("{n} tries are left"),
    };
    no(RefusalCode::WrongCode, format!("the code is wrong; {rest}"))
}

pub(super) fn no_code(server: &str) -> Refusal {
    no(
        RefusalCode::NoCode,
        format!("{server} shows no code now: run `rehearsekit pair` on it and type what it shows"),
    )
}

pub(super) fn expired(server: &str) -> Refusal {
    let minutes = CODE_LIVES.as_secs() / 60;
    no(
        RefusalCode::CodeExpired,
        format!(
            "the code has expired, it lives for {minutes} minutes: run `rehearsekit pair` on {server} for a new one"
        ),
    )
}

pub(super) fn tries_over(server: &str) -> Refusal {
    no(
        RefusalCode::TriesOver,
        format!(
            "the code was mistyped too often and is worth nothing any more: run `rehearsekit pair` on {server} for a \
             new one"
        ),
    )
}

pub(super) fn trouble(server: &str) -> Refusal {
    no(RefusalCode::Busy, format!("{server} cannot pair now; its log says why"))
}

pub(super) fn full(sentence: &str) -> Refusal {
    no(RefusalCode::Full, sentence)
}
