//! A stand-in for the catalogue's rendering library: it knows the calls that our template makes, and no other, and writes
//! down in the manner of Compose what the real one is documented to make of them. It stands for how we use the library,
//! not for the library: that is not here, and the entry must be rendered with it before it is handed in.

use std::sync::{Arc, Mutex};

use minijinja::{
    Environment, Error, ErrorKind, State, UndefinedBehavior, Value,
    value::{Object, Serde},
};
use serde_json::{Map, Value as Json, json};

/// What has been made so far.
#[derive(Debug, Default)]
struct Made {
    services: Map<String, Json>,
    volumes: Map<String, Json>,
    notes: Vec<String>,
}

#[derive(Debug)]
struct Library {
    values: Json,
    made: Mutex<Made>,
}

/// What a template has in its hand.
#[derive(Debug, Clone)]
enum What {
    Render,
    Deps,
    Notes,
    Container(String),
    Healthcheck(String),
    Environment(String),
    Depends(String),
    /// The container that gives new folders to the user of the app.
    Permissions(String),
}

#[derive(Debug)]
struct Part {
    library: Arc<Library>,
    what: What,
}

/// Renders `template` with `values` into what Compose reads.
///
/// # Errors
/// With what the template does that cannot be done.
pub(crate) fn render(template: &str, values: &Json) -> Result<Json, String> {
    let library = Arc::new(Library { values: values.clone(), made: Mutex::default() });
    let new = Value::from_function(move |_values: Value| {
        Value::from_object(Part { library: library.clone(), what: What::Render })
    });
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let render = Value::from_pairs([("Render", new)]);
    let base = Value::from_pairs([("render", render)]);
    let context = Value::from_pairs([
        ("values", Value::from(Serde(values))),
        ("ix_lib", Value::from_pairs([("base", base)])),
    ]);
    let text = environment.render_str(template, context).map_err(|error| format!("{error:#}"))?;
    serde_json::from_str(text.trim()).map_err(|error| format!("{error}: {text}"))
}

fn refuse(words: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, words.into())
}

impl Part {
    fn beside(&self, what: What) -> Value {
        Value::from_object(Self { library: self.library.clone(), what })
    }

    /// Works on the service `name`.
    fn with<R>(&self, name: &str, work: impl FnOnce(&mut Map<String, Json>) -> R) -> R {
        let mut made = self.library.made.lock().unwrap();
        work(made.services.get_mut(name).and_then(Json::as_object_mut).unwrap())
    }

    fn set(&self, name: &str, key: &str, value: Json) -> Result<Value, Error> {
        self.with(name, |service| service.insert(key.to_owned(), value));
        Ok(Value::UNDEFINED)
    }

    /// Every container starts with this.
    fn add_container(&self, name: &str, image: &str) -> Result<(), Error> {
        let values = &self.library.values;
        let found = &values["images"][image];
        let (Some(repository), Some(tag)) = (found["repository"].as_str(), found["tag"].as_str()) else {
            return Err(refuse(format!("there is no image {image}")));
        };
        let limits = &values["resources"]["limits"];
        let mut resources = json!({ "limits": {
            "cpus": limits["cpus"].to_string(), "memory": format!("{}M", limits["memory"]) } });
        let mut environment = json!({ "TZ": values["TZ"], "UMASK": "002", "NVIDIA_VISIBLE_DEVICES": "void" });
        let cards = values["resources"]["gpus"]["nvidia_gpu_selection"].as_object();
        let cards: Vec<&Json> =
            cards.into_iter().flat_map(Map::values).filter(|card| card["use_gpu"] == true).collect();
        if !cards.is_empty() {
            let ids: Vec<&str> = cards.iter().filter_map(|card| card["uuid"].as_str()).collect();
            // A card without its driver is listed like that.
            if ids.len() < cards.len() || ids.contains(&"") {
                return Err(refuse("a card was chosen that has no uuid"));
            }
            environment["NVIDIA_VISIBLE_DEVICES"] = ids.join(",").into();
            environment["NVIDIA_DRIVER_CAPABILITIES"] = "all".into();
            resources["reservations"] =
                json!({ "devices": [{ "driver": "nvidia", "device_ids": ids, "capabilities": ["gpu"] }] });
        }
        let mut service = json!({
            "image": format!("{repository}:{tag}"),
            "platform": "linux/amd64",
            "restart": "unless-stopped",
            "cap_drop": ["ALL"],
            "security_opt": ["no-new-privileges=true"],
            "group_add": [568],
            "deploy": { "resources": resources },
            "environment": environment,
        });
        if values["network"]["host_network"] == true {
            service["network_mode"] = "host".into();
        } else {
            for network in values["network"]["networks"].as_array().into_iter().flatten() {
                let joins = network["containers"].as_array().into_iter().flatten();
                if let Some(config) = joins.filter(|one| one["name"] == name).map(|one| &one["config"]).next()
                {
                    service["networks"][network["name"].as_str().unwrap_or("")] = config.clone();
                }
            }
        }
        self.library.made.lock().unwrap().services.insert(name.to_owned(), service);
        Ok(())
    }

    /// What `type: …` of a storage answer becomes.
    fn mount(&self, target: &str, storage: &Json) -> Result<Json, Error> {
        let kind = storage["type"].as_str().unwrap_or("");
        let settings = &storage[format!("{kind}_config")];
        if let (Some(server), Some(path)) = (settings["server"].as_str(), settings["path"].as_str()) {
            let (device, options) = match kind {
                "nfs" => (format!(":{path}"), format!("addr={server}")),
                "cifs" => {
                    let word = |key: &str| settings[key].as_str().unwrap_or("");
                    (
                        format!("//{server}/{path}"),
                        format!("user={},password={}", word("username"), word("password")),
                    )
                }
                _ => return Err(refuse(format!("{target}: cannot mount {storage}"))),
            };
            let mut made = self.library.made.lock().unwrap();
            let name = format!("{kind}_{}", made.volumes.len());
            made.volumes.insert(
                name.clone(),
                json!({ "driver_opts": { "type": kind, "device": device, "o": options } }),
            );
            return Ok(json!({ "type": "volume", "source": name, "target": target,
                "read_only": storage["read_only"] == true }));
        }
        let source = match kind {
            "host_path" => settings["path"].as_str(),
            "ix_volume" => settings["dataset_name"]
                .as_str()
                .and_then(|name| self.library.values["ix_volumes"][name].as_str()),
            _ => None,
        };
        let source = source.ok_or_else(|| refuse(format!("{target}: cannot mount {storage}")))?;
        let create = settings["create_host_path"] == true;
        Ok(json!({ "type": "bind", "source": source, "target": target,
            "read_only": storage["read_only"] == true, "bind": { "create_host_path": create } }))
    }

    fn push(&self, name: &str, key: &str, value: Json) {
        self.with(name, |service| {
            service.entry(key).or_insert_with(|| json!([])).as_array_mut().unwrap().push(value);
        });
    }

    fn env(&self, name: &str, key: &str, value: &Json) -> Result<(), Error> {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let before = self.with(name, |service| service["environment"][key].take());
        if !before.is_null() {
            return Err(refuse(format!("the variable {key} is set twice")));
        }
        self.with(name, |service| service["environment"][key] = text.into());
        Ok(())
    }

    fn answer(&self, method: &str, args: &[Json]) -> Result<Value, Error> {
        let text = |at: usize| {
            args.get(at).and_then(Json::as_str).ok_or_else(|| refuse(format!("{method}: {args:?}")))
        };
        let given = |at: usize| args.get(at).ok_or_else(|| refuse(format!("{method}: {args:?}")));
        let done = Ok(Value::UNDEFINED);
        match (&self.what, method) {
            (What::Render, "add_container") => {
                self.add_container(text(0)?, text(1)?)?;
                Ok(self.beside(What::Container(text(0)?.to_owned())))
            }
            (What::Render, "render") => {
                let made = self.library.made.lock().unwrap();
                Ok(Value::from(Serde(
                    json!({ "services": made.services, "volumes": made.volumes, "x-portals": [],
                    "x-notes": made.notes.join("\n") }),
                )))
            }
            (What::Deps, "perms") => Ok(self.beside(What::Permissions(text(0)?.to_owned()))),
            (What::Notes, "add_info") => {
                self.library.made.lock().unwrap().notes.push(text(0)?.to_owned());
                done
            }
            (What::Container(name), "set_user") => {
                self.set(name, "user", format!("{}:{}", given(0)?, given(1)?).into())
            }
            (What::Container(name), "set_read_only") => self.set(name, "read_only", given(0)?.clone()),
            (What::Container(name), "set_grace_period") => {
                self.set(name, "stop_grace_period", format!("{}s", given(0)?).into())
            }
            (What::Container(name), "set_command") => self.set(name, "command", given(0)?.clone()),
            (What::Container(name), "add_port") => {
                let number = &given(0)?["port_number"];
                let protocol = args.get(1).and_then(|more| more["protocol"].as_str()).unwrap_or("tcp");
                self.push(
                    name,
                    "ports",
                    json!({ "mode": "ingress", "target": number,
                    "published": number.to_string(), "protocol": protocol }),
                );
                done
            }
            (What::Container(name), "add_storage") => {
                let mount = self.mount(text(0)?, given(1)?)?;
                self.push(name, "volumes", mount);
                done
            }
            (What::Healthcheck(name), "set_custom_test") => self.set(
                name,
                "healthcheck",
                json!({ "test": given(0)?, "interval": "30s", "timeout": "5s", "retries": 5 }),
            ),
            (What::Healthcheck(name), "set_interval" | "set_start_period") => {
                let seconds = format!("{}s", given(0)?);
                self.with(name, |service| service["healthcheck"][&method[4..]] = seconds.into());
                done
            }
            (What::Environment(name), "add_env") => {
                self.env(name, text(0)?, given(1)?).map(|()| Value::UNDEFINED)
            }
            (What::Environment(name), "add_user_envs") => {
                for one in given(0)?.as_array().into_iter().flatten() {
                    self.env(name, one["name"].as_str().unwrap_or(""), &one["value"])?;
                }
                done
            }
            (What::Depends(name), "add_dependency") => {
                let (on, when) = (text(0)?.to_owned(), given(1)?.clone());
                self.set(name, "depends_on", json!({ on: { "condition": when } }))
            }
            // A folder that is there keeps its owner; a data set that the system makes is given away.
            (What::Permissions(name), "add_or_skip_action") if given(1)?["type"] == "ix_volume" => {
                if !self.library.made.lock().unwrap().services.contains_key(name) {
                    self.add_container(name, "container_utils_image")?;
                    self.set(name, "restart", "on-failure:1".into())?;
                    self.set(name, "user", "0:0".into())?;
                    self.set(name, "cap_add", json!(["CHOWN", "DAC_OVERRIDE", "FOWNER"]))?;
                    self.set(name, "network_mode", "none".into())?;
                }
                let mount = self.mount(&format!("/mnt/{}", text(0)?), given(1)?)?;
                self.push(name, "volumes", mount);
                done
            }
            (What::Permissions(_), "add_or_skip_action") => done,
            (What::Permissions(name), "has_actions") => {
                Ok(self.library.made.lock().unwrap().services.contains_key(name).into())
            }
            (What::Permissions(_), "activate") => done,
            (what, method) => Err(refuse(format!("{what:?} has no {method}"))),
        }
    }
}

impl Object for Part {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let what = match (&self.what, key.as_str()?) {
            (What::Render, "deps") => What::Deps,
            (What::Render, "notes") => What::Notes,
            (What::Container(name), "healthcheck") => What::Healthcheck(name.clone()),
            (What::Container(name), "environment") => What::Environment(name.clone()),
            (What::Container(name), "depends") => What::Depends(name.clone()),
            _ => return None,
        };
        Some(self.beside(what))
    }

    fn call_method(
        self: &Arc<Self>,
        _: &mut State<'_, '_>,
        method: &str,
        args: &[Value],
    ) -> Result<Value, Error> {
        if args.iter().any(Value::is_undefined) {
            return Err(refuse(format!("{method} is given something undefined")));
        }
        let args: Vec<Json> = args.iter().map(|arg| serde_json::to_value(arg).unwrap()).collect();
        self.answer(method, &args)
    }
}
