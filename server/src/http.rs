//! Health, readiness and metrics over HTTP. Must never show audio, keys or anything a stranger may not see,
//! and must not change anything.
//!
//! A page on the internet can make a browser ask any address for it (DNS rebinding, cross-site requests).
//! So each request must name a host we are known by, and a browser's Origin must be one of those too. Who else may ask
//! for what is `guard`'s business.

use std::{io, net::IpAddr, sync::Arc};

use axum::{
    Json, Router,
    extract::{Request, State},
    http::{
        HeaderMap, StatusCode,
        header::{CONTENT_TYPE, HOST, ORIGIN},
    },
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};

use tokio::sync::watch;

use crate::{quic::Life, state::Shared};

mod guard;
mod patience;
mod tls;

/// The hosts a request may name.
#[derive(Debug, Clone)]
pub struct AllowedHosts {
    names: Vec<String>,
    /// The address we listen on, when it is one and not "any".
    listen: Option<IpAddr>,
    /// Listening on every address: any address may be named, but still no strange name.
    any_address: bool,
}

impl AllowedHosts {
    /// `localhost`, loopback addresses, the address we listen on, and the configured names. Listening on
    /// every address allows any *address* (rebinding needs a name), never any name.
    pub fn new(listen: IpAddr, names: &[String]) -> Self {
        let any_address = listen.is_unspecified();
        let listen = (!any_address).then_some(listen);
        Self { names: names.iter().map(|name| name.to_ascii_lowercase()).collect(), listen, any_address }
    }

    /// Whether `authority` (`host` or `host:port`) is one of ours. The port is not looked at: a container
    /// may publish another one.
    pub fn allow(&self, authority: &str) -> bool {
        let Some(host) = host_of(authority) else { return false };
        if let Ok(address) = host.parse::<IpAddr>() {
            return self.any_address || address.is_loopback() || Some(address) == self.listen;
        }
        // A trailing dot is the same name to DNS.
        let name = host.strip_suffix('.').unwrap_or(&host);
        name == "localhost" || self.names.iter().any(|known| known == name)
    }
}

/// The host of `host`, `host:port`, `[v6]` or `[v6]:port`, in lower case; `None` if it is neither.
fn host_of(authority: &str) -> Option<String> {
    let is_port = |port: &str| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    let host = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']')?;
            (after.is_empty() || after.strip_prefix(':').is_some_and(is_port)).then_some(host)?
        }
        None => match authority.split_once(':') {
            Some((host, port)) => is_port(port).then_some(host)?,
            None => authority,
        },
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '_');
    (!host.is_empty() && host.chars().all(plain)).then(|| host.to_ascii_lowercase())
}

/// All routes.
fn router(shared: Arc<Shared>, hosts: AllowedHosts) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .fallback(|| async { (StatusCode::NOT_FOUND, "there is /healthz, /readyz and /metrics\n") })
        .layer(middleware::from_fn_with_state(shared.clone(), guard::check_trust))
        .layer(middleware::from_fn_with_state(Arc::new(hosts), check_host))
        .with_state(shared)
}

/// Answers on `listener` until `life` is over, as who asks first wants it: plain, or over TLS with `tls`.
pub(crate) async fn serve(
    listener: tokio::net::TcpListener,
    tls: rustls::ServerConfig,
    shared: Arc<Shared>,
    hosts: AllowedHosts,
    mut life: watch::Receiver<Life>,
) -> io::Result<()> {
    let tls = tls::Tls { acceptor: Arc::new(tls).into(), metrics: shared.metrics.clone() };
    let router = router(shared, hosts).into_make_service_with_connect_info::<guard::Peer>();
    axum::serve(patience::Listener::new(listener, tls), router)
        .with_graceful_shutdown(async move { Life::over(&mut life).await })
        .await
}

async fn ready(State(shared): State<Arc<Shared>>) -> Response {
    match shared.not_ready() {
        None => (StatusCode::OK, Json(serde_json::json!({ "ready": true }))).into_response(),
        Some(reason) => {
            let body = Json(serde_json::json!({ "ready": false, "reason": reason }));
            (StatusCode::SERVICE_UNAVAILABLE, body).into_response()
        }
    }
}

async fn metrics(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    let text = shared.metrics.text(shared.not_ready().is_none());
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text)
}

async fn check_host(State(hosts): State<Arc<AllowedHosts>>, request: Request, next: Next) -> Response {
    match judge(&hosts, request.uri().authority().map(|a| a.as_str()), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

fn judge(
    hosts: &AllowedHosts,
    authority: Option<&str>,
    headers: &HeaderMap,
) -> Result<(), (StatusCode, String)> {
    let text = |value: Option<&axum::http::HeaderValue>| {
        value.map(|v| String::from_utf8_lossy(v.as_bytes()).into_owned())
    };
    let named = text(headers.get(HOST)).unwrap_or_default();
    let more_than_one = headers.get_all(HOST).iter().nth(1).is_some();
    // An absolute request target counts more than the header in HTTP/1.1, so both must be ours.
    if more_than_one || !hosts.allow(&named) || authority.is_some_and(|authority| !hosts.allow(authority)) {
        let sentence = format!(
            "This server is not known as {named:?}. Ask for it by its address or as localhost, or add the name \
             to http_hosts in its configuration.\n"
        );
        return Err((StatusCode::MISDIRECTED_REQUEST, sentence));
    }
    for origin in headers.get_all(ORIGIN) {
        let origin = text(Some(origin)).unwrap_or_default();
        let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        if !authority.is_some_and(|authority| hosts.allow(authority)) {
            let sentence = format!("Pages from {origin:?} may not read from this server.\n");
            return Err((StatusCode::FORBIDDEN, sentence));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_names_pass() {
        let hosts = AllowedHosts::new(IpAddr::from([127, 0, 0, 1]), &["NAS.local".to_owned()]);
        for ours in [
            "localhost",
            "LOCALHOST:7480",
            "127.0.0.1:1",
            "[::1]:7480",
            "[::1]",
            "nas.local",
            "nas.local.:80",
        ] {
            assert!(hosts.allow(ours), "{ours} was turned away");
        }
        for strange in [
            "",
            "evil.example",
            "evil.example:7480",
            "localhost.evil.example",
            "192.168.1.2",
            "127.0.0.1.evil.example",
            "localhost:",
            "localhost:80:80",
            "[::1",
            "[::1]x",
            "::1",
            "user@localhost",
            "localhost/",
            "nas.local..",
        ] {
            assert!(!hosts.allow(strange), "{strange} passed");
        }
    }

    #[test]
    fn listening_everywhere_allows_addresses_but_no_strange_names() {
        let hosts = AllowedHosts::new(IpAddr::from([0, 0, 0, 0]), &[]);
        assert!(hosts.allow("192.168.1.2:7480") && hosts.allow("[fd00::1]:7480"));
        assert!(!hosts.allow("evil.example"));
    }
}
