//! Models for the commands that run one themselves: where they are and how they load.

use std::path::Path;

use rehearsekit_models::{Model, ModelOptions, store::Store};

use crate::{config, failure::Failure};

/// The models of this machine.
pub(crate) fn open_store(data: Option<&Path>) -> Result<Store, Failure> {
    Store::open(&config::data_folder(data)?).map_err(Failure::run)
}

/// Loads the installed model `name` with `threads` per inference (all cores if not said).
pub(crate) fn load_model(data: Option<&Path>, name: &str, threads: Option<usize>) -> Result<Model, Failure> {
    load_from(&open_store(data)?, name, threads)
}

/// As [`load_model`], from a store that is open already.
pub(crate) fn load_from(store: &Store, name: &str, threads: Option<usize>) -> Result<Model, Failure> {
    let offline = ModelOptions::offline();
    let options = ModelOptions { threads: threads.unwrap_or(offline.threads).max(1), ..offline };
    Model::load(store, name, |_| options).map_err(Failure::input)
}
