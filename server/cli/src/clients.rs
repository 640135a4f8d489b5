//! `clients`: who is paired, who shall be no longer. It changes the file that the server reads, and must not know how.

use std::{
    path::Path,
    time::{Duration, SystemTime},
};

use rehearsekit_server::clients::{Client, ClientBook, ClientsError};
use serde_json::{Value, json};

use crate::{
    args::{ClientsArgs, ClientsCommand},
    config,
    failure::Failure,
    output,
};

/// `rehearsekit clients`.
pub(crate) fn run(args: &ClientsArgs, data: Option<&Path>) -> Result<(), Failure> {
    let book = ClientBook::of(&config::server_data(data)?);
    match &args.command {
        ClientsCommand::List { json } => list(&book, *json),
        ClientsCommand::Revoke { client, json } => revoke(&book, client, *json),
        ClientsCommand::Add { name, json } => add(&book, name, *json),
    }
}

fn list(book: &ClientBook, json: bool) -> Result<(), Failure> {
    let clients = book.read().map_err(Failure::run)?;
    if json {
        return output::json(&json!({ "clients": clients.iter().map(told).collect::<Vec<_>>() }));
    }
    if clients.is_empty() {
        output::note("nobody is paired; `rehearsekit pair` shows a code");
    }
    let width = clients.iter().map(|client| client.name.chars().count()).max().unwrap_or(0);
    for Client { id, name, paired_at, revoked_at, .. } in &clients {
        let state = match revoked_at {
            None => format!("paired {}", ago(*paired_at)),
            Some(at) => format!("shut out {}", ago(*at)),
        };
        output::line(&format!("{id}  {name:width$}  {state}"));
    }
    Ok(())
}

fn revoke(book: &ClientBook, which: &str, json: bool) -> Result<(), Failure> {
    let client = book.revoke(which).map_err(failure)?;
    if json {
        return output::json(&told(&client));
    }
    output::line(&format!("{} ({}) is shut out", client.name, client.id));
    Ok(())
}

fn add(book: &ClientBook, name: &str, json: bool) -> Result<(), Failure> {
    let (client, token) = book.add(name).map_err(failure)?;
    let token: String = token.0.iter().map(|byte| format!("{byte:02x}")).collect();
    if json {
        let mut told = told(&client);
        told["token"] = Value::String(token);
        return output::json(&told);
    }
    output::line(&token);
    output::note(&format!(
        "this is the token of {} ({}); it is shown only now, and is as good as a key",
        client.name, client.id
    ));
    Ok(())
}

fn told(client: &Client) -> Value {
    json!({
        "id": client.id,
        "name": client.name,
        "paired": client.is_paired(),
        "paired_at": client.paired_at,
        "revoked_at": client.revoked_at,
    })
}

fn failure(error: ClientsError) -> Failure {
    match error {
        ClientsError::Private(_) | ClientsError::Full => Failure::run(error),
        _ => Failure::usage(error),
    }
}

/// How long ago a moment was, as people say it.
fn ago(unix_seconds: u64) -> String {
    let moment = SystemTime::UNIX_EPOCH + Duration::from_secs(unix_seconds);
    let seconds = SystemTime::now().duration_since(moment).unwrap_or_default().as_secs();
    let (count, unit) = match seconds {
        0..60 => return "just now".to_owned(),
        60..3_600 => (seconds / 60, "minute"),
        3_600..86_400 => (seconds / 3_600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    format!("{count} {unit}{} ago", if count == 1 { "" } else { "s" })
}
