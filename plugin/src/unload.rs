//! Leaving the host's process: nothing of ours may run any more when the library's code goes.

use std::time::Duration;

use rehearsekit_plugin_engine::network;

/// How long a host is kept at most.
const PATIENCE: Duration = Duration::from_secs(5);

/// Called by the formats' exit functions, when no instance is left.
pub(crate) fn leave() {
    if !network::unload(PATIENCE) {
        crate::host_compat::stay_in_memory();
    }
}
