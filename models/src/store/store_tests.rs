//! The store with small models of our own making; real packages are in `tests/acquire.rs`.

use super::*;
