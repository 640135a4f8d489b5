//! The life of one server: check, listen, warm, admit, drain, close. The order is the point of this file.
//! It must not know what a session does.

use std::{
    future::Future,
    io,
    net::{IpAddr, SocketAddr, TcpListener, UdpSocket},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use tokio::sync::watch;

use crate::{
    announce,
    config::Config,
    data_dir::{self, DataDirError},
    engine::{Engine, ModelEngine, without_effect},
    http::{self, AllowedHosts},
    identity::{Fingerprint, Identity, IdentityError},
    layout::{self, LayoutError},
    memory::Memory,
    metrics::Metrics,
    pairing::CODE_LIVES,
    private::PrivateError,
    quic::{self, Life},
    state::Shared,
    trust::{self, Nearness, Trust},
    watchdog::{self, Rhythm, Watch},
    workers::{Workers, message_of},
};

/// How long goodbyes may take once sessions must close.
const GOODBYES_WITHIN: Duration = Duration::from_secs(3);
/// How often a draining server looks whether everybody has left.
const DRAIN_LOOK: Duration = Duration::from_millis(50);

/// Why a server could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The data folder.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// Its layout, or somebody else in it.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The server's key.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// Who is paired, or the pairing code.
    #[error(transparent)]
    Trust(#[from] PrivateError),
    /// An address cannot be listened on.
    #[error("cannot listen on {address} ({protocol}, key {key}): {source}{advice}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// UDP or TCP.
        protocol: &'static str,
        /// The key of the configuration.
        key: &'static str,
        /// What the system says.
        source: io::Error,
        /// What to do about it.
        advice: &'static str,
    },
    /// A socket failed after it was bound.
    #[error("a socket failed: {0}")]
    Socket(#[source] io::Error),
    /// The device that is asked for.
    #[error("{0}")]
    Device(String),
    /// The models may need more memory than there is.
    #[error("{0}")]
    Memory(String),
    /// A model cannot be loaded.
    #[error("cannot load the model {model}: {reason}")]
    Model {
        /// Its name.
        model: String,
        /// Why, and what to do.
        reason: String,
    },
    /// Something of ours is broken.
    #[error("internal error: {0}")]
    Internal(String),
}

/// The sockets, bound before anything else, so that their addresses are known and a second server fails at
/// once.
#[derive(Debug)]
pub struct Listeners {
    quic: UdpSocket,
    http: TcpListener,
    nearness: Nearness,
}

impl Listeners {
    /// Binds the addresses of `config`.
    pub fn bind(config: &Config) -> Result<Self, ServeError> {
        let fail = |address, protocol, key| {
            move |source: io::Error| {
                let advice = match source.kind() {
                    io::ErrorKind::AddrInUse => "; another server is there: stop it, or choose another port",
                    io::ErrorKind::AddrNotAvailable => "; this machine does not have that address",
                    io::ErrorKind::PermissionDenied => "; choose a port above 1023",
                    _ => "",
                };
                ServeError::Listen { address, protocol, key, source, advice }
            }
        };
        let quic = UdpSocket::bind(config.listen).map_err(fail(config.listen, "UDP", "listen"))?;
        let http = TcpListener::bind(config.http).map_err(fail(config.http, "TCP", "http"))?;
        Ok(Self { quic, http, nearness: Nearness::Loopback })
    }

    /// Takes peers for being on this machine only if they come from this one address of loopback, so that one machine
    /// can play two: every other address needs pairing, as other machines always do.
    #[must_use]
    pub fn near_only(self, address: IpAddr) -> Self {
        Self { nearness: Nearness::Only(address), ..self }
    }

    /// The addresses they got: the link's (UDP) and HTTP's (TCP).
    pub fn addresses(&self) -> Result<(SocketAddr, SocketAddr), ServeError> {
        let addresses = self.quic.local_addr().and_then(|quic| Ok((quic, self.http.local_addr()?)));
        addresses.map_err(ServeError::Socket)
    }
}

/// What [`run`] tells whoever started it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The sockets answer; models are being loaded.
    Listening {
        /// UDP address of the link.
        quic: SocketAddr,
        /// TCP address of HTTP.
        http: SocketAddr,
        /// What clients pin.
        fingerprint: Fingerprint,
    },
    /// All models are warm; sessions are admitted.
    Ready,
    /// No more sessions; the open ones may play on for a while.
    Draining,
}

/// Serves the models of `config` until `shutdown` comes; see [`run_with`].
pub async fn run(
    listeners: Listeners,
    config: Config,
    told: impl FnMut(Event) + Send,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), ServeError> {
    for row in config.show() {
        tracing::debug!("{} = {} from {}", row.key, row.value, row.origin);
    }
    let engine = Arc::new(ModelEngine::new(&config).map_err(|error| ServeError::Device(error.0))?);
    if let Some(sentence) = without_effect(&config, engine.compute()) {
        tracing::warn!("{sentence}");
    }
    // Or the kernel would end the server without a word, while somebody plays or at every start anew.
    if let Some(shortage) = Memory::of(&config, engine.compute()).shortage() {
        return Err(ServeError::Memory(shortage));
    }
    run_with(listeners, config, engine, told, shutdown).await
}

/// Serves with `engine` until `shutdown` comes or a model cannot be loaded. Then nobody is admitted any
/// more, open sessions may play on for the configured time, and what is left is closed with a reason.
pub async fn run_with(
    listeners: Listeners,
    config: Config,
    engine: Arc<dyn Engine>,
    mut told: impl FnMut(Event) + Send,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), ServeError> {
    data_dir::check(&config.data)?;
    let _in_use = layout::open(&config.data)?;
    let identity = Identity::open(&config.data)?;
    let (quic_address, http_address) = listeners.addresses()?;
    let trust = Trust::open(&config.data, &config.server_name, listeners.nearness, quic_address)?;
    let tls = identity.tls(b"http/1.1").map_err(|error| ServeError::Internal(error.to_string()))?;
    let endpoint = quic::endpoint(listeners.quic, &identity)?;
    listeners.http.set_nonblocking(true).map_err(ServeError::Socket)?;
    let http_listener = tokio::net::TcpListener::from_std(listeners.http).map_err(ServeError::Socket)?;

    let metrics = Arc::new(Metrics::new());
    let (workers, threads) =
        Workers::start(&engine.lanes(config.workers), metrics.clone()).map_err(ServeError::Socket)?;
    let hosts = AllowedHosts::new(http_address.ip(), &config.http_hosts);
    let watch = Watch::new(Rhythm::default(), &config.data);
    let pulse = workers.pulse();
    let shared = Arc::new(Shared::new(config, engine, metrics, workers, trust, watch));
    let (life, lives) = watch::channel(Life::On);

    let accepting = tokio::spawn(quic::accept(endpoint.clone(), shared.clone(), lives.clone()));
    let watching = tokio::spawn(http::serve(http_listener, tls, shared.clone(), hosts, lives.clone()));
    tell_reach(&shared.trust, quic_address, http_address);
    if !shared.trust.is_near(quic_address.ip()) && shared.trust.paired() == 0 {
        let first = shared.trust.reception.desk().show()?;
        tracing::warn!(
            "nobody is paired with this server yet. The pairing code is {}, for {} minutes; `rehearsekit pair` shows \
             another",
            first.code,
            CODE_LIVES.as_secs() / 60
        );
    }
    let looks = lives.clone();
    let trusting = tokio::spawn(trust::watch(shared.clone(), lives));
    let fingerprint = identity.fingerprint();
    let looking = watchdog::start(&shared.watch, quic_address, fingerprint, pulse, looks)
        .map_err(ServeError::Socket)?;
    tracing::info!(%quic_address, %http_address, %fingerprint, "listening");
    told(Event::Listening { quic: quic_address, http: http_address, fingerprint });
    let announcing = announce::start(&shared, fingerprint, quic_address, http_address);

    let result = until_shutdown(&shared, &mut told, shutdown).await;

    shared.drain();
    // Who admits nobody is not to be found any more.
    let goodbye = announcing.map(announce::Announcing::end);
    told(Event::Draining);
    if result.is_ok() {
        drain(&shared).await;
    }
    // Receivers may be gone already; then nobody needs to be told.
    let _ = life.send(Life::Over);
    if tokio::time::timeout(GOODBYES_WITHIN, accepting).await.is_err() {
        tracing::warn!("some connections did not say goodbye in time");
    }
    endpoint
        .close(quic::close_code(rehearsekit_protocol::CloseReason::ServerShutdown), b"the server shuts down");
    let _ = tokio::time::timeout(GOODBYES_WITHIN, endpoint.wait_idle()).await;
    if let Some(goodbye) = goodbye
        && tokio::time::timeout(GOODBYES_WITHIN, goodbye).await.is_err()
    {
        tracing::warn!("the announcement did not end in time");
    }
    let _ = tokio::time::timeout(GOODBYES_WITHIN, trusting).await;
    let _ = tokio::time::timeout(GOODBYES_WITHIN, looking.end()).await;
    if tokio::time::timeout(GOODBYES_WITHIN, watching).await.is_err() {
        tracing::warn!("some HTTP requests did not end in time");
    }
    // The last handle of the workers goes with the shared state; a session that hangs on to it costs us the
    // join, not the shutdown.
    if Arc::into_inner(shared).is_some() {
        let joined = tokio::task::spawn_blocking(move || threads.join());
        if tokio::time::timeout(GOODBYES_WITHIN, joined).await.is_err() {
            tracing::warn!("an inference did not end in time");
        }
    }
    tracing::info!("the server has shut down");
    result
}

async fn until_shutdown(
    shared: &Arc<Shared>,
    told: &mut (impl FnMut(Event) + Send),
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let mut shutdown = std::pin::pin!(shutdown);
    // A thread of its own: what cannot be cancelled must not be waited for at the end.
    let (finished, warm) = tokio::sync::oneshot::channel();
    let warming = shared.clone();
    std::thread::Builder::new()
        .name("warm".to_owned())
        .spawn(move || finished.send(warm_all(&warming)).is_ok())
        .map_err(ServeError::Socket)?;
    tokio::select! {
        () = &mut shutdown => return Ok(()),
        warm = warm => warm.unwrap_or_else(|_| Err(ServeError::Internal("warming ended early".to_owned())))?,
    }
    shared.watch.first_look().await;
    shared.ready();
    tracing::info!(models = ?shared.config.models, "ready");
    told(Event::Ready);
    shutdown.await;
    Ok(())
}

fn warm_all(shared: &Shared) -> Result<(), ServeError> {
    for model in &shared.config.models {
        shared.warming(model);
        let failed = |reason| ServeError::Model { model: model.clone(), reason };
        match catch_unwind(AssertUnwindSafe(|| shared.engine.warm(model))) {
            Ok(Ok(())) => tracing::info!(model, "warm"),
            Ok(Err(error)) => return Err(failed(error.to_string())),
            Err(panic) => return Err(failed(format!("it panicked: {}", message_of(&*panic)))),
        }
    }
    Ok(())
}

/// Lets open sessions play on for the configured time.
async fn drain(shared: &Shared) {
    let open = shared.open_sessions();
    if open > 0 {
        let seconds = shared.config.drain.as_secs();
        tracing::info!("shutting down: {open} open sessions may play on for {seconds} s");
    }
    let empty = async {
        while shared.open_sessions() > 0 {
            tokio::time::sleep(DRAIN_LOOK).await;
        }
    };
    // Time over is the usual end: players do not stop by themselves.
    let _ = tokio::time::timeout(shared.config.drain, empty).await;
}

/// Says who can reach this server, and what stands between.
fn tell_reach(trust: &Trust, quic: SocketAddr, http: SocketAddr) {
    for (key, address) in [("listen", quic), ("http", http)] {
        if trust.is_near(address.ip()) {
            tracing::info!(
                "{key} is {address}: only programs on this machine can reach it; to serve others set {key} to an \
                 address of the network, such as 0.0.0.0:{}",
                address.port()
            );
            continue;
        }
        let who = if address.ip().is_unspecified() { "every network of this machine" } else { "its network" };
        let guard = match key {
            "listen" => "only paired clients are served",
            _ => "anybody gets /healthz and /readyz, the rest is for paired clients over https",
        };
        tracing::info!("{key} is {address}: everybody on {who} can reach it; {guard}");
    }
    tracing::info!(clients = trust.paired(), "paired");
}
