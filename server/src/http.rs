//! Health, readiness and metrics over HTTP. Must never show audio, keys or anything a stranger may not see,
//! and must not change anything.
//!
//! A page on the internet can make a browser ask any address for it (DNS rebinding, cross-site requests).
//! So each request must name a host we are known by, and a browser's Origin must be one of those too. Who else may ask
//! for what is `guard`'s business.

use std::{io, pin::pin, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{ConnectInfo, Request, State},
    http::{
        HeaderMap, StatusCode,
        header::{CONTENT_TYPE, HOST, ORIGIN},
    },
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};

use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{sync::watch, task::JoinSet};

use crate::{guests::Guests, quic::Life, state::Shared};

mod guard;
mod names;
mod patience;
mod tls;

pub use names::AllowedHosts;

/// HTTP connections at a time.
const CONNECTIONS: usize = 256;
/// Of which one address may have so many: a browser takes six, a proxy some tens.
const CONNECTIONS_PER_ADDRESS: usize = 64;
/// A request's head must be whole after this, however busily it drips; an idle connection is closed after it too.
const HEADERS_WITHIN: Duration = Duration::from_secs(10);
/// Longest head of a request.
const MOST_HEADER_BYTES: usize = 16 * 1024;
/// After an accept that failed.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

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
    let router = router(shared.clone(), hosts);
    let guests = Guests::new(CONNECTIONS, CONNECTIONS_PER_ADDRESS);
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
            () = Life::over(&mut life) => break,
        };
        let Ok((stream, address)) = accepted else {
            // Too many open files, or a client that was gone before: both pass.
            tokio::time::sleep(ACCEPT_AGAIN).await;
            continue;
        };
        let Some(guest) = guests.enter(address.ip()) else {
            // Closed at once, so that nobody waits behind those who only sit there.
            shared.metrics.refused.count("http_full");
            continue;
        };
        let wire = tls::Wire::new(stream, tls.clone());
        let peer = guard::Peer::new(address, wire.secure());
        let (router, mut life) = (router.clone().layer(axum::Extension(ConnectInfo(peer))), life.clone());
        connections.spawn(async move {
            let _guest = guest;
            let stream = TokioIo::new(patience::Patient::new(wire));
            let mut http = http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(HEADERS_WITHIN).max_buf_size(MOST_HEADER_BYTES);
            let mut connection = pin!(http.serve_connection(stream, TowerToHyperService::new(router)));
            // An error is the client's doing.
            tokio::select! {
                _ = connection.as_mut() => {}
                () = Life::over(&mut life) => {
                    connection.as_mut().graceful_shutdown();
                    let _ = connection.await;
                }
            }
        });
    }
    while connections.join_next().await.is_some() {}
    Ok(())
}

async fn ready(State(shared): State<Arc<Shared>>) -> Response {
    let (causes, reasons): (Vec<&str>, Vec<String>) = shared.unready().into_iter().unzip();
    if causes.is_empty() {
        return (StatusCode::OK, Json(serde_json::json!({ "ready": true }))).into_response();
    }
    let body = serde_json::json!({ "ready": false, "reason": reasons.join("; "), "causes": causes });
    (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response()
}

async fn metrics(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    let text = shared.metrics.text(shared.unready().is_empty(), &shared.watch.parts());
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
        if !hosts.allow_origin(&origin) {
            let sentence = format!("Pages from {origin:?} may not read from this server.\n");
            return Err((StatusCode::FORBIDDEN, sentence));
        }
    }
    Ok(())
}
