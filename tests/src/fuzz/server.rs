//! Files of the server that look at a stranger's bytes and know nothing else of it.
#![allow(dead_code, unreachable_pub, missing_docs, reason = "the server uses the rest of them")]

#[path = "../../../server/src/hex.rs"]
pub(super) mod hex;
#[path = "../../../server/src/session/intake.rs"]
pub(super) mod intake;
#[path = "../../../server/src/http/names.rs"]
pub(super) mod names;
#[path = "../../../server/src/session/samples.rs"]
pub(super) mod samples;
#[path = "../../../server/src/token_bucket.rs"]
mod token_bucket;

use token_bucket::TokenBucket;
