//! Files at the page's door: what is handed over is sent and lies nowhere in the clear; what is shown is what was sent, and is
//! never a document.

use crate::common::{Answer, LARGEST_FILE, Page, Place, http, try_http};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

const WAV: &[u8] = b"RIFF\x2c\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x80\x3e\0\0\0\x7d\0\0\x02\0\x10\0data\x08\0\0\0\0\0\0\0\0\0\0\0";
const SVG: &[u8] = b"<svg xmlns=\"http://www.w3.org/2000/svg\"><script>alert(1)</script></svg>";
const HTML: &[u8] = b"<!doctype html><script>alert(document.domain)</script>";

/// A page of `p`, and its secret.
async fn entered(place: &Place) -> (Page, String) {
    let secret = place.enter().await;
    let mut page = place.page(&secret).await;
    page.ask("app.open", json!({"profile": "p"})).await;
    (page, secret)
}

/// A page with the composer `pen` of the notes to oneself: the address for files of that conversation, too.
async fn writing(place: &Place) -> (Page, String, String) {
    let (mut page, secret) = entered(place).await;
    let composer = page.ask("view.open", json!({"view": "composer", "id": "pen", "chat": "me"})).await;
    let upload = format!("{}/upload?chat={}", page.files, composer["chat"].as_str().unwrap());
    (page, secret, upload)
}

/// The composer's files, once there are so many.
async fn tray(page: &mut Page, count: usize) -> Vec<Value> {
    loop {
        let news = page.news().await;
        let files = news["params"]["patch"]["files"].as_array().cloned();
        if let Some(files) = files.filter(|files| files.len() == count) {
            return files;
        }
    }
}

/// Waits until nothing lies in the folder for files that were handed over.
async fn nothing_stays(place: &Place) {
    let gone = async {
        while !place.in_folder("staged").is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), gone).await.expect("it goes");
}

fn kind(answer: &Answer) -> String {
    serde_json::from_str::<Value>(&answer.body).unwrap()["kind"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn content_is_what_was_sent_and_comes_as_something_to_be_saved() {
    let large: Vec<u8> = (0..11_000_000_u32).map(|n| (n % 251) as u8).collect();
    let files: [(&str, &[u8]); 2] = [("notes.txt", b"some notes"), ("large.bin", &large)];
    let (place, messages) = Place::with_files(&files).await;
    let (page, _) = entered(&place).await;
    for (id, (name, content)) in messages.iter().zip(files) {
        let answer = place.get(&format!("{}/{id}/0", page.files), "Sec-Fetch-Site: same-origin\r\n").await;
        assert_eq!((answer.status, answer.bytes == content), (200, true), "{name}");
        assert_eq!(answer.header("content-type"), Some("application/octet-stream"));
        let saved = format!("attachment; filename=\"{name}\"; filename*=UTF-8''{name}");
        assert_eq!(answer.header("content-disposition"), Some(saved.as_str()));
    }
    assert!(place.in_folder("downloads").is_empty(), "nothing of it is written to the disk");
    drop(page);
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_comes_out_is_a_document() {
    let files: [(&str, &[u8]); 7] = [
        ("picture.svg", SVG),
        ("picture.png", SVG),
        ("page.html", HTML),
        ("sound.wav", HTML),
        ("paper.pdf", b"%PDF-1.7 /JavaScript"),
        ("real.png", b"\x89PNG\r\n\x1a\n"),
        ("sound.wav", WAV),
    ];
    let (place, messages) = Place::with_files(&files).await;
    let (page, _) = entered(&place).await;
    for (id, (name, _)) in messages.iter().zip(files) {
        for query in ["", "?save", "?play"] {
            let answer = place.get(&format!("{}/{id}/0{query}", page.files), "").await;
            let expected = [
                ("content-security-policy", "sandbox; default-src 'none'"),
                ("x-content-type-options", "nosniff"),
                ("cache-control", "no-store"),
                ("cross-origin-resource-policy", "same-origin"),
                ("referrer-policy", "no-referrer"),
            ];
            for (header, value) in expected {
                assert_eq!(answer.header(header), Some(value), "{name}{query}");
            }
            assert!(answer.header("access-control-allow-origin").is_none());
            let disposition = answer.header("content-disposition").unwrap();
            let plays = answer.bytes == WAV && query == "?play";
            assert_eq!(disposition.starts_with("inline"), plays, "{name}{query}: {disposition}");
            let kind = if plays { "audio/wav" } else { "application/octet-stream" };
            assert_eq!(answer.header("content-type"), Some(kind), "{name}{query}");
        }
        let preview = place.get(&format!("{}/{id}/0?preview=512", page.files), "").await;
        assert_eq!((preview.status, kind(&preview).as_str()), (415, "no_picture"), "{name}");
    }
    drop(page);
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_name_names_a_file_and_nothing_else() {
    let names = [
        ("../../.bashrc", "bashrc"),
        ("photo\u{202e}gpj.exe", "photo_gpj.exe"),
        ("a\"; filename=\"b.exe", "a_; filename=_b.exe"),
        ("ü\r\nSet-Cookie: x=y", "ü__Set-Cookie_ x=y"),
    ];
    let files = names.map(|(name, _)| (name, b"x".as_slice()));
    let (place, messages) = Place::with_files(&files).await;
    let (page, _) = entered(&place).await;
    for (id, (name, safe)) in messages.iter().zip(names) {
        let answer = place.get(&format!("{}/{id}/0", page.files), "").await;
        assert!(answer.header("set-cookie").is_none(), "{name}");
        let disposition = answer.header("content-disposition").unwrap();
        let (plain, escaped) = disposition.split_once("; filename*=UTF-8''").unwrap();
        assert_eq!(plain.matches('"').count(), 2, "{disposition}");
        let decoded = percent(escaped);
        // The name is cut at the last slash by who sent it already.
        assert!(decoded == safe || safe.ends_with(&decoded), "{decoded:?} of {name:?}");
        assert!(!decoded.contains(['/', '\\', '"', '\r', '\n', '\u{202e}']));
    }
    drop(page);
    place.stop().await;
}

fn percent(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digits = [rest.next().unwrap(), rest.next().unwrap()];
                u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_player_gets_the_part_it_asks_for() {
    let sound = [WAV, &[7; 100_000]].concat();
    let (place, messages) = Place::with_files(&[("sound.wav", &sound)]).await;
    let (page, _) = entered(&place).await;
    let path = format!("{}/{}/0?play", page.files, messages[0]);
    let size = sound.len();
    for (range, from, to) in [
        ("bytes=0-", 0, size - 1),
        ("bytes=0-99", 0, 99),
        ("bytes=70000-90000", 70_000, 90_000),
        ("bytes=-10", size - 10, size - 1),
    ] {
        let answer = place.get(&path, &format!("Range: {range}\r\n")).await;
        assert_eq!((answer.status, answer.bytes.as_slice()), (206, &sound[from..=to]), "{range}");
        assert_eq!(answer.header("content-range"), Some(format!("bytes {from}-{to}/{size}").as_str()));
        assert_eq!(answer.header("accept-ranges"), Some("bytes"));
    }
    let beyond = place.get(&path, &format!("Range: bytes={size}-\r\n")).await;
    assert_eq!(
        (beyond.status, beyond.header("content-range")),
        (416, Some(format!("bytes */{size}").as_str()))
    );
    assert_eq!(place.get(&path, "Range: bytes=5-1\r\n").await.status, 200);
    // A browser that was interrupted goes on only with what it has the beginning of.
    let tag = place.get(&path, "").await.header("etag").unwrap().to_owned();
    for (condition, status) in [(tag.as_str(), 206), ("\"another\"", 200)] {
        let answer = place.get(&path, &format!("Range: bytes=5-\r\nIf-Range: {condition}\r\n")).await;
        assert_eq!(answer.status, status, "{condition}");
    }
    let head = http(place.port(), &place.get_text(&path, "").replacen("GET", "HEAD", 1)).await;
    assert_eq!((head.status, head.bytes.len()), (200, 0));
    assert_eq!(head.header("content-length"), Some(size.to_string().as_str()));
    drop(page);
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_page_itself_gets_at_its_files_and_only_while_it_is_there() {
    let (place, messages) = Place::with_files(&[("a.txt", b"a")]).await;
    let (page, secret) = entered(&place).await;
    let path = format!("{}/{}/0", page.files, messages[0]);
    assert_eq!(place.get(&path, "").await.status, 200);
    for site in ["cross-site", "same-site", "whatever"] {
        assert_eq!(place.get(&path, &format!("Sec-Fetch-Site: {site}\r\n")).await.status, 403, "{site}");
    }
    let wrong = format!("/api/files/{}/{}/0", "0".repeat(64), messages[0]);
    let bearer = format!("Authorization: Bearer {secret}\r\n");
    assert_eq!(place.get(&wrong, &bearer).await.status, 401, "the secret of a page is no token");
    assert_eq!(place.get(&format!("/api/files/{secret}/{}/0", messages[0]), "").await.status, 401);
    let elsewhere = place.get_text(&path, "").replace("Host: 127.0.0.1", "Host: evil.example");
    assert_eq!(http(place.port(), &elsewhere).await.status, 421);
    for path in ["", "/x", "/../../../etc/passwd", "/tray/none?preview=64"] {
        assert_eq!(place.get(&format!("{}{path}", page.files), "").await.status, 404, "{path}");
    }
    let other = format!("{}/{}/0", page.files, "f".repeat(32));
    assert_eq!(place.get(&other, "").await.status, 404, "no such message");
    assert_eq!(place.get(&format!("{}/{}/7", page.files, messages[0]), "").await.status, 404, "no such file");
    assert_eq!(place.get(&format!("{path}?inline"), "").await.status, 400);
    drop(page);
    let shut = async { while place.get(&path, "").await.status != 401 {} };
    tokio::time::timeout(std::time::Duration::from_secs(60), shut)
        .await
        .expect("it is shut when the page is gone");
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_handed_over_lies_in_the_tray_in_the_order_it_was_chosen_and_encrypted() {
    let place = Place::new().await;
    let (mut page, secret, upload) = writing(&place).await;
    let content = b"nobody but me is to read this, said the file".repeat(1_000);
    let first = place
        .upload(
            &format!("{upload}&name=a%20b.txt"),
            &secret,
            "Content-Type: text/plain; charset=utf-8\r\n",
            &content,
        )
        .await;
    assert_eq!(first.status, 200, "{}", first.body);
    let second = place.upload(&format!("{upload}&name=..%2F..%2Fetc%2Fp.png"), &secret, "", b"x").await;
    assert_eq!(second.status, 200);
    let files = tray(&mut page, 2).await;
    let shown: Vec<_> = files.iter().map(|file| (file["name"].as_str(), file["size"].as_u64())).collect();
    assert_eq!(shown, [(Some("a b.txt"), Some(content.len() as u64)), (Some("p.png"), Some(1))]);
    assert_eq!(files[0]["content_type"], "text/plain");
    let lies = place.in_folder("staged");
    assert_eq!(lies.len(), 2);
    assert!(!lies.iter().any(|file| file.windows(6).any(|window| window == b"nobody")), "it is encrypted");
    page.ask("composer.detach", json!({"id": "pen", "file": files[0]["id"]})).await;
    assert_eq!(tray(&mut page, 1).await[0]["name"], "p.png");
    let named = format!("{upload}&id={}", "ab".repeat(16));
    let third = place.upload(&named, &secret, "", b"y").await;
    assert_eq!(third.body, json!({"id": "ab".repeat(16)}).to_string());
    assert_eq!(place.upload(&named, &secret, "", b"y").await.status, 409, "one name is one file's");
    page.ask("composer.detach", json!({"id": "pen", "file": "ab".repeat(16)})).await;
    assert_eq!(place.in_folder("staged").len(), 1);
    // It stays when its conversation is left, and goes with the page.
    page.ask("view.close", json!({"id": "pen"})).await;
    let again = page.ask("view.open", json!({"view": "composer", "id": "pen", "chat": "me"})).await;
    assert_eq!(
        (again["files"][0]["name"].as_str(), again["may_send"].as_bool()),
        (Some("p.png"), Some(true))
    );
    drop(page);
    nothing_stays(&place).await;
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_profile_begins_with_nothing_in_the_tray() {
    let place = Place::new().await;
    place.profile("q", &conclave_client::profile::Protection::KeyFile);
    let (mut page, secret, upload) = writing(&place).await;
    assert_eq!(place.upload(&upload, &secret, "", b"x").await.status, 200);
    page.ask("app.open", json!({"profile": "q"})).await;
    nothing_stays(&place).await;
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_hands_anything_over() {
    let place = Place::new().await;
    let (page, secret, upload) = writing(&place).await;
    let port = place.port();
    let ours = place.app.address();
    for (origin, token, status) in [
        (Some("http://evil.example"), secret.as_str(), 403),
        (Some("null"), &secret, 403),
        (None, &secret, 403),
        (Some(ours.as_str()), &secret[1..], 403),
        (Some(ours.as_str()), "", 403),
    ] {
        let origin = origin.map(|origin| format!("Origin: {origin}\r\n")).unwrap_or_default();
        let request = format!(
            "POST {upload} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{origin}Authorization: Bearer {token}\r\nContent-Length: 1\r\n\r\nx"
        );
        assert_eq!(http(port, &request).await.status, status, "{origin}{token}");
    }
    let wrong = upload.replace(&page.files, &format!("/api/files/{}", "0".repeat(64)));
    assert_eq!(place.upload(&wrong, &secret, "", b"x").await.status, 401);
    let cross = place.upload(&upload, &secret, "Sec-Fetch-Site: cross-site\r\n", b"x").await;
    assert_eq!(cross.status, 403);
    for chat in ["", "me", "../x", &"0".repeat(66)[1..]] {
        let to = format!("{}/upload?chat={chat}", page.files);
        assert_eq!(place.upload(&to, &secret, "", b"x").await.status, 400, "{chat}");
    }
    assert_eq!(place.get(&upload, "").await.status, 405);
    assert!(place.in_folder("staged").is_empty());
    drop(page);
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_is_refused_before_any_of_it_is_read() {
    let place = Place::new().await;
    let (page, secret, upload) = writing(&place).await;
    let picture = format!("{}/picture", page.files);
    let (port, origin) = (place.port(), place.app.address());
    let ask = async |to: &str, length: &str| {
        let request = format!(
            "POST {to} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nOrigin: {origin}\r\nAuthorization: Bearer {secret}\r\n{length}\r\n"
        );
        // Nothing of the body is sent: the answer does not wait for it.
        try_http(port, &request).await.unwrap()
    };
    let most = conclave_client::media::MAX_PICTURE_BYTES as u64;
    for (to, most) in [(&upload, LARGEST_FILE), (&picture, most)] {
        let large = ask(to, &format!("Content-Length: {}\r\n", most + 1)).await;
        assert_eq!((large.status, kind(&large).as_str()), (413, "too_large"));
        assert_eq!(large.header("connection"), Some("close"));
        let endless = ask(to, "Transfer-Encoding: chunked\r\n").await;
        assert_eq!((endless.status, kind(&endless).as_str()), (411, "no_length"));
    }
    assert!(place.in_folder("staged").is_empty());
    drop(page);
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_file_that_broke_off_nothing_stays() {
    let place = Place::new().await;
    let (mut page, secret, upload) = writing(&place).await;
    let mut stream = TcpStream::connect(("127.0.0.1", place.port())).await.unwrap();
    let head = format!(
        "POST {upload}&name=half HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nOrigin: {}\r\nAuthorization: Bearer {secret}\r\nContent-Length: 5000000\r\n\r\n",
        place.port(),
        place.app.address(),
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&[1; 1_000_000]).await.unwrap();
    let begun = async {
        while place.in_folder("staged").is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), begun).await.expect("it is begun");
    drop(stream);
    nothing_stays(&place).await;
    let again = page.ask("view.open", json!({"view": "composer", "id": "pen", "chat": "me"})).await;
    assert_eq!(again["files"], json!([]));
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_holds_thirty_two_files_and_no_more() {
    let place = Place::new().await;
    let (page, secret, upload) = writing(&place).await;
    for _ in 0..32 {
        assert_eq!(place.upload(&upload, &secret, "", b"x").await.status, 200);
    }
    let refused = place.upload(&upload, &secret, "", b"x").await;
    assert_eq!((refused.status, kind(&refused).as_str()), (413, "too_large"));
    assert_eq!(place.in_folder("staged").len(), 32);
    drop(page);
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_profile_hands_nothing_out_and_takes_nothing_in() {
    let place = Place::empty().await;
    place.profile("p", &conclave_client::profile::Protection::Passphrase(crate::common::PASSPHRASE));
    let secret = place.enter().await;
    let mut page = place.page(&secret).await;
    page.ask("app.open", json!({"profile": "p", "passphrase": crate::common::PASSPHRASE})).await;
    let composer = page.ask("view.open", json!({"view": "composer", "id": "pen", "chat": "me"})).await;
    let upload = format!("{}/upload?chat={}", page.files, composer["chat"].as_str().unwrap());
    assert_eq!(place.upload(&upload, &secret, "", b"x").await.status, 200);
    page.ask("lock", json!({})).await;
    nothing_stays(&place).await;
    assert_eq!(place.upload(&upload, &secret, "", b"x").await.status, 423);
    assert_eq!(place.upload(&format!("{}/picture", page.files), &secret, "", b"x").await.status, 423);
    let file = format!("{}/{}/0", page.files, "f".repeat(32));
    assert_eq!(place.get(&file, "").await.status, 423);
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_gets_no_keys_of_files() {
    let (place, messages) = Place::with_files(&[("a.txt", b"a")]).await;
    let (mut page, _) = entered(&place).await;
    assert_eq!(page.fail("open_file", json!({"id": messages[0]})).await["data"]["kind"], "not_allowed");
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_is_shown_as_one_that_was_made_here_and_says_nothing_of_whoever_took_it() {
    let gps = include_bytes!("../../../media/tests/samples/gps.jpg");
    let glass = include_bytes!("../../../media/tests/samples/glass.png");
    let files: [(&str, &[u8]); 3] = [("gps.jpg", gps), ("glass.png", glass), ("broken.jpg", &gps[..400])];
    let (place, messages) = Place::with_files(&files).await;
    let (page, _) = entered(&place).await;
    let ask = async |n: usize, side: &str| {
        place
            .get(
                &format!("{}/{}/0?preview={side}", page.files, messages[n]),
                "Sec-Fetch-Site: same-origin\r\n",
            )
            .await
    };
    for (n, kind) in [(0, "image/jpeg"), (1, "image/png")] {
        let made = ask(n, "16").await;
        assert_eq!((made.status, made.header("content-type")), (200, Some(kind)));
        assert_eq!(made.header("content-disposition"), Some("inline"));
        assert_eq!(made.header("content-security-policy"), Some("sandbox; default-src 'none'"));
        assert_eq!(made.header("cache-control"), Some("no-store"));
        assert!(made.bytes != files[n].1 && !made.bytes.windows(4).any(|window| window == b"Exif"));
        assert_eq!(ask(n, "16").await.bytes, made.bytes, "and the same again");
    }
    assert_eq!(ask(2, "16").await.status, 415);
    assert_eq!(ask(0, "5000").await.status, 400);
    drop(page);
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_sound_looks_like_is_found_out_here() {
    let sound = include_bytes!("../../../media/tests/samples/tagged.mp3");
    let (place, messages) = Place::with_files(&[("a.mp3", sound), ("b.mp3", HTML)]).await;
    let (page, _) = entered(&place).await;
    let heard = place.get(&format!("{}/{}/0?sound", page.files, messages[0]), "").await;
    let told: Value = serde_json::from_str(&heard.body).unwrap();
    assert!(told["seconds"].as_f64().unwrap() > 0.1, "{told}");
    assert_eq!(told["bars"].as_array().map(Vec::len), Some(48));
    assert_eq!(place.get(&format!("{}/{}/0?sound", page.files, messages[1]), "").await.status, 415);
    drop(page);
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_is_seen_before_it_is_sent() {
    let place = Place::new().await;
    let (mut page, secret, upload) = writing(&place).await;
    let picture = include_bytes!("../../../media/tests/samples/gps.jpg");
    assert_eq!(place.upload(&format!("{upload}&name=a.jpg"), &secret, "", picture).await.status, 200);
    assert_eq!(place.upload(&format!("{upload}&name=b.jpg"), &secret, "", HTML).await.status, 200);
    let files = tray(&mut page, 2).await;
    let ask = async |n: usize| {
        place.get(&format!("{}/tray/{}?preview=64", page.files, files[n]["id"].as_str().unwrap()), "").await
    };
    assert_eq!((ask(0).await.status, ask(1).await.status), (200, 415));
    drop(page);
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn why_a_profile_picture_was_not_taken_is_told_and_nothing_of_it_stays() {
    // Nobody answers in this network, so no picture finds a place.
    let place = Place::new().await;
    let (page, secret) = entered(&place).await;
    let to = format!("{}/picture", page.files);
    let gps = include_bytes!("../../../media/tests/samples/gps.jpg");
    for (content, status, why) in [(HTML, 415, "not_a_picture"), (gps.as_slice(), 503, "unreachable")] {
        let answer = place.upload(&to, &secret, "", content).await;
        assert_eq!((answer.status, kind(&answer).as_str()), (status, why), "{}", answer.body);
    }
    nothing_stays(&place).await;
    assert_eq!(place.get(&to, "").await.status, 405);
    let port = place.port();
    let elsewhere = format!(
        "POST {to} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nOrigin: http://evil.example\r\nAuthorization: Bearer {secret}\r\nContent-Length: 1\r\n\r\nx"
    );
    assert_eq!(http(port, &elsewhere).await.status, 403);
    drop(page);
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_be_sent_stands_in_the_tray_with_the_reason_and_its_text_in_the_field() {
    // Nobody answers in this network, so no file finds a place.
    let place = Place::new().await;
    let (mut page, secret, upload) = writing(&place).await;
    assert_eq!(place.upload(&format!("{upload}&name=a.txt"), &secret, "", b"x").await.status, 200);
    tray(&mut page, 1).await;
    page.ask("composer.set", json!({"id": "pen", "text": "look at this"})).await;
    assert_eq!(page.ask("composer.send", json!({"id": "pen"})).await, Value::Null);
    let (mut failed, mut text) = (Value::Null, Value::Null);
    while failed.is_null() || text != "look at this" {
        let patch = page.news().await["params"]["patch"].clone();
        if let Some(files) = patch["files"].as_array() {
            failed = files[0]["failed"].clone();
        }
        if patch["text"].is_string() {
            text = patch["text"].clone();
        }
    }
    assert!(failed.as_str().is_some_and(|kind| !kind.is_empty()), "{failed}");
    assert_eq!(place.in_folder("staged").len(), 1, "it can be sent again");
    drop(page);
    nothing_stays(&place).await;
    place.stop().await;
}
