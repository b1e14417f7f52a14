//! What is answered over HTTP: the page, the metrics, and whether all goes on. Nothing can be changed by it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::error::Error;
use crate::metrics::CONTENT_TYPE;

use super::board::Board;

/// What a page may do: nothing but show itself.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

/// Connections at the same time; others wait.
const CONNECTIONS: usize = 64;

/// How long a question may take to come.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a connection may stay, whatever comes of it.
const LONGEST: Duration = Duration::from_secs(30);

/// Listens on an address. Nothing is answered yet.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, Error> {
    TcpListener::bind(address)
        .await
        .map_err(|error| Error::io(format_args!("cannot listen on {address}"), error).hint("choose another `--listen`"))
}

/// Answers until it is told to end.
pub async fn answer(listener: TcpListener, board: Arc<Board>, cancel: CancellationToken) {
    let routes = Router::new()
        .route("/", get(page))
        .route("/metrics", get(metrics))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .with_state(board);
    let served = TowerToHyperService::new(routes);
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let connected = tokio::select! {
            () = cancel.cancelled() => return,
            connected = connect(&listener, &slots) => connected,
        };
        let Some((stream, slot)) = connected else {
            // Such as too many open files: that passes.
            sleep(Duration::from_secs(1)).await;
            continue;
        };
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(PATIENCE);
        let connection = builder.serve_connection(TokioIo::new(stream), served.clone());
        let cancel = cancel.clone();
        tokio::spawn(async move {
            let _slot = slot;
            // Who goes away, or is too slow, does without.
            tokio::select! {
                _ended = timeout(LONGEST, connection) => {}
                () = cancel.cancelled() => {}
            }
        });
    }
}

/// The next connection, when there are not too many.
async fn connect(listener: &TcpListener, slots: &Arc<Semaphore>) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.ok()?;
    let (stream, _) = listener.accept().await.ok()?;
    Some((stream, slot))
}

async fn page(State(board): State<Arc<Board>>) -> Response {
    let headers = [(header::CONTENT_SECURITY_POLICY, POLICY), (header::CACHE_CONTROL, "no-store")];
    (headers, Html(board.page())).into_response()
}

async fn metrics(State(board): State<Arc<Board>>) -> Response {
    match board.metrics() {
        Ok(text) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

async fn healthz(State(board): State<Arc<Board>>) -> Response {
    told(board.is_alive(), "alive", "it does not go on")
}

async fn readyz(State(board): State<Arc<Board>>) -> Response {
    told(board.is_ready(), "every replica was looked at", "not every replica was looked at yet")
}

fn told(is_so: bool, yes: &str, no: &str) -> Response {
    let (code, text) = if is_so { (StatusCode::OK, yes) } else { (StatusCode::SERVICE_UNAVAILABLE, no) };
    (code, format!("{text}\n")).into_response()
}
