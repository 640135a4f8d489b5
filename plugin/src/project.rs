//! What a project keeps of an instance, as the bytes that a host stores: parameters, settings, look, and whatever a
//! later version put beside them. It is nice-plug's form, a JSON object with `version`, `params` and `fields`, since
//! projects have it; a field is JSON in a text of its own. Main thread.
//!
//! Reading is entry by entry: what makes no sense is its default and costs nothing else, what is out of range is the
//! nearest that is not, what this version does not understand is kept and saved again. What was saved always loads, and
//! is saved as the same bytes.

use rehearsekit_plugin_engine::Settings;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::host_compat::values::{self, Restored};
use crate::kept::{self, Kept, Object};
use crate::look::Look;
use crate::shared::Shared;

/// The most that is read of a host's stream: far more than a project has, far less than hurts.
pub const MOST_BYTES: usize = 16 << 20;

/// What the last project that was loaded had in it that this version does not understand.
#[derive(Debug, Clone, Default)]
pub struct NotUnderstood {
    outside: Kept,
    params: Kept,
    fields: Kept,
    settings: Kept,
    look: Kept,
}

/// The instance as a project keeps it.
pub fn save(shared: &Shared) -> Vec<u8> {
    let not_understood = shared.not_understood();
    let mut params = params(shared);
    not_understood.params.put_back(&mut params);
    let mut fields = fields(shared, &not_understood);
    not_understood.fields.put_back(&mut fields);
    let mut project = outside(params, fields);
    not_understood.outside.put_back(&mut project);
    Value::Object(project).to_string().into_bytes()
}

/// Makes the instance what a project kept. Nothing changes where this fails.
///
/// # Errors
/// A sentence about bytes that are no project.
pub fn load(shared: &Shared, bytes: &[u8]) -> Result<(), String> {
    let text = std::str::from_utf8(bytes).map_err(|error| format!("a project is text: {error}"))?;
    let Value::Object(mut project) = kept::parse(text)? else {
        return Err("a project is an object".to_owned());
    };
    let (Some(Value::Object(mut params)), Some(Value::Object(mut fields))) =
        (project.remove("params"), project.remove("fields"))
    else {
        return Err("a project has parameters and fields".to_owned());
    };
    project.remove("version");

    for (index, id) in shared.params_by_id().iter().enumerate() {
        let value = params.get(id).unwrap_or(&Value::Null);
        if values::restore(shared, index, value) != Restored::Unknown {
            params.remove(id);
        }
    }
    let (settings, unread_settings) = field::<Settings>(&mut fields, "settings");
    shared.instance.configure(settings);
    let (look, unread_look) = field::<Look>(&mut fields, "look");
    shared.params.look.change(|now| *now = look);

    let saved_fields = self::fields(shared, &NotUnderstood::default());
    shared.set_not_understood(NotUnderstood {
        outside: Kept::new(project, &Object::new()),
        params: Kept::new(params, &self::params(shared)),
        fields: Kept::new(fields, &saved_fields),
        settings: Kept::new(unread_settings, &kept::to_object(&shared.instance.settings())),
        look: Kept::new(unread_look, &kept::to_object(&shared.params.look.get())),
    });
    Ok(())
}

fn outside(params: Object, fields: Object) -> Object {
    let version = env!("CARGO_PKG_VERSION");
    Object::from_iter([
        ("version".to_owned(), json!(version)),
        ("params".to_owned(), params.into()),
        ("fields".to_owned(), fields.into()),
    ])
}

fn params(shared: &Shared) -> Object {
    let ids = shared.params_by_id().iter().enumerate();
    ids.map(|(index, id)| (id.clone(), values::saved(shared, index))).collect()
}

fn fields(shared: &Shared, not_understood: &NotUnderstood) -> Object {
    let text = |mut object: Object, kept: &Kept| {
        kept.put_back(&mut object);
        Value::String(Value::Object(object).to_string())
    };
    let settings = kept::to_object(&shared.instance.settings());
    let look = kept::to_object(&shared.params.look.get());
    Object::from_iter([
        ("settings".to_owned(), text(settings, &not_understood.settings)),
        ("look".to_owned(), text(look, &not_understood.look)),
    ])
}

/// Takes a field out and reads what can be read of it. One that is no object in a text stays where it is.
fn field<T: Default + Serialize + DeserializeOwned>(fields: &mut Object, key: &str) -> (T, Object) {
    match fields.get(key).and_then(Value::as_str).map(kept::parse) {
        Some(Ok(Value::Object(object))) => {
            fields.remove(key);
            kept::read(&object)
        }
        _ => {
            if fields.get(key).is_some_and(Value::is_null) {
                fields.remove(key);
            }
            (T::default(), Object::new())
        }
    }
}

#[cfg(test)]
mod tests;
