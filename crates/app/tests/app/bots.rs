//! The WebSocket for bots: who gets in, and that it is the same door as all others.

use std::sync::Arc;

use crate::common::network;
use conclave_app::{BotDoor, BotToken};
use conclave_client::profile::{DataDir, ProfileName, Protection};
use conclave_client::{Account, ClientOptions, accounts};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};

struct Bots {
    door: BotDoor,
    session: Arc<Account>,
    token: String,
    _dir: tempfile::TempDir,
}

impl Bots {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let data_dir = DataDir::new(dir.path());
        let name = ProfileName::new("p").unwrap();
        let made = accounts::create(&data_dir, &name, "P", &Protection::KeyFile, Some(&network()));
        let options = ClientOptions { online: false, ..ClientOptions::default() };
        let session = Arc::new(Account::own(made.unwrap().0, options).await.unwrap());
        let file = dir.path().join("token");
        let token = BotToken::in_file(&file).unwrap();
        let door = BotDoor::open(Arc::clone(&session), 0, token).await.unwrap();
        let token = std::fs::read_to_string(&file).unwrap().trim().to_owned();
        Self { door, session, token, _dir: dir }
    }

    fn port(&self) -> u16 {
        self.door.url().rsplit(':').next().unwrap().split('/').next().unwrap().parse().unwrap()
    }

    /// Connects with these headers; the status of the refusal if it is refused.
    async fn connect(
        &self,
        url: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<tokio_tungstenite::WebSocketStream<tokio::net::TcpStream>, u16> {
        let mut request = url.into_client_request().unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        let stream = tokio::net::TcpStream::connect(("127.0.0.1", self.port())).await.unwrap();
        match tokio_tungstenite::client_async(request, stream).await {
            Ok((socket, _)) => Ok(socket),
            Err(Error::Http(response)) => Err(response.status().as_u16()),
            Err(other) => panic!("{other}"),
        }
    }

    async fn close(self) {
        self.door.close().await;
        assert!(Account::close_shared(self.session).await, "somebody still has the session");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_shows_the_token_asks_and_hears() {
    let bots = Bots::new().await;
    let bearer = format!("Bearer {}", bots.token);
    let mut socket = bots.connect(&bots.door.url(), &[("authorization", &bearer)]).await.unwrap();
    let requests = json!([{"id": 1, "method": "account"}, {"id": 2, "method": "subscribe"}]);
    socket.send(Message::text(requests.to_string())).await.unwrap();
    let answers: Value =
        serde_json::from_str(socket.next().await.unwrap().unwrap().to_text().unwrap()).unwrap();
    assert_eq!((&answers[0]["result"]["name"], &answers[1]["id"]), (&"P".into(), &2.into()), "{answers}");

    bots.session.send_text("me", "a note").await.unwrap();
    let event: Value =
        serde_json::from_str(socket.next().await.unwrap().unwrap().to_text().unwrap()).unwrap();
    assert_eq!((&event["method"], &event["params"]["text"]), (&"event".into(), &"a note".into()), "{event}");
    bots.close().await;
    while let Some(Ok(_)) = socket.next().await {}
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_gets_in() {
    let bots = Bots::new().await;
    let (url, bearer) = (bots.door.url(), format!("Bearer {}", bots.token));
    let own = format!("http://127.0.0.1:{}", bots.port());
    let shorter = format!("Bearer {}", &bots.token[1..]);
    for (what, url, headers, status) in [
        ("no token", url.clone(), vec![], 401),
        ("an empty token", url.clone(), vec![("authorization", "Bearer ")], 401),
        ("a wrong token", url.clone(), vec![("authorization", shorter.as_str())], 401),
        ("the bare token", url.clone(), vec![("authorization", bots.token.as_str())], 401),
        ("a page", url.clone(), vec![("authorization", &bearer), ("origin", "http://evil.example")], 403),
        ("a page of this port", url.clone(), vec![("authorization", &bearer), ("origin", &own)], 403),
        ("another host's name", url.clone(), vec![("authorization", &bearer), ("host", "evil.example")], 421),
        ("another place", url.replace("/rpc", "/other"), vec![("authorization", &bearer)], 404),
    ] {
        assert_eq!(bots.connect(&url, &headers).await.err(), Some(status), "{what}");
    }
    assert!(bots.connect(&url, &[("authorization", &bearer)]).await.is_ok());
    bots.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_ends_the_connection_and_nothing_else() {
    let bots = Bots::new().await;
    let bearer = format!("Bearer {}", bots.token);
    let mut socket = bots.connect(&bots.door.url(), &[("authorization", &bearer)]).await.unwrap();
    let _ = socket.send(Message::text("x".repeat(2 * 1024 * 1024))).await;
    let mut code = None;
    while let Some(Ok(message)) = socket.next().await {
        if let Message::Close(Some(frame)) = message {
            code = Some(u16::from(frame.code));
        }
    }
    assert_eq!(code, Some(1009));
    let mut other = bots.connect(&bots.door.url(), &[("authorization", &bearer)]).await.unwrap();
    other.send(Message::text(r#"{"id":1,"method":"chats"}"#)).await.unwrap();
    assert!(other.next().await.unwrap().unwrap().to_text().unwrap().contains("result"));
    drop((socket, other));
    bots.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_program_too_many_is_told_so_and_when_to_come_again() {
    let bots = Bots::new().await;
    // As the standard has it, the scheme may be written in any way.
    let bearer = format!("bEARER {}", bots.token);
    let mut taken = Vec::new();
    for _ in 0..64 {
        taken.push(bots.connect(&bots.door.url(), &[("authorization", &bearer)]).await.unwrap());
    }
    let request = bots.door.url().into_client_request().unwrap();
    let stream = tokio::net::TcpStream::connect(("127.0.0.1", bots.port())).await.unwrap();
    let Err(Error::Http(response)) = tokio_tungstenite::client_async(request, stream).await else {
        panic!("there is room for one more")
    };
    assert_eq!(response.status().as_u16(), 503);
    assert_eq!(response.headers()["retry-after"], "10");
    drop(taken);
    bots.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_with_two_hosts_gets_in_nowhere() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let bots = Bots::new().await;
    let ask = async |hosts: &str| {
        let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", bots.port())).await.unwrap();
        let request = format!(
            "GET /rpc HTTP/1.1\r\n{hosts}Authorization: Bearer {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            bots.token
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut status = [0; 12];
        stream.read_exact(&mut status).await.unwrap();
        String::from_utf8_lossy(&status).into_owned()
    };
    let ours = format!("Host: 127.0.0.1:{}\r\n", bots.port());
    assert_eq!(ask(&ours).await, "HTTP/1.1 101");
    assert_eq!(ask(&format!("{ours}Host: evil.example\r\n")).await, "HTTP/1.1 421");
    assert_eq!(ask(&format!("Host: evil.example\r\n{ours}")).await, "HTTP/1.1 421");
    bots.close().await;
}

#[test]
fn a_token_is_its_owner_s_alone_and_cannot_be_guessed() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("token");
    BotToken::in_file(&file).unwrap();
    let made = std::fs::read_to_string(&file).unwrap();
    assert_eq!(made.trim().len(), 64);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        BotToken::in_file(&file).unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), made, "it stays");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(BotToken::in_file(&file).is_err(), "others could read it");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    for bad in ["", "short", &"x".repeat(31), &format!("{} x", "x".repeat(40))] {
        std::fs::write(&file, bad).unwrap();
        assert!(BotToken::in_file(&file).is_err(), "{bad:?}");
    }
}
