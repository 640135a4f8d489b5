//! What other budgets would buy: asked for with an Open, answered with Opened or Refused, from version 2 on.
//! This file also says how they lie on the wire; what an offer is worth is the server's business.

use super::{MessageError, within};
use crate::{
    MAX_BUDGET_FRAMES, MAX_OFFER_WORDS_BYTES, MAX_OFFERS,
    bytes::{Reader, Writer},
};

/// The first version in which an Open may ask for offers. A server of an earlier one must not be asked.
pub const OFFERS_SINCE_VERSION: u16 = 2;
/// The first version whose offers say what they need. A client of an earlier one must not be told.
pub const NEEDS_SINCE_VERSION: u16 = 3;
/// Further from offline than this is no figure of any model, in dB.
const MOST_DB: f32 = 100.0;

/// What a budget would buy in the place of the one that was asked for, everything else being equal.
#[derive(Debug, Clone, PartialEq)]
pub struct BudgetOffer {
    /// The budget, in frames at the wire rate, as it was asked about.
    pub budget_frames: u32,
    /// Whether the server could hold it, with the allowance for the link that came with the request.
    pub holds: bool,
    /// How good it is beside the model's own offline separation, in dB (negative is worse); `None` where that
    /// was not measured, and where the budget does not hold.
    pub quality_db: Option<f32>,
    /// How the model would be run, or why it cannot be; at most [`MAX_OFFER_WORDS_BYTES`].
    pub words: String,
    /// What of the budget the plan needs for itself, everything but the link, in frames at the wire rate: the rest is
    /// there for the link. `None` where there is no plan, and from a server before [`NEEDS_SINCE_VERSION`].
    pub need_frames: Option<u32>,
}

impl BudgetOffer {
    fn check(&self) -> Result<(), MessageError> {
        within("offer.budget_frames", self.budget_frames, 1, MAX_BUDGET_FRAMES)?;
        match self.quality_db {
            // Also what is no number at all.
            Some(db) if !(-MOST_DB..=MOST_DB).contains(&db) => {
                Err(MessageError::Value { field: "offer.quality_db", got: db.to_bits().into() })
            }
            _ => Ok(()),
        }
    }

    fn write(&self, w: &mut Writer<'_>) -> Result<(), MessageError> {
        self.check()?;
        w.u32(self.budget_frames);
        w.u8(self.holds.into());
        w.u8(self.quality_db.is_some().into());
        if let Some(db) = self.quality_db {
            w.u32(db.to_bits());
        }
        w.text("offer.words", &self.words, MAX_OFFER_WORDS_BYTES)
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, MessageError> {
        let offer = Self {
            budget_frames: r.u32("offer.budget_frames")?,
            holds: flag(r, "offer.holds")?,
            quality_db: match flag(r, "offer.quality_db")? {
                true => Some(f32::from_bits(r.u32("offer.quality_db")?)),
                false => None,
            },
            words: r.text("offer.words", MAX_OFFER_WORDS_BYTES)?,
            need_frames: None,
        };
        offer.check()?;
        Ok(offer)
    }
}

fn flag(r: &mut Reader<'_>, field: &'static str) -> Result<bool, MessageError> {
    match r.u8(field)? {
        0 => Ok(false),
        1 => Ok(true),
        got => Err(MessageError::Value { field, got: got.into() }),
    }
}

/// No offers are no bytes, so that whoever did not ask reads what version 1 said; no needs are none either.
pub(super) fn write_offers(w: &mut Writer<'_>, offers: &[BudgetOffer]) -> Result<(), MessageError> {
    write_list(w, "offers", offers, |w, offer| offer.write(w))?;
    if offers.iter().all(|offer| offer.need_frames.is_none()) {
        return Ok(());
    }
    write_list(w, "offer.need_frames", offers, |w, offer| {
        let frames = offer.need_frames.unwrap_or(0);
        within("offer.need_frames", frames, 0, MAX_BUDGET_FRAMES)?;
        w.u32(frames);
        Ok(())
    })
}

pub(super) fn read_offers(r: &mut Reader<'_>) -> Result<Vec<BudgetOffer>, MessageError> {
    read_list(r, "offers", BudgetOffer::read)
}

/// What each of the offers needs, if anything follows them. On an error they are as before.
pub(super) fn read_needs(r: &mut Reader<'_>, offers: &mut [BudgetOffer]) -> Result<(), MessageError> {
    let field = "offer.need_frames";
    let needs = read_list(r, field, |r| r.u32(field))?;
    if !needs.is_empty() && needs.len() != offers.len() {
        return Err(MessageError::Value { field, got: needs.len() as u64 });
    }
    needs.iter().try_for_each(|&frames| within(field, frames, 0, MAX_BUDGET_FRAMES))?;
    for (offer, frames) in offers.iter_mut().zip(needs) {
        offer.need_frames = (frames > 0).then_some(frames);
    }
    Ok(())
}

/// The budgets that an Open asks about, in frames; none are no bytes.
pub(super) fn write_wanted(w: &mut Writer<'_>, wanted_frames: &[u32]) -> Result<(), MessageError> {
    write_list(w, "wanted_offers", wanted_frames, |w, frames| {
        w.u32(*frames);
        Ok(())
    })
}

pub(super) fn read_wanted(r: &mut Reader<'_>) -> Result<Vec<u32>, MessageError> {
    read_list(r, "wanted_offers", |r| r.u32("wanted_offers"))
}

fn write_list<T>(
    w: &mut Writer<'_>,
    field: &'static str,
    items: &[T],
    write: impl Fn(&mut Writer<'_>, &T) -> Result<(), MessageError>,
) -> Result<(), MessageError> {
    match items.len() {
        0 => return Ok(()),
        1..=MAX_OFFERS => w.u8(items.len() as u8),
        got => return Err(MessageError::TooLong { field, got, limit: MAX_OFFERS }),
    }
    items.iter().try_for_each(|item| write(w, item))
}

fn read_list<T>(
    r: &mut Reader<'_>,
    field: &'static str,
    read: impl Fn(&mut Reader<'_>) -> Result<T, MessageError>,
) -> Result<Vec<T>, MessageError> {
    if r.is_empty() {
        return Ok(Vec::new());
    }
    let got = usize::from(r.u8(field)?);
    if got > MAX_OFFERS {
        return Err(MessageError::TooLong { field, got, limit: MAX_OFFERS });
    }
    (0..got).map(|_| read(r)).collect()
}
