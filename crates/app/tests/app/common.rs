//! A server over profiles that are connected to nothing, and those who come to it.

use std::time::Duration;

use conclave_app::{App, Profiles};
use conclave_client::profile::{DataDir, ProfileName, Protection};
use conclave_client::types::NewAttachment;
use conclave_client::{Account, ClientOptions, accounts, doors};
use conclave_proto::network::NetworkFile;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};

pub(crate) const PASSPHRASE: &str = "correct horse";
/// Nothing here takes so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// The largest file of [`network`].
pub(crate) const LARGEST_FILE: u64 = 100_000_000;

/// A network whose one seed does not answer.
pub(crate) fn network() -> NetworkFile {
    let key = "cbd569f56fb13ea95a3f0c05c331cc24139c0090feb412069dc49fab34406ece";
    let file = json!({
        "network_id": "one", "registry_key": key,
        "swarm_params": {"min_size": 5, "new_size": 5, "ideal_margin": 0},
        "seeds": [{"url": "https://127.0.0.1:9/json_rpc", "pubkey_ed25519": key}],
        "max_file_bytes": LARGEST_FILE,
    });
    NetworkFile::from_json(file.to_string().as_bytes()).unwrap()
}

pub(crate) struct Place {
    pub(crate) app: App,
    pub(crate) data_dir: DataDir,
    dir: tempfile::TempDir,
}

impl Place {
    /// With a profile `p` that has sent itself these files, called so: their messages, too.
    pub(crate) async fn with_files(files: &[(&str, &[u8])]) -> (Self, Vec<String>) {
        let place = Self::empty().await;
        let name = ProfileName::new("p").unwrap();
        let made = accounts::create(&place.data_dir, &name, "P", &Protection::KeyFile, Some(&network()));
        let options = ClientOptions { online: false, ..ClientOptions::default() };
        let account = Account::own(made.unwrap().0, options).await.unwrap();
        let client = account.client().unwrap();
        let mut messages = Vec::new();
        for (name, content) in files {
            let source = place.dir.path().join("source");
            std::fs::write(&source, content).unwrap();
            let path = source.to_string_lossy().into_owned();
            // As strangers' programs send them, who may send anything.
            let name = Some((*name).to_owned());
            let file = NewAttachment { path, name, as_file: true, ..NewAttachment::default() };
            messages.push(doors::send_unplaced(&client, &file).await.unwrap().id.to_string());
            std::fs::remove_file(source).unwrap();
        }
        drop(client);
        account.close().await;
        (place, messages)
    }

    /// With the profile `p` of somebody called P, which needs no passphrase.
    pub(crate) async fn new() -> Self {
        let place = Self::empty().await;
        place.profile("p", &Protection::KeyFile);
        place
    }

    /// Without a profile.
    pub(crate) async fn empty() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let data_dir = DataDir::new(dir.path());
        let options =
            ClientOptions { default_network: Some(network()), online: false, ..ClientOptions::default() };
        let app = App::start(Profiles::new(data_dir.clone(), options), 0).await.unwrap();
        Self { app, data_dir, dir }
    }

    pub(crate) fn profile(&self, name: &str, protection: &Protection<'_>) {
        let name = ProfileName::new(name).unwrap();
        accounts::create(&self.data_dir, &name, &name.as_str().to_uppercase(), protection, Some(&network()))
            .unwrap();
    }

    /// What lies in a folder of the profile `p`. What is removed meanwhile is gone.
    pub(crate) fn in_folder(&self, folder: &str) -> Vec<Vec<u8>> {
        let dir = self.data_dir.profile(&ProfileName::new("p").unwrap()).dir().join(folder);
        let entries = std::fs::read_dir(dir).into_iter().flatten();
        entries.filter_map(|entry| std::fs::read(entry.unwrap().path()).ok()).collect()
    }

    /// Hands over a file as a page does; `extra` are further headers.
    pub(crate) async fn upload(&self, to: &str, secret: &str, extra: &str, content: &[u8]) -> Answer {
        let (port, origin, length) = (self.port(), self.app.address(), content.len());
        let head = format!(
            "POST {to} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nOrigin: {origin}\r\n\
             Authorization: Bearer {secret}\r\nContent-Length: {length}\r\n{extra}\r\n"
        );
        ask(port, &head, content).await.expect("an answer")
    }

    pub(crate) fn port(&self) -> u16 {
        self.app.address().rsplit(':').next().unwrap().parse().unwrap()
    }

    pub(crate) fn code(&self) -> String {
        self.app.link().split("#code=").nth(1).unwrap().to_owned()
    }

    pub(crate) fn get_text(&self, path: &str, headers: &str) -> String {
        format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n{headers}\r\n", self.port())
    }

    pub(crate) async fn get(&self, path: &str, headers: &str) -> Answer {
        http(self.port(), &self.get_text(path, headers)).await
    }

    pub(crate) async fn post(&self, path: &str, origin: &str, body: &str) -> Answer {
        let (port, length) = (self.port(), body.len());
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nOrigin: {origin}\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        http(port, &request).await
    }

    pub(crate) async fn exchange(&self, origin: &str, code: &str) -> Answer {
        self.post("/api/session", origin, &json!({ "code": code }).to_string()).await
    }

    /// A secret, as a page gets one.
    pub(crate) async fn enter(&self) -> String {
        let answer = self.exchange(&self.app.address(), &self.code()).await;
        let body: Value = serde_json::from_str(&answer.body).unwrap();
        body["secret"].as_str().unwrap().to_owned()
    }

    /// What a WebSocket handshake is answered with.
    pub(crate) async fn upgrade(&self, host: &str, origin: Option<&str>) -> u16 {
        match self.handshake(host, origin).await {
            Ok(_) => 101,
            Err(Error::Http(response)) => response.status().as_u16(),
            Err(other) => panic!("{other}"),
        }
    }

    async fn handshake(&self, host: &str, origin: Option<&str>) -> Result<Page, Error> {
        let mut request = format!("ws://127.0.0.1:{}/api/socket", self.port()).into_client_request().unwrap();
        request.headers_mut().insert("host", host.parse().unwrap());
        if let Some(origin) = origin {
            request.headers_mut().insert("origin", origin.parse().unwrap());
        }
        let stream = TcpStream::connect(("127.0.0.1", self.port())).await.unwrap();
        let (socket, _) = tokio_tungstenite::client_async(request, stream).await?;
        Ok(Page { socket, next_id: 0, news: Vec::new(), files: String::new() })
    }

    /// A WebSocket that has not said who it is.
    pub(crate) async fn connect(&self) -> Page {
        let host = format!("127.0.0.1:{}", self.port());
        self.handshake(&host, Some(&self.app.address())).await.unwrap()
    }

    /// A page that is in.
    pub(crate) async fn page(&self, secret: &str) -> Page {
        let mut page = self.connect().await;
        page.say(&json!({ "secret": secret }).to_string()).await;
        let welcome = page.hear().await;
        assert_eq!(welcome["ok"], true);
        page.files = welcome["files"].as_str().unwrap().to_owned();
        page
    }

    pub(crate) async fn stop(self) {
        self.stop_and_keep().await;
    }

    /// Ends the server; its profiles are there until what this gives is dropped.
    pub(crate) async fn stop_and_keep(self) -> tempfile::TempDir {
        self.app.stop().await;
        self.dir
    }
}

/// What a page is.
pub(crate) struct Page {
    socket: WebSocketStream<TcpStream>,
    next_id: u64,
    /// Where its files are.
    pub(crate) files: String,
    /// Notifications that came while an answer was waited for.
    news: Vec<Value>,
}

impl Page {
    pub(crate) async fn send(&mut self, message: Message) {
        self.socket.send(message).await.unwrap();
    }

    pub(crate) async fn say(&mut self, text: &str) {
        self.send(Message::text(text)).await;
    }

    /// As [`Self::say`], to somebody who may hang up meanwhile.
    pub(crate) async fn try_say(&mut self, text: &str) {
        let _ = self.socket.send(Message::text(text)).await;
    }

    pub(crate) async fn hear(&mut self) -> Value {
        loop {
            let message = tokio::time::timeout(PATIENCE, self.socket.next()).await.expect("an answer");
            if let Message::Text(text) = message.unwrap().unwrap() {
                return serde_json::from_str(&text).unwrap();
            }
        }
    }

    async fn request(&mut self, method: &str, params: Value) -> Value {
        self.next_id += 1;
        let id = self.next_id;
        self.say(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string()).await;
        loop {
            let heard = self.hear().await;
            if heard["id"] == id {
                return heard;
            }
            self.news.push(heard);
        }
    }

    /// What a call gives.
    pub(crate) async fn ask(&mut self, method: &str, params: Value) -> Value {
        let answer = self.request(method, params).await;
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].clone()
    }

    /// Why a call does not work.
    pub(crate) async fn fail(&mut self, method: &str, params: Value) -> Value {
        let answer = self.request(method, params).await;
        assert!(answer.get("result").is_none(), "{method}: {answer}");
        answer["error"].clone()
    }

    /// The next notification.
    pub(crate) async fn news(&mut self) -> Value {
        if self.news.is_empty() { self.hear().await } else { self.news.remove(0) }
    }

    pub(crate) async fn close_code(&mut self) -> Option<u16> {
        loop {
            match tokio::time::timeout(PATIENCE, self.socket.next()).await.expect("an end") {
                Some(Ok(Message::Close(frame))) => return frame.map(|frame| frame.code.into()),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return None,
            }
        }
    }

    pub(crate) async fn ended(&mut self) {
        self.close_code().await;
    }
}

/// An answer over plain HTTP.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
    pub(crate) bytes: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        lines.filter(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }
}

/// Asks one thing; `None` if the server hangs up instead of answering.
pub(crate) async fn try_http(port: u16, request: &str) -> Option<Answer> {
    ask(port, request, &[]).await
}

/// As [`try_http`], with a body behind it. One that is not wanted may not get through whole.
pub(crate) async fn ask(port: u16, request: &str, body: &[u8]) -> Option<Answer> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let request = request.replacen("\r\n", "\r\nConnection: close\r\n", 1);
    stream.write_all(request.as_bytes()).await.ok()?;
    if !body.is_empty() {
        let _ = stream.write_all(body).await;
    }
    let mut bytes = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.expect("an answer");
    if read.is_err() && bytes.is_empty() {
        return None;
    }
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let bytes = bytes[end + 4..].to_vec();
    let body = String::from_utf8_lossy(&bytes).into_owned();
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some(Answer { status, head, body, bytes })
}

pub(crate) async fn http(port: u16, request: &str) -> Answer {
    try_http(port, request).await.expect("an answer")
}
