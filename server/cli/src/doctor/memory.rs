//! Whether the models fit into the memory that the server may take. The judgement is the server's own.

use rehearsekit_models::Compute;
use rehearsekit_server::{
    config::Config,
    memory::{Gigabytes, Memory},
};
use serde_json::json;

use super::finding::{Finding, Trouble};

/// Adds up what the models may need on `compute`.
pub(crate) fn examine(config: &Config, compute: Compute) -> Finding {
    let check = "memory";
    let memory = Memory::of(config, compute);
    let limit = memory.limit.map(|limit| limit.bytes);
    let facts = json!({ "needed_bytes": memory.needed_bytes(), "limit_bytes": limit });
    let finding = match memory.shortage() {
        Some(shortage) => Finding::failed(check, Trouble::MemoryShort, shortage),
        None => {
            let there = limit.map_or_else(
                || "how much there is, is not known".to_owned(),
                |b| format!("of {}", Gigabytes(b)),
            );
            let told = format!("the models may need {}, {there}", Gigabytes(memory.needed_bytes()));
            Finding::good(check, told)
        }
    };
    finding.with(facts)
}
