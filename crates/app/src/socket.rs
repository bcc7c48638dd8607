//! The WebSocket of one page: who it is, what it asks, what it is told.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use rand_core::OsRng;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};
use zeroize::Zeroizing;

use crate::door::Token;
use crate::files;
use crate::methods::{Page, Taken};
use crate::rpc;
use crate::server::Shared;

/// The longest message of a page: far above a text of 2,000 characters and a draft of 64 KiB, far below what would hurt.
pub(crate) const MAX_MESSAGE: usize = 1024 * 1024;
/// Calls of one page that are worked on at once.
const MAX_CALLS: usize = 32;
/// Answers and news that wait for a page. When it is full, whoever has news waits.
const QUEUE: usize = 256;
/// How soon a page shows its secret.
const GREETING: Duration = Duration::from_secs(10);
/// A page that takes in nothing for so long is gone.
const STUCK: Duration = Duration::from_secs(30);
/// How long a page may take to hear that it is over.
const FAREWELL: Duration = Duration::from_secs(1);

/// The page did not show a secret that lets it in.
const NOT_ADMITTED: CloseCode = CloseCode::Library(4401);

type Socket = WebSocketStream<TokioIo<Upgraded>>;

#[derive(Deserialize)]
struct Greeting {
    secret: String,
}

/// Why a connection ends.
enum End {
    Left,
    /// It sent more at once than is taken.
    TooLarge,
    NotAdmitted,
    /// The owner of the profile has ended, or this server does: the page may come again.
    Anew,
}

/// Serves one page until it leaves.
pub(crate) async fn serve(upgraded: Upgraded, shared: Arc<Shared>) {
    let config =
        WebSocketConfig::default().max_message_size(Some(MAX_MESSAGE)).max_frame_size(Some(MAX_MESSAGE));
    let mut socket =
        WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, Some(config)).await;
    let admitted = tokio::time::timeout(GREETING, greet(&mut socket, &shared)).await.ok().flatten();
    let Some(token) = admitted else {
        farewell(socket, End::NotAdmitted).await;
        return;
    };
    let (sink, stream) = socket.split();
    let (out, waiting) = mpsc::channel(QUEUE);
    let page = Arc::new(Page::new(shared.profiles(), out.clone()));
    shared.files().admit(&token, &page);
    let mut writing = tokio::spawn(write(sink, waiting));
    let end = tokio::select! {
        end = read(stream, &page, &out) => Some(end),
        () = page.owner_gone() => Some(End::Anew),
        () = shared.stopping() => Some(End::Anew),
        // Stuck or gone: nothing can be said any more.
        _ = &mut writing => None,
    };
    page.leave().await;
    drop((page, out));
    let Some(end) = end else { return };
    // Whoever still holds a way to the page lets go of it now that nothing is read.
    if let Ok(Ok(Some(sink))) = tokio::time::timeout(FAREWELL, writing).await {
        say(sink, end).await;
    }
}

/// Lets a page in that shows its secret, and tells it where its files are: the token that stands in their addresses.
async fn greet(socket: &mut Socket, shared: &Shared) -> Option<Token> {
    let Some(Ok(Message::Text(text))) = socket.next().await else { return None };
    let greeting = serde_json::from_str::<Greeting>(&text).ok()?;
    let secret = Zeroizing::new(greeting.secret);
    if !shared.door().admits(&secret) {
        return None;
    }
    let token = Token::generate(&mut OsRng);
    let welcome = json!({"ok": true, "files": format!("{}{}", files::PREFIX, token.as_str())});
    socket.send(Message::text(welcome.to_string())).await.ok()?;
    Some(token)
}

/// Reads requests until the page leaves or sends what is too large.
async fn read(mut stream: SplitStream<Socket>, page: &Arc<Page>, out: &mpsc::Sender<Value>) -> End {
    let places = Arc::new(Semaphore::new(MAX_CALLS));
    // Dropped with this task, which ends what is still worked on.
    let mut calls = JoinSet::new();
    loop {
        let text = match stream.next().await {
            Some(Ok(Message::Text(text))) => text,
            // Pings are answered below us.
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
            Some(Err(Error::Capacity(_))) => return End::TooLarge,
            _ => return End::Left,
        };
        let request = match rpc::read(&text) {
            Ok(request) => request,
            Err(answer) => {
                if out.send(answer).await.is_err() {
                    return End::Left;
                }
                continue;
            }
        };
        while calls.try_join_next().is_some() {}
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return End::Left };
        let id = request.id.clone();
        let taken = page.take(request).await;
        let (page, out) = (Arc::clone(page), out.clone());
        calls.spawn(async move {
            let result = match taken {
                Taken::Done(result) => Some(result),
                Taken::Asked(answer) => Some(answer.wait().await.map_err(rpc::Problem::from)),
                Taken::Work(request) => page.work(request).await,
            };
            if let Some(result) = result {
                // A page that has left needs no answer.
                let _ = out.send(rpc::answer(&id, result)).await;
            }
            drop(place);
        });
    }
}

/// Writes what waits for the page; gives the sink back unless the page is stuck or gone.
async fn write(
    mut sink: SplitSink<Socket, Message>,
    mut waiting: mpsc::Receiver<Value>,
) -> Option<SplitSink<Socket, Message>> {
    while let Some(value) = waiting.recv().await {
        let sending = sink.send(Message::text(value.to_string()));
        if !matches!(tokio::time::timeout(STUCK, sending).await, Ok(Ok(()))) {
            return None;
        }
    }
    Some(sink)
}

async fn farewell(socket: Socket, end: End) {
    let (sink, _stream) = socket.split();
    say(sink, end).await;
}

async fn say(mut sink: SplitSink<Socket, Message>, end: End) {
    let (code, reason) = match end {
        End::Left => (CloseCode::Normal, ""),
        End::TooLarge => (CloseCode::Size, "a message has at most 1 MiB"),
        End::NotAdmitted => (NOT_ADMITTED, "not admitted"),
        End::Anew => (CloseCode::Restart, "come again"),
    };
    let frame = CloseFrame { code, reason: reason.into() };
    let _ = tokio::time::timeout(FAREWELL, sink.send(Message::Close(Some(frame)))).await;
}
