//! Attacks on a real server while four real clients play through it: whatever strangers and ill clients do, the four
//! miss nothing, a newcomer is let in, and afterwards the server holds no more than before.
//!
//! Loopback only, bounded in number and time. How many of what and how long was measured is printed, never judged.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod churn;
#[path = "../../../server/tests/common/mod.rs"]
#[allow(
    unused_imports,
    reason = "of the misbehaving clients of the server's own tests, the attacks borrow a part"
)]
mod common;
mod floods;
mod half_open;
mod ill;
mod lost_model;
mod nonsense;
mod slow;
mod stage;
