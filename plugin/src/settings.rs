//! The part of the project state that is no parameter: the engine's `Settings`, kept by its `Instance` and lent to
//! nice-plug here for saving and loading. Only main and editor threads come here.

use std::sync::Arc;

use nice_plug::params::persist::PersistentField;
use rehearsekit_plugin_engine::{Instance, Settings};

/// The settings of one instance, as nice-plug wants to see them.
#[derive(Clone)]
pub struct SettingsCell(pub Arc<Instance>);

impl Default for SettingsCell {
    /// A new instance with the default settings and a new identity.
    fn default() -> Self {
        Self(Arc::new(Instance::new(Settings::default())))
    }
}

impl PersistentField<'_, Settings> for SettingsCell {
    /// A project was loaded. What follows from that (another latency) is for whoever loaded it to tell the host;
    /// see `Shared::settings_loaded`.
    fn set(&self, settings: Settings) {
        self.0.configure(settings);
    }

    fn map<F, R>(&self, f: F) -> R
    where
        F: Fn(&Settings) -> R,
    {
        f(&self.0.settings())
    }
}
