//! TLS and plain HTTP on one port: the first byte tells which it is. The handshake runs where the connection is read,
//! not where connections are accepted, so that a slow one holds up nobody. Must not know HTTP, nor who may ask what.

use std::{
    io, mem,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::{Accept, TlsAcceptor, server::TlsStream};

use crate::metrics::Metrics;

/// A TLS record that carries a handshake begins with this; no word of HTTP does.
const HANDSHAKE: u8 = 0x16;

/// What is needed to speak TLS.
#[derive(Clone)]
pub(super) struct Tls {
    pub(super) acceptor: TlsAcceptor,
    pub(super) metrics: Arc<Metrics>,
}

/// A connection, plain or not.
pub(super) struct Wire {
    state: State,
    tls: Tls,
    /// Whether what was read so far came through TLS. Known before the first byte of a request is.
    secure: Arc<AtomicBool>,
}

enum State {
    Fresh(TcpStream),
    Greeting(Box<Accept<TcpStream>>),
    Plain(TcpStream),
    Secure(Box<TlsStream<TcpStream>>),
    Broken,
}

impl Wire {
    pub(super) fn new(stream: TcpStream, tls: Tls) -> Self {
        Self { state: State::Fresh(stream), tls, secure: Arc::default() }
    }

    pub(super) fn secure(&self) -> Arc<AtomicBool> {
        self.secure.clone()
    }

    /// Goes on until it is known what this is.
    fn poll_settle(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            match &mut self.state {
                State::Plain(_) | State::Secure(_) => return Poll::Ready(Ok(())),
                State::Broken => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
                State::Fresh(stream) => {
                    let mut first = [0];
                    ready!(stream.poll_peek(cx, &mut ReadBuf::new(&mut first)))?;
                    // A connection that ends without a byte is left to whoever reads it.
                    let State::Fresh(stream) = mem::replace(&mut self.state, State::Broken) else { continue };
                    self.state = if first[0] == HANDSHAKE {
                        State::Greeting(Box::new(self.tls.acceptor.accept(stream)))
                    } else {
                        State::Plain(stream)
                    };
                }
                State::Greeting(accept) => match ready!(Pin::new(accept.as_mut()).poll(cx)) {
                    Ok(stream) => {
                        self.secure.store(true, Ordering::Relaxed);
                        self.state = State::Secure(Box::new(stream));
                    }
                    Err(error) => {
                        self.tls.metrics.refused.count("http_tls");
                        self.state = State::Broken;
                        return Poll::Ready(Err(error));
                    }
                },
            }
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_settle(cx))?;
        match &mut self.state {
            State::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            State::Secure(stream) => Pin::new(stream.as_mut()).poll_read(cx, buffer),
            _ => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_settle(cx))?;
        match &mut self.state {
            State::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            State::Secure(stream) => Pin::new(stream.as_mut()).poll_write(cx, bytes),
            _ => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.state {
            State::Plain(stream) => Pin::new(stream).poll_flush(cx),
            State::Secure(stream) => Pin::new(stream.as_mut()).poll_flush(cx),
            _ => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.state {
            State::Fresh(stream) | State::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            State::Secure(stream) => Pin::new(stream.as_mut()).poll_shutdown(cx),
            State::Greeting(_) | State::Broken => Poll::Ready(Ok(())),
        }
    }
}
