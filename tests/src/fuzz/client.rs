//! Files of the client that look at a server's numbers and know nothing else of it.
#![allow(dead_code, unreachable_pub, missing_docs, reason = "the client uses the rest of them")]

#[path = "../../../shared/client/src/account.rs"]
pub(super) mod account;
#[path = "../../../shared/client/src/rates.rs"]
pub(super) mod rates;
#[path = "../../../shared/client/src/shadow.rs"]
pub(super) mod shadow;
