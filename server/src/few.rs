//! Listeners that few ask, apart from the clients' port: operators, browsers, processes of our own. One accept loop for
//! them all, on the runtime that it is called on.

use std::convert::Infallible;
use std::error::Error;
use std::io;
use std::net::{IpAddr, TcpListener};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// What such a listener lets itself be asked.
#[derive(Clone, Copy)]
pub(crate) struct Few {
    /// Whose connections these are, for the log.
    pub(crate) whose: &'static str,
    pub(crate) connections_max: usize,
    pub(crate) head_timeout: Duration,
    pub(crate) head_bytes_max: usize,
    pub(crate) headers_max: usize,
    /// Of a connection on which one thing is asked, from its first byte to its last; none for one that is kept.
    pub(crate) timeout: Option<Duration>,
}

const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

impl Few {
    /// Answers until it is enough, and then to the end what it has begun to answer.
    ///
    /// # Errors
    /// When the listener cannot be used on this runtime.
    pub(crate) async fn serve<A, F, B>(
        self,
        listener: TcpListener,
        answer: A,
        enough: impl Future<Output = ()>,
    ) -> io::Result<()>
    where
        A: Fn(Request<Incoming>, IpAddr) -> F + Clone + Send + 'static,
        F: Future<Output = Response<B>> + Send + 'static,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let mut enough = std::pin::pin!(enough);
        // Dropped with this, so that no connection outlives the listener.
        let mut open = JoinSet::new();
        loop {
            tokio::select! {
                () = &mut enough => break,
                accepted = listener.accept(), if open.len() < self.connections_max => match accepted {
                    Ok((stream, peer)) => {
                        drop(open.spawn(self.connection(stream, peer.ip(), answer.clone())));
                    }
                    Err(error) => {
                        tracing::warn!(%error, whose = self.whose, "a connection could not be accepted");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
                Some(_ended) = open.join_next() => {}
            }
        }
        drop(listener);
        while open.join_next().await.is_some() {}
        Ok(())
    }

    async fn connection<A, F, B>(self, stream: TcpStream, peer: IpAddr, answer: A)
    where
        A: Fn(Request<Incoming>, IpAddr) -> F,
        F: Future<Output = Response<B>>,
        B: Body<Data = Bytes> + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let _delayed = stream.set_nodelay(true);
        let service = service_fn(move |request| {
            let answered = answer(request, peer);
            async move { Ok::<_, Infallible>(answered.await) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.head_timeout)
            .keep_alive(self.timeout.is_none())
            .max_buf_size(self.head_bytes_max)
            .max_headers(self.headers_max)
            .serve_connection(TokioIo::new(stream), service);
        // One that breaks, or takes too long, is the asker's business.
        match self.timeout {
            Some(timeout) => drop(tokio::time::timeout(timeout, connection).await),
            None => drop(connection.await),
        }
    }
}
