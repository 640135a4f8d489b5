//! Keeps half-open HTTP connections from piling up: a bounded number at a time, and each must send or take
//! something now and then. Must not know HTTP.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, atomic::AtomicBool},
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, Sleep},
};

use super::tls::{Tls, Wire};

/// HTTP connections at a time; more wait in the system's own queue.
const CONNECTIONS: usize = 256;
/// A connection on which nothing moves for this long is closed. A TLS handshake is one move: until it is done nothing
/// is ready, however busily it drips.
const PATIENCE: Duration = Duration::from_secs(10);

/// Accepts as many connections as there is room for.
pub(super) struct Listener {
    inner: tokio::net::TcpListener,
    room: Arc<Semaphore>,
    tls: Tls,
}

impl Listener {
    pub(super) fn new(inner: tokio::net::TcpListener, tls: Tls) -> Self {
        Self { inner, room: Arc::new(Semaphore::new(CONNECTIONS)), tls }
    }
}

impl axum::serve::Listener for Listener {
    type Io = Patient;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Patient, SocketAddr) {
        // The semaphore is never closed, so there always is a permit sooner or later.
        let permit = self.room.clone().acquire_owned().await.ok();
        // axum's own accept waits out the errors that pass, such as too many open files.
        let (stream, address) = axum::serve::Listener::accept(&mut self.inner).await;
        let stream = Wire::new(stream, self.tls.clone());
        let patience = Box::pin(tokio::time::sleep(PATIENCE));
        (Patient { stream, patience, _permit: permit }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }
}

/// A connection that fails when nothing moves on it.
pub(super) struct Patient {
    stream: Wire,
    patience: Pin<Box<Sleep>>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Patient {
    /// Whether what arrives comes through TLS; known before the first request is.
    pub(super) fn secure(&self) -> Arc<AtomicBool> {
        self.stream.secure()
    }

    /// Passes `poll` on, restarting the clock when it got anywhere and failing when the time is over.
    fn watch<T>(&mut self, cx: &mut Context<'_>, poll: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if poll.is_ready() {
            self.patience.as_mut().reset(Instant::now() + PATIENCE);
            return poll;
        }
        match self.patience.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncRead for Patient {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_read(cx, buffer);
        self.watch(cx, poll)
    }
}

impl AsyncWrite for Patient {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.watch(cx, poll)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
