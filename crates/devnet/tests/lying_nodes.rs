//! Nodes that lie, and clocks that are wrong.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::devices::Device;
use common::in_process::InProcess;
use conclave_client::types::{MessageState, SentState, Timer};
use conclave_client::{Client, ClientOptions, Clock, SystemClock};
use conclave_crypto::AccountId;
use conclave_node::{Hooks, Misbehave};
use conclave_proto::Timestamp;
use conclave_testkit::personas;

async fn id(client: &Client) -> AccountId {
    AccountId::from_hex(&client.account().await.unwrap().account_id).unwrap()
}

/// A network of five nodes (one swarm), of which the first `liars` lie.
async fn network(liars: usize, how: Misbehave) -> InProcess {
    InProcess::start(5, |node| Hooks {
        misbehave: if node < liars { how } else { Misbehave::Honest },
        ..Hooks::default()
    })
    .await
}

async fn send(client: &Client, to: &AccountId, wait: Duration) -> SentState {
    let sent = client.send_text(to, "is it there?").await.unwrap();
    client.wait_for(&sent.id, MessageState::Stored, wait).await.unwrap()
}

/// Long enough for anything that is going to happen; what is waited for ends the wait sooner.
const PATIENCE: Duration = Duration::from_secs(90);

#[tokio::test(flavor = "multi_thread")]
async fn signatures_with_a_wrong_key_do_not_count() {
    let network = network(2, Misbehave::WrongKey).await;
    let alice = network.client("alice", ClientOptions::default());
    let state = send(&alice, &id(&alice).await, PATIENCE).await;
    assert_eq!((state.state, state.signed, state.swarm), (MessageState::Stored, Some(3), Some(5)));
    alice.shutdown().await;
    network.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_honest_majority_a_message_is_never_called_stored() {
    let network = network(3, Misbehave::WrongKey).await;
    let alice = network.client("alice", ClientOptions::default());
    let state = send(&alice, &id(&alice).await, Duration::from_secs(4)).await;
    assert!(state.state < MessageState::Stored, "{state:?}");
    assert!(state.signed.unwrap_or(0) <= 2, "{state:?}");
    let status = alice.status().await.unwrap();
    assert_eq!(status.queued, 1, "it is still tried");
    alice.shutdown().await;
    network.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn members_that_answer_rubbish_are_passed_over() {
    let network = network(2, Misbehave::Rubbish).await;
    let alice = network.client("alice", ClientOptions::default());
    let bob = network.client("bob", ClientOptions::default());
    let state = send(&alice, &id(&bob).await, PATIENCE).await;
    assert_eq!(state.state, MessageState::Stored, "{state:?}");
    assert_eq!((state.signed, state.swarm), (Some(3), Some(5)));
    // Whatever two members answer, the message is found with the others.
    let mut events = bob.events();
    while bob.unprinted(10).await.unwrap().is_empty() {
        events.recv().await.unwrap();
    }
    alice.shutdown().await;
    bob.shutdown().await;
    network.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_forgets_does_not_hide_a_message() {
    arrives_in_spite_of(Misbehave::Forgets).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_gives_other_data_under_a_hash_does_not_hide_a_message() {
    arrives_in_spite_of(Misbehave::OtherData).await;
}

async fn arrives_in_spite_of(how: Misbehave) {
    let network = network(2, how).await;
    let alice = network.client("alice", ClientOptions::default());
    let bob = network.client("bob", ClientOptions::default());
    send(&alice, &id(&bob).await, PATIENCE).await;
    let mut events = bob.events();
    while bob.unprinted(10).await.unwrap().is_empty() {
        events.recv().await.unwrap();
    }
    alice.shutdown().await;
    bob.shutdown().await;
    network.stop().await;
}

/// A machine whose clock is wrong by so many milliseconds.
struct Skewed(i64);

impl Clock for Skewed {
    fn now(&self) -> Timestamp {
        Timestamp(SystemClock.now().0.saturating_add_signed(self.0))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_off_by_two_minutes_is_learnt_and_messages_carry_the_network_s_time() {
    let network = network(0, Misbehave::Honest).await;
    for (name, skew) in [("ahead", 120_000), ("behind", -120_000)] {
        let options = ClientOptions { clock: Arc::new(Skewed(skew)), ..ClientOptions::default() };
        let client = network.client(name, options);
        let before = SystemClock.now();
        let sent = client.send_text(&id(&client).await, "what time is it?").await.unwrap();
        let state = client.wait_for(&sent.id, MessageState::Stored, PATIENCE).await.unwrap();
        assert_eq!(state.state, MessageState::Stored, "{name}: {state:?}");
        let off = before.distance(Timestamp(sent.sent_at));
        assert!(off < Duration::from_secs(30), "{name}: sent {off:?} away from the network's time");
        let report = client.fetch().await.unwrap();
        assert_eq!(report.answered, 5, "{name}: signed requests are within the nodes' tolerance");
        let offset = client.status().await.unwrap().clock_offset_ms;
        assert!((offset + skew).abs() < 30_000, "{name}: learnt {offset}");
        client.shutdown().await;
    }
    network.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_only_receives_learns_how_far_its_clock_is_off_and_the_next_run_knows_it() {
    let network = network(0, Misbehave::Honest).await;
    let behind = || ClientOptions { clock: Arc::new(Skewed(-120_000)), online: false, ..Default::default() };
    let alice = Device::started(&network, personas::alice(), "Alice", 1, behind());
    let bob = network.client("bob", ClientOptions::default());
    let sent = send(&bob, &alice.id, PATIENCE).await;
    assert_eq!(sent.state, MessageState::Stored, "{sent:?}");
    alice.client.fetch().await.unwrap();
    let heard = alice.client.history(&id(&bob).await, 10).await.unwrap();
    let got = heard.iter().find(|message| message.id == sent.id).unwrap();
    assert_eq!(got.arrived_at, None, "it was sent before it came");
    // Now without asking anybody.
    let alice = alice.restarted(&network, || (), behind()).await;
    let offset = alice.client.status().await.unwrap().clock_offset_ms;
    assert!((offset - 120_000).abs() < 30_000, "remembered {offset}");
    for client in [&alice.client, &bob] {
        client.shutdown().await;
    }
    network.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_disappears_does_so_without_a_network_while_a_program_runs_and_before_it_begins() {
    let network = network(0, Misbehave::Honest).await;
    let offline =
        |ahead| ClientOptions { clock: Arc::new(Skewed(ahead)), online: false, ..Default::default() };
    let alice = Device::started(&network, personas::alice(), "Alice", 1, offline(0));
    let bob = network.client("bob", ClientOptions::default());
    let chat = id(&bob).await;
    // Long enough for a busy machine to fetch it before.
    bob.set_timer(&alice.id, Timer::AfterSend(15)).await.unwrap();
    send(&bob, &alice.id, PATIENCE).await;
    assert!(alice.client.fetch().await.unwrap().new_messages > 0);
    let texts = async |client: &Client| -> Vec<String> {
        client.history(&chat, 10).await.unwrap().into_iter().map(|message| message.text).collect()
    };
    let is_gone =
        async |client: &Client| (!texts(client).await.iter().any(|text| !text.is_empty())).then_some(());
    alice.until("nothing is left", is_gone).await;

    bob.set_timer(&alice.id, Timer::AfterSend(3_600)).await.unwrap();
    send(&bob, &alice.id, PATIENCE).await;
    alice.client.fetch().await.unwrap();
    assert!(texts(&alice.client).await.iter().any(|text| text == "is it there?"));
    let alice = alice.restarted(&network, || (), offline(2 * 3_600_000)).await;
    assert!(is_gone(&alice.client).await.is_some(), "{:?}", texts(&alice.client).await);
    alice.client.shutdown().await;
    bob.shutdown().await;
    network.stop().await;
}
