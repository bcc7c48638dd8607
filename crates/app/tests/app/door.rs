//! Who gets in, and who does not: the server as a browser, another page, another user or a mistake meets it.

use crate::common::{Place, http};
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

#[tokio::test(flavor = "multi_thread")]
async fn a_code_becomes_a_secret_and_the_secret_a_page() {
    let place = Place::new().await;
    let secret = place.enter().await;
    assert_eq!(secret.len(), 64);
    let mut page = place.page(&secret).await;
    let answer = page.ask("app.profiles", json!({})).await;
    assert_eq!(answer["profiles"][0]["name"], "p");
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_and_replayed_codes_let_nobody_in() {
    let place = Place::new().await;
    let code = place.code();
    let origin = place.app.address();
    for wrong in ["", "0", &code[1..], &"f".repeat(64)] {
        let answer = place.exchange(&origin, wrong).await;
        assert_eq!(answer.status, 401, "{}", answer.body);
    }
    assert_eq!(place.exchange(&origin, &code).await.status, 200);
    assert_eq!(place.exchange(&origin, &code).await.status, 401, "replayed");
    for body in ["", "{", "[]", r#"{"code":5}"#, r#"{"other":"x"}"#] {
        assert_eq!(place.post("/api/session", &origin, body).await.status, 400, "{body}");
    }
    assert_eq!(place.post("/api/session", &origin, &"x".repeat(5_000)).await.status, 413);
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_another_origin_gets_nothing_even_with_a_code() {
    let place = Place::new().await;
    let code = place.code();
    let port = place.port();
    for origin in [
        "null".to_owned(),
        "http://evil.example".to_owned(),
        format!("http://127.0.0.1:{}", port ^ 1),
        format!("https://127.0.0.1:{port}"),
        format!("http://localhost:{port}"),
    ] {
        assert_eq!(place.exchange(&origin, &code).await.status, 403, "{origin}");
        assert_eq!(place.upgrade(&format!("127.0.0.1:{port}"), Some(&origin)).await, 403, "{origin}");
    }
    assert_eq!(place.upgrade(&format!("127.0.0.1:{port}"), None).await, 403, "no origin at all");
    let origin = place.app.address();
    assert_eq!(place.exchange(&origin, &code).await.status, 200, "and the code is still good");
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_was_made_to_point_here_gets_nothing() {
    let place = Place::new().await;
    let port = place.port();
    for host in [format!("evil.example:{port}"), "evil.example".to_owned(), format!("127.0.0.1:{}", port ^ 1)]
    {
        for path in ["/", "/api/session", "/api/socket", "/api/other"] {
            let answer = http(port, &format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
            assert_eq!(answer.status, 421, "{host} {path}");
        }
        let origin = format!("http://{host}");
        assert_eq!(place.upgrade(&host, Some(&origin)).await, 421, "{host}");
    }
    let answer = http(port, "GET / HTTP/1.1\r\n\r\n").await;
    assert!(answer.status >= 400, "no host at all: {}", answer.status);
    let own = format!("localhost:{port}");
    assert_eq!(http(port, &format!("GET / HTTP/1.1\r\nHost: {own}\r\n\r\n")).await.status, 200);
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_under_api_answers_without_the_secret() {
    let place = Place::new().await;
    let secret = place.enter().await;
    let wrong = "0".repeat(64);
    for (header, status) in [
        (String::new(), 401),
        (format!("Authorization: Bearer {wrong}\r\n"), 401),
        (format!("Authorization: {secret}\r\n"), 401),
        (format!("Cookie: secret={secret}\r\n"), 401),
        (format!("Authorization: Bearer {secret}\r\n"), 404),
    ] {
        let answer = place.get("/api/other", &header).await;
        assert_eq!(answer.status, status, "{header}");
    }
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_does_not_show_its_secret_first_is_shown_out() {
    let place = Place::new().await;
    let secret = place.enter().await;
    for first in [
        json!({"secret": "0".repeat(64)}).to_string(),
        json!({"secret": ""}).to_string(),
        json!({"jsonrpc": "2.0", "id": 1, "method": "app.profiles"}).to_string(),
        format!("{{\"secret\":\"{secret}"),
        String::new(),
    ] {
        let mut page = place.connect().await;
        page.say(&first).await;
        assert_eq!(page.close_code().await, Some(4401), "{first}");
    }
    let mut page = place.connect().await;
    page.send(Message::binary(json!({"secret": secret}).to_string().into_bytes())).await;
    assert_eq!(page.close_code().await, Some(4401), "a secret is text");
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_are_too_large_end_the_connection_and_no_other() {
    let place = Place::new().await;
    let secret = place.enter().await;
    let mut other = place.page(&secret).await;
    let mut page = place.page(&secret).await;
    page.try_say(&"x".repeat(2 * 1024 * 1024)).await;
    page.ended().await;
    assert!(other.ask("app.profiles", json!({})).await["profiles"].is_array());
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_path_leads_out_of_the_page() {
    let place = Place::new().await;
    for path in [
        "/../../../../etc/passwd",
        "/..%2f..%2fetc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "//etc/passwd",
        "/assets/../../Cargo.toml",
        "/index.html/..",
        "/.git/config",
        "/assets/",
    ] {
        assert_eq!(place.get(path, "").await.status, 404, "{path}");
    }
    assert_eq!(place.get("/index.html", "").await.status, 200);
    assert_eq!(place.post("/index.html", &place.app.address(), "").await.status, 405);
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_forbids_the_browser_what_the_page_does_not_need() {
    let place = Place::new().await;
    let refused = http(place.port(), "GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n").await;
    for answer in
        [place.get("/", "").await, place.get("/none", "").await, place.get("/api/x", "").await, refused]
    {
        let header = |name: &str| answer.header(name).unwrap_or_default();
        let policy = header("content-security-policy");
        for rule in
            ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "connect-src 'self'"]
        {
            assert!(policy.contains(rule), "{policy}");
        }
        assert!(!policy.contains("unsafe") && !policy.contains("http:"), "{policy}");
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert_eq!(header("referrer-policy"), "no-referrer");
        assert_eq!(header("cross-origin-opener-policy"), "same-origin");
        assert_eq!(header("cross-origin-resource-policy"), "same-origin");
        assert_eq!(header("cache-control"), "no-store");
        assert!(
            answer.header("access-control-allow-origin").is_none() && answer.header("set-cookie").is_none()
        );
    }
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_opens_too_many_connections_is_turned_away_and_whoever_was_in_stays_in() {
    let place = Place::new().await;
    let secret = place.enter().await;
    let mut page = place.page(&secret).await;
    let mut idle = Vec::new();
    for _ in 0..200 {
        idle.push(tokio::net::TcpStream::connect(("127.0.0.1", place.port())).await.unwrap());
    }
    // The last of them has no place: it is closed without a word.
    let last = idle.last().unwrap();
    last.readable().await.unwrap();
    assert!(matches!(last.try_read(&mut [0]), Ok(0) | Err(_)));
    assert!(page.ask("app.profiles", json!({})).await["profiles"].is_array());
    drop(idle);
    let works_again = async {
        // The places are free as soon as the server has seen the ends.
        while crate::common::try_http(place.port(), &place.get_text("/", "")).await.is_none() {}
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), works_again).await.expect("it works again");
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_and_views_are_bounded() {
    let place = Place::new().await;
    let secret = place.enter().await;
    let mut page = place.page(&secret).await;
    page.ask("app.open", json!({"profile": "p"})).await;
    for n in 0..32 {
        page.ask("view.open", json!({"view": "chats", "id": n.to_string()})).await;
    }
    let refused = page.fail("view.open", json!({"view": "chats", "id": "one too many"})).await;
    assert_eq!(refused["data"]["kind"], "too_many_views");
    page.ask("view.close", json!({"id": "0"})).await;
    page.ask("view.open", json!({"view": "chats", "id": "now there is room"})).await;
    let refused = page.fail("view.open", json!({"view": "chats", "id": "x".repeat(65)})).await;
    assert_eq!(refused["data"]["kind"], "bad_view");

    let mut pages = Vec::new();
    for _ in 0..31 {
        pages.push(place.page(&secret).await);
    }
    let host = format!("127.0.0.1:{}", place.port());
    assert_eq!(place.upgrade(&host, Some(&place.app.address())).await, 503);
    place.stop().await;
}
