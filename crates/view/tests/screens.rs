//! Screens over a real profile that is not connected to anything.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use std::sync::Arc;
use std::time::Duration;

use conclave_client::profile::{DataDir, ProfileName, Protection, Unlock};
use conclave_client::settings::Settings;
use conclave_client::types::{Draft, MessageId};
use conclave_client::{Account, ClientOptions, accounts};
use conclave_proto::network::NetworkFile;
use conclave_view::composer::{self, ComposerAct, WhyNot};
use conclave_view::timeline::{self, MessageRow, Row, Timeline, TimelineAct};
use conclave_view::tray::Tray;
use conclave_view::{Live, chats, settings};
use serde_json::json;

const PASSPHRASE: &str = "correct horse";

struct Place {
    session: Arc<Account>,
    own: String,
    _dir: tempfile::TempDir,
}

async fn place(protection: &Protection<'_>) -> Place {
    let key = "cbd569f56fb13ea95a3f0c05c331cc24139c0090feb412069dc49fab34406ece";
    let file = json!({
        "network_id": "one", "registry_key": key,
        "swarm_params": {"min_size": 5, "new_size": 5, "ideal_margin": 0},
        "seeds": [{"url": "https://127.0.0.1:9/json_rpc", "pubkey_ed25519": key}],
    });
    let network = NetworkFile::from_json(file.to_string().as_bytes()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (data_dir, name) = (DataDir::new(dir.path()), ProfileName::new("p").unwrap());
    accounts::create(&data_dir, &name, "Alice", protection, Some(&network)).unwrap();
    let unlock = match protection {
        Protection::KeyFile => Unlock::KeyFile,
        Protection::Passphrase(passphrase) => Unlock::Passphrase(passphrase),
    };
    let options = ClientOptions { online: false, ..ClientOptions::default() };
    let session = Account::open(&data_dir, &name, &unlock, &options).await.unwrap();
    let own = session.info().await.unwrap().account_id;
    Place { session: Arc::new(session), own, _dir: dir }
}

/// Waits until a screen shows something.
async fn shows<S>(live: &Live<S>, what: impl FnMut(&Arc<S>) -> bool) -> Arc<S> {
    let mut watch = live.watch();
    let shown = tokio::time::timeout(Duration::from_secs(60), watch.wait_for(what)).await;
    Arc::clone(&*shown.expect("it is shown").expect("the screen is there"))
}

fn messages(timeline: &Timeline) -> Vec<&MessageRow> {
    fn only(row: &Row) -> Option<&MessageRow> {
        match row {
            Row::Message(row) => Some(row),
            _ => None,
        }
    }
    timeline.rows.iter().filter_map(only).collect()
}

fn texts(timeline: &Timeline) -> Vec<&str> {
    messages(timeline).into_iter().map(|row| row.message.text.as_str()).collect()
}

async fn notes(place: &Place, count: usize) -> Vec<MessageId> {
    let mut sent = Vec::new();
    let client = place.session.client().unwrap();
    let own = client.resolve("me").await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..count {
        let client = client.clone();
        tasks.spawn(async move { client.send_text(&own, &format!("note {n}")).await.unwrap().id });
        if tasks.len() >= 50 {
            sent.push(tasks.join_next().await.unwrap().unwrap());
        }
    }
    sent.extend(tasks.join_all().await);
    sent
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_appears_in_list_and_timeline() {
    let place = place(&Protection::KeyFile).await;
    let list = chats::open_chats(Arc::clone(&place.session)).await.unwrap();
    let timeline = timeline::open(Arc::clone(&place.session), "me".to_owned(), None, 0).await.unwrap();
    assert!(timeline.live.state().rows.is_empty() && timeline.live.state().is_self);
    let sent = place.session.send_text("me", "a\nnote").await.unwrap();
    let shown = shows(&list.live, |list| list.rows.first().is_some_and(|row| row.last.is_some())).await;
    let last = shown.rows[0].last.clone().unwrap();
    assert_eq!((last.text.as_str(), last.outgoing, shown.rows[0].is_self), ("a note", true, true));
    let shown = shows(&timeline.live, |timeline| !timeline.rows.is_empty()).await;
    assert!(matches!(shown.rows[0], Row::Day { .. }));
    let row = messages(&shown)[0];
    assert_eq!((&row.message.id, row.outgoing, row.author.name.as_deref()), (&sent.id, true, Some("Alice")));
    assert!(row.can.edit && row.can.reply && row.can.delete_everywhere);

    place.session.edit(&sent.id, "edited").await.unwrap();
    shows(&timeline.live, |timeline| texts(timeline) == ["edited"]).await;
    place.session.take_back(&sent.id).await.unwrap();
    let failed = shows(&timeline.live, |timeline| messages(timeline)[0].reason.is_some()).await;
    assert!(!messages(&failed)[0].can.edit, "what failed is sent anew, not edited");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_conversation_is_shown_in_part_and_the_part_moves() {
    let place = place(&Protection::KeyFile).await;
    notes(&place, 700).await;
    let all = place.session.history("me", 1_000).await.unwrap();
    let opened = timeline::open(Arc::clone(&place.session), place.own.clone(), None, 0).await.unwrap();
    let state = opened.live.state();
    assert_eq!((messages(&state).len(), state.has_older, state.has_newer), (100, true, false));
    for _ in 0..6 {
        opened.act(TimelineAct::Older).await.unwrap();
    }
    let state = opened.live.state();
    let shown: Vec<_> = messages(&state).into_iter().map(|row| row.message.id.clone()).collect();
    let expected: Vec<_> = all[..400].iter().map(|message| message.id.clone()).collect();
    assert_eq!((shown == expected, state.has_older, state.has_newer), (true, false, true));

    // Somebody who reads old messages stays there.
    place.session.send_text("me", "news").await.unwrap();
    opened.act(TimelineAct::Newer).await.unwrap();
    let state = opened.live.state();
    assert_eq!(messages(&state)[0].message.id, all[100].id);
    assert_eq!(messages(&state).last().unwrap().message.id, all[499].id);
    opened.act(TimelineAct::Jump(Some(all[50].id.clone()))).await.unwrap();
    assert!(messages(&opened.live.state()).iter().any(|row| row.message.id == all[50].id));
    opened.act(TimelineAct::Jump(None)).await.unwrap();
    let state = opened.live.state();
    assert_eq!((texts(&state).last().copied(), state.has_newer), (Some("news"), false));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_is_kept_sent_and_then_gone() {
    let place = place(&Protection::KeyFile).await;
    let composer =
        composer::open(Arc::clone(&place.session), "me".to_owned(), |_| Tray::default()).await.unwrap();
    assert_eq!(composer.live.state().why_not, Some(WhyNot::Empty));
    composer.act(ComposerAct::Set("half a thought".to_owned())).await.unwrap();
    composer.act(ComposerAct::Save).await.unwrap();
    let again =
        composer::open(Arc::clone(&place.session), "me".to_owned(), |_| Tray::default()).await.unwrap();
    assert_eq!(again.live.state().text, "half a thought");
    assert_eq!(place.session.draft("me").await.unwrap().text, "half a thought");

    let sent = composer.act(ComposerAct::Send).await.unwrap();
    assert_eq!(sent["text"], "half a thought");
    assert_eq!(place.session.draft("me").await.unwrap(), Draft::default());
    shows(&again.live, |composer| composer.text.is_empty()).await;

    let id = MessageId::parse(sent["id"].as_str().unwrap()).unwrap();
    composer.act(ComposerAct::Set("next".to_owned())).await.unwrap();
    composer.act(ComposerAct::Edit(Some(id.clone()))).await.unwrap();
    let state = composer.live.state();
    assert_eq!((state.text.as_str(), state.why_not), ("half a thought", Some(WhyNot::Unchanged)));
    composer.act(ComposerAct::Set("a thought".to_owned())).await.unwrap();
    assert!(composer.act(ComposerAct::Send).await.unwrap().is_null());
    assert_eq!(composer.live.state().text, "next", "what was being written before is there again");
    assert_eq!(place.session.history("me", 1).await.unwrap()[0].text, "a thought");

    composer.act(ComposerAct::Reply(Some(id.clone()))).await.unwrap();
    assert_eq!(composer.live.state().reply_to.as_ref().unwrap().text.as_deref(), Some("a thought"));
    let too_long = composer.act(ComposerAct::Set("x".repeat(100_000))).await.unwrap_err();
    assert_eq!((too_long.kind(), composer.live.state().text.as_str()), ("too_large", "next"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_profile_shows_nothing_and_everything_again_when_unlocked() {
    let place = place(&Protection::Passphrase(PASSPHRASE)).await;
    place.session.send_text("me", "secret").await.unwrap();
    let list = chats::open_chats(Arc::clone(&place.session)).await.unwrap();
    let timeline = timeline::open(Arc::clone(&place.session), "me".to_owned(), None, 0).await.unwrap();
    let composer =
        composer::open(Arc::clone(&place.session), "me".to_owned(), |_| Tray::default()).await.unwrap();
    composer.act(ComposerAct::Set("secret".to_owned())).await.unwrap();
    assert!(list.live.state().loaded && timeline.live.state().loaded);
    place.session.lock().await.unwrap();
    let locked = shows(&list.live, |list| !list.loaded).await;
    assert!(locked.rows.is_empty());
    assert!(shows(&timeline.live, |timeline| !timeline.loaded).await.rows.is_empty());
    shows(&composer.live, |composer| composer.text.is_empty()).await;
    let refused = chats::open_chats(Arc::clone(&place.session)).await.unwrap_err();
    assert_eq!(refused.kind(), "locked");
    place.session.unlock(PASSPHRASE).await.unwrap();
    shows(&timeline.live, |timeline| texts(timeline) == ["secret"]).await;
    shows(&list.live, |list| list.loaded && list.rows.len() == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_screen_does_not_keep_a_profile_from_locking_itself() {
    let place = place(&Protection::Passphrase(PASSPHRASE)).await;
    let screen = settings::open(Arc::clone(&place.session), || true).await.unwrap();
    let list = chats::open_chats(Arc::clone(&place.session)).await.unwrap();
    let network = conclave_view::network::open(Arc::clone(&place.session)).await.unwrap();
    let settings = Settings { auto_lock: Some(1), ..place.session.settings().await.unwrap() };
    place.session.set_settings(settings).await.unwrap();
    shows(&list.live, |list| !list.loaded).await;
    shows(&screen.live, |screen| screen.settings.is_none()).await;
    shows(&network.live, |network| network.status.locked).await;
}
