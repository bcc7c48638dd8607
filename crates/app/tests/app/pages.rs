//! What a page can do once it is in.

use crate::common::{PASSPHRASE, Page, Place};
use conclave_client::profile::Protection;
use serde_json::{Value, json};

/// The next change of a view.
async fn patch(page: &mut Page, id: &str) -> Value {
    loop {
        let news = page.news().await;
        if news["method"] == "view" && news["params"]["id"] == id {
            return news["params"]["patch"].clone();
        }
    }
}

async fn entered(place: &Place) -> Page {
    let secret = place.enter().await;
    place.page(&secret).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_on_one_page_is_seen_on_another() {
    let place = Place::new().await;
    let (mut one, mut other) = (entered(&place).await, entered(&place).await);
    for page in [&mut one, &mut other] {
        let account = page.ask("app.open", json!({"profile": "p"})).await;
        assert_eq!((account["name"].as_str(), account["profile"].as_str()), (Some("P"), Some("p")));
    }
    let chats = other.ask("view.open", json!({"view": "chats", "id": "list"})).await;
    assert_eq!((chats["loaded"].as_bool(), chats["rows"].as_array().unwrap().len()), (Some(true), 0));
    let timeline = other
        .ask("view.open", json!({"view": "timeline", "id": "talk", "chat": "me", "utc_offset_minutes": 60}))
        .await;
    assert_eq!(timeline["is_self"], true);

    one.ask("view.open", json!({"view": "composer", "id": "pen", "chat": "me"})).await;
    for text in ["h", "he", "hello"] {
        one.ask("composer.set", json!({"id": "pen", "text": text})).await;
    }
    let sent = one.ask("composer.send", json!({"id": "pen"})).await;
    assert_eq!(sent["text"], "hello");

    let rows = loop {
        let rows = patch(&mut other, "talk").await["rows"].clone();
        if rows.is_object() {
            break rows;
        }
    };
    let items: Vec<&str> =
        rows["upsert"].as_array().unwrap().iter().map(|row| row["item"].as_str().unwrap()).collect();
    assert_eq!(items, ["day", "message"]);
    assert_eq!(rows["order"].as_array().unwrap().len(), 2);
    assert_eq!(rows["upsert"][1]["message"]["id"], sent["id"]);
    assert_eq!(rows["upsert"][1]["author"]["name"], "P");
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_the_sdk_does_can_be_asked_and_events_come_to_who_subscribed() {
    let place = Place::new().await;
    let mut page = entered(&place).await;
    assert_eq!(page.fail("status", json!({})).await["data"]["kind"], "no_profile");
    page.ask("app.open", json!({"profile": "p"})).await;
    page.ask("subscribe", json!({})).await;
    page.ask("subscribe", Value::Null).await;
    let sent = page.ask("send", json!({"to": "me", "text": "a note"})).await;
    let news = page.news().await;
    assert_eq!((news["method"].as_str(), &news["params"]["id"]), (Some("event"), &sent["id"]));
    assert_eq!(page.ask("history", json!({"chat": "me", "limit": 5})).await[0]["text"], "a note");
    assert_eq!(page.ask("status", json!({})).await["queued"], 1);
    let failed = page.fail("send", json!({"to": "nobody", "text": "x"})).await;
    assert_eq!(
        (failed["code"].as_i64(), failed["data"]["kind"].as_str()),
        (Some(-32000), Some("unknown_recipient"))
    );
    assert_eq!(page.fail("nothing", json!({})).await["code"], -32601);
    assert_eq!(page.fail("app.nothing", json!({})).await["code"], -32601);
    assert_eq!(page.fail("send", json!({"to": 5})).await["code"], -32602);
    for (method, params) in [("view.older", json!({"id": "x"})), ("composer.send", json!({"id": "x"}))] {
        assert_eq!(page.fail(method, params).await["data"]["kind"], "no_view");
    }
    page.say("this is no JSON").await;
    loop {
        let heard = page.news().await;
        if heard.get("error").is_some() {
            assert_eq!((&heard["id"], &heard["error"]["code"]), (&Value::Null, &json!(-32700)));
            break;
        }
    }
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_made_shown_and_brought_back() {
    let place = Place::empty().await;
    let mut page = entered(&place).await;
    let listed = page.ask("app.profiles", json!({})).await;
    assert_eq!(
        (listed["profiles"].as_array().unwrap().len(), listed["network_id"].as_str()),
        (0, Some("one"))
    );
    let made = page.ask("app.create", json!({"name": "Alice", "passphrase": PASSPHRASE})).await;
    assert_eq!(made["account"]["profile"], "default");
    assert_eq!(page.fail("app.phrase", json!({})).await["data"]["kind"], "passphrase_needed");
    let wrong = page.fail("app.phrase", json!({"passphrase": "wrong"})).await;
    assert_eq!(wrong["data"]["kind"], "wrong_passphrase");
    let words = page.ask("app.phrase", json!({"passphrase": PASSPHRASE})).await["words"].clone();
    assert_eq!(words.as_str().unwrap().split(' ').count(), 13);

    let restored =
        page.ask("app.restore", json!({"phrase": words, "name": "Alice", "profile": "laptop"})).await;
    assert_eq!(restored["account"]["account_id"], made["account"]["account_id"]);
    let second = page.ask("app.create", json!({"name": "Bob"})).await;
    assert_eq!(second["account"]["profile"], "default-2");
    let words = page.ask("app.phrase", json!({})).await;
    assert_eq!(words["words"].as_str().unwrap().split(' ').count(), 13);
    let wrong = page.fail("app.restore", json!({"phrase": "no such words at all", "profile": "x"})).await;
    assert_eq!(wrong["data"]["kind"], "wrong_phrase");
    assert_eq!(
        page.fail("app.create", json!({"name": "A", "profile": "../x"})).await["data"]["kind"],
        "bad_profile_name"
    );
    let listed = page.ask("app.profiles", json!({})).await;
    let names: Vec<_> =
        listed["profiles"].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["default", "default-2", "laptop"]);
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_profile_shows_nothing_until_its_passphrase_is_given() {
    let place = Place::empty().await;
    place.profile("p", &Protection::Passphrase(PASSPHRASE));
    let mut page = entered(&place).await;
    let listed = page.ask("app.profiles", json!({})).await["profiles"][0].clone();
    assert_eq!(
        (listed["needs_passphrase"].as_bool(), listed["open"].as_bool(), &listed["account_id"]),
        (Some(true), Some(false), &Value::Null)
    );
    assert_eq!(page.fail("app.open", json!({"profile": "p"})).await["data"]["kind"], "passphrase_needed");
    let wrong = json!({"profile": "p", "passphrase": "wrong"});
    assert_eq!(page.fail("app.open", wrong).await["data"]["kind"], "wrong_passphrase");
    let right = json!({"profile": "p", "passphrase": PASSPHRASE});
    page.ask("app.open", right.clone()).await;
    let settings = page.ask("view.open", json!({"view": "settings", "id": "s"})).await;
    assert_eq!(
        (settings["has_passphrase"].as_bool(), settings["account"]["name"].as_str()),
        (Some(true), Some("P"))
    );
    page.ask("lock", json!({})).await;
    assert_eq!(patch(&mut page, "s").await["account"], Value::Null);
    assert_eq!(page.ask("app.profiles", json!({})).await["profiles"][0]["locked"], true);
    assert_eq!(page.fail("app.open", json!({"profile": "p"})).await["data"]["kind"], "locked");
    page.ask("unlock", json!({"passphrase": PASSPHRASE})).await;
    assert_eq!(patch(&mut page, "s").await["account"]["name"], "P");
    page.ask("lock", json!({})).await;
    page.ask("app.open", right).await;
    assert_eq!(page.ask("account", json!({})).await["name"], "P");
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_names_no_files_of_this_machine() {
    let place = Place::new().await;
    let mut page = entered(&place).await;
    page.ask("app.open", json!({"profile": "p"})).await;
    let message = page.ask("send", json!({"to": "me", "text": "hello"})).await;
    let secret = json!({"to": "me", "text": "", "attachments": [{"path": "/etc/passwd"}]});
    assert_eq!(page.fail("send", secret).await["data"]["kind"], "not_allowed");
    let target = json!({"id": message["id"], "to": "/tmp/written-by-a-page"});
    let refused = page.fail("save_file", target).await;
    assert!(refused["message"].as_str().unwrap().contains("names no files"), "{refused}");
    // To the profile's own folder it may; there is only nothing to write.
    let nothing = page.fail("save_file", json!({"id": message["id"]})).await;
    assert!(!nothing["message"].as_str().unwrap().contains("names no files"), "{nothing}");
    assert_eq!(page.ask("history", json!({"chat": "me", "limit": 10})).await.as_array().unwrap().len(), 1);
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_learns_that_a_profile_got_a_passphrase_and_it_is_asked_for() {
    let place = Place::new().await;
    let (mut one, mut other) = (entered(&place).await, entered(&place).await);
    for page in [&mut one, &mut other] {
        page.ask("app.open", json!({"profile": "p"})).await;
        let settings = page.ask("view.open", json!({"view": "settings", "id": "s"})).await;
        assert_eq!(settings["has_passphrase"], false);
    }
    one.ask("change_passphrase", json!({"new": PASSPHRASE})).await;
    for page in [&mut one, &mut other] {
        assert_eq!(patch(page, "s").await, json!({"has_passphrase": true}));
        assert_eq!(page.fail("app.phrase", json!({})).await["data"]["kind"], "passphrase_needed");
    }
    other.ask("change_passphrase", json!({"present": PASSPHRASE, "new": null})).await;
    for page in [&mut one, &mut other] {
        assert_eq!(patch(page, "s").await, json!({"has_passphrase": false}));
    }
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_goes_with_the_message_if_its_link_is_in_the_text() {
    let place = Place::new().await;
    let mut page = entered(&place).await;
    page.ask("app.open", json!({"profile": "p"})).await;
    page.ask("view.open", json!({"view": "composer", "id": "pen", "chat": "me"})).await;
    let preview = json!({"url": "https://example.org/a", "title": "A"});
    let refused = page.fail("composer.preview", json!({"id": "pen", "preview": preview})).await;
    assert_eq!(refused["data"]["kind"], "not_allowed");
    page.ask("composer.set", json!({"id": "pen", "text": "see https://example.org/a"})).await;
    page.ask("composer.preview", json!({"id": "pen", "preview": preview})).await;
    let sent = page.ask("composer.send", json!({"id": "pen"})).await;
    assert_eq!(sent["preview"], preview);
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn opening_a_profile_closes_all_views_and_keeps_what_was_written() {
    let place = Place::new().await;
    place.profile("q", &Protection::KeyFile);
    let mut page = entered(&place).await;
    page.ask("app.open", json!({"profile": "p"})).await;
    page.ask("view.open", json!({"view": "composer", "id": "pen", "chat": "me"})).await;
    page.ask("composer.set", json!({"id": "pen", "text": "half a thought"})).await;
    page.ask("app.open", json!({"profile": "q"})).await;
    assert_eq!(page.fail("composer.set", json!({"id": "pen", "text": "x"})).await["data"]["kind"], "no_view");
    assert_eq!(page.ask("account", json!({})).await["name"], "Q");
    page.ask("app.open", json!({"profile": "p"})).await;
    let again = page.ask("view.open", json!({"view": "composer", "id": "pen", "chat": "me"})).await;
    assert_eq!(again["text"], "half a thought");
    page.ask("app.open", json!({"profile": "p"})).await;
    assert_eq!(page.fail("composer.send", json!({"id": "pen"})).await["data"]["kind"], "no_view");
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_is_kept_when_the_page_is_closed() {
    let place = Place::new().await;
    let mut page = entered(&place).await;
    page.ask("app.open", json!({"profile": "p"})).await;
    page.ask("view.open", json!({"view": "composer", "id": "pen", "chat": "me"})).await;
    page.ask("composer.set", json!({"id": "pen", "text": "half a thought"})).await;
    drop(page);
    let mut page = entered(&place).await;
    page.ask("app.open", json!({"profile": "p"})).await;
    let kept = async { while page.ask("draft", json!({"chat": "me"})).await["text"] != "half a thought" {} };
    tokio::time::timeout(std::time::Duration::from_secs(60), kept).await.expect("it is kept");
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_server_ends_pages_are_told_to_come_again_and_the_profiles_are_free() {
    let place = Place::new().await;
    let mut page = entered(&place).await;
    page.ask("app.open", json!({"profile": "p"})).await;
    page.ask("view.open", json!({"view": "chats", "id": "list"})).await;
    let (data_dir, name) = (place.data_dir.clone(), conclave_client::profile::ProfileName::new("p").unwrap());
    let (code, _dir) = tokio::join!(page.close_code(), place.stop_and_keep());
    assert_eq!(code, Some(1012));
    assert!(!data_dir.profile(&name).is_owned().unwrap());
}
