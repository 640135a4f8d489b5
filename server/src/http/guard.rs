//! Who may ask for what: peers on this machine for everything, others for health and readiness, and for the rest over
//! TLS with the token of a paired client. Must not answer anything itself.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::{
    extract::{ConnectInfo, Request, State},
    http::{
        HeaderMap, StatusCode,
        header::{AUTHORIZATION, WWW_AUTHENTICATE},
    },
    middleware::Next,
    response::{IntoResponse, Response},
};
use rehearsekit_protocol::{RefusalCode, Token};

use super::names::bearer;
use crate::{hex::from_hex, state::Shared};

/// What a probe asks for; tells nothing but whether the server lives.
const OPEN_TO_ALL: [&str; 2] = ["/healthz", "/readyz"];

/// Who asks, and how.
#[derive(Clone)]
pub(super) struct Peer {
    address: SocketAddr,
    secure: Arc<AtomicBool>,
}

impl Peer {
    pub(super) fn new(address: SocketAddr, secure: Arc<AtomicBool>) -> Self {
        Self { address, secure }
    }
}

/// A no: status, the label it is counted under, and the sentence.
type No = (StatusCode, &'static str, String);

pub(super) async fn check_trust(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    request: Request,
    next: Next,
) -> Response {
    if OPEN_TO_ALL.contains(&request.uri().path()) {
        return next.run(request).await;
    }
    let judging = shared.clone();
    let headers = request.headers().clone();
    let judged = tokio::task::spawn_blocking(move || judge(&judging, &peer, &headers)).await;
    let internal = |_| (StatusCode::INTERNAL_SERVER_ERROR, "http_internal", "This failed inside.".to_owned());
    match judged.map_err(internal).and_then(|judged| judged) {
        Ok(()) => next.run(request).await,
        Err((status, label, sentence)) => {
            shared.metrics.refused.count(label);
            let mut response = (status, sentence + "\n").into_response();
            if status == StatusCode::UNAUTHORIZED {
                response
                    .headers_mut()
                    .insert(WWW_AUTHENTICATE, axum::http::HeaderValue::from_static("Bearer"));
            }
            response
        }
    }
}

fn judge(shared: &Shared, peer: &Peer, headers: &HeaderMap) -> Result<(), No> {
    let is_near = shared.trust.is_near(peer.address.ip());
    if is_near && !is_forwarded(headers) {
        return Ok(());
    }
    // What a proxy on this machine hands on does not leave it between the two.
    if !is_near && !peer.secure.load(Ordering::Relaxed) {
        let sentence = "From another machine this answers over https:// only, with the token of a paired client \
                        (`Authorization: Bearer TOKEN`). A token that was sent here without it has been seen: revoke it.";
        return Err((StatusCode::FORBIDDEN, "http_plain", sentence.to_owned()));
    }
    let not_paired = |sentence: &str| (StatusCode::UNAUTHORIZED, "http_not_paired", sentence.to_owned());
    let Some(token) = token_of(headers) else {
        return Err(not_paired(
            "This needs the token of a paired client, as `Authorization: Bearer TOKEN` with 64 hexadecimal digits; \
             `rehearsekit clients add NAME` on the server gives one.",
        ));
    };
    match shared.trust.identify(&token) {
        Ok(_) => Ok(()),
        Err(refusal) if refusal.code == RefusalCode::Revoked => {
            let sentence = "The client of this token was shut out; `rehearsekit clients add NAME` on the server gives another.";
            Err((StatusCode::UNAUTHORIZED, "http_revoked", sentence.to_owned()))
        }
        Err(_) => Err(not_paired("No client of this server has this token.")),
    }
}

/// Whether a proxy says that somebody else asks. Nobody believes it who that is; only that it is not the proxy.
fn is_forwarded(headers: &HeaderMap) -> bool {
    let tells = |name: &str| {
        name.starts_with("x-forwarded")
            || matches!(name, "forwarded" | "x-real-ip" | "via" | "cf-connecting-ip")
    };
    headers.keys().any(|name| tells(name.as_str()))
}

fn token_of(headers: &HeaderMap) -> Option<Token> {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (all.next(), all.next()) else { return None };
    bearer(value.to_str().ok()?).and_then(from_hex).map(Token)
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn a_token_is_read_if_it_is_one_and_the_only_one() {
        let hex = "0f".repeat(32);
        for good in
            [format!("Bearer {hex}"), format!("bearer  {hex} "), format!("Bearer {}", hex.to_uppercase())]
        {
            assert_eq!(token_of(&headers(&[("authorization", &good)])), Some(Token([15; 32])), "{good}");
        }
        for bad in ["", "Bearer", "Bearer x", &format!("Basic {hex}"), &format!("Bearer {hex}0"), &hex] {
            assert_eq!(token_of(&headers(&[("authorization", bad)])), None, "{bad}");
        }
        let good = format!("Bearer {hex}");
        assert_eq!(token_of(&headers(&[("authorization", &good), ("authorization", &good)])), None);
    }

    #[test]
    fn what_a_proxy_hands_on_is_known_by_its_headers() {
        for name in ["forwarded", "x-forwarded-for", "x-forwarded-proto", "x-real-ip", "via"] {
            assert!(is_forwarded(&headers(&[("host", "localhost"), (name, "")])), "{name}");
        }
        assert!(!is_forwarded(&headers(&[("host", "localhost"), ("accept", "x-forwarded-for")])));
    }
}
