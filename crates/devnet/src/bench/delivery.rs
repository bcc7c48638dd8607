//! How long a message takes from one person's program to the other's: from the call that sends it to the event that tells of
//! it, by one clock. Both programs run here, in profiles of their own, with everything that belongs to it: fsync, sealing,
//! copies for other devices, receipts.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use conclave_client::profile::{DataDir, ProfileName, Protection};
use conclave_client::types::{Event, MessageState};
use conclave_client::{Client, ClientOptions, accounts};
use conclave_crypto::AccountId;
use rand_core::OsRng;
use tokio::sync::broadcast::{Receiver, error::RecvError};

use super::load::at_share;
use super::{BenchError, Figure, Settings, failed, network};
use crate::{Weather, Wires};

const NODES: usize = 10;
const MESSAGES: usize = 1_000;
/// Sent before anything is measured: connections and paths stand then.
const WARM_UP: usize = 30;
/// Between one message that has arrived and the next.
const PAUSE: Duration = Duration::from_millis(20);
/// How long one message may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// A wire to another town.
const DELAY: Duration = Duration::from_millis(20);

pub(super) async fn measure(
    settings: &Settings,
    tell: &mut (dyn FnMut(&Figure) + Send),
) -> Result<(), BenchError> {
    let mut net = network(settings, "delivery", NODES).await?;
    let outcome = exchange(settings, &net, "loopback", MESSAGES, tell).await;
    if let Err(error) = outcome {
        net.stop().await;
        return Err(error);
    }
    for index in 1..=NODES {
        net.kill(index).await?;
    }
    let wires = Wires::lay(net.plan(), Weather { delay: DELAY, ..Weather::default() }, OsRng).await?;
    for index in 1..=NODES {
        net.restart(index).await?;
    }
    let outcome = exchange(settings, &net, "20 ms each way on every link", MESSAGES, tell).await;
    net.stop().await;
    drop(wires);
    outcome
}

/// Two people write to each other over three hops.
async fn exchange(
    settings: &Settings,
    net: &crate::Devnet,
    wires: &str,
    messages: usize,
    tell: &mut (dyn FnMut(&Figure) + Send),
) -> Result<(), BenchError> {
    let person = |name: &str| -> Result<(Client, AccountId), BenchError> {
        let dir =
            DataDir::new(settings.data_dir.join("delivery-people").join(wires.replace(' ', "-")).join(name));
        let profile = ProfileName::new(name).map_err(failed)?;
        let file = Some(net.network_file());
        let (owned, info) =
            accounts::create(&dir, &profile, name, &Protection::KeyFile, file).map_err(failed)?;
        let client = Client::start(owned, ClientOptions::default()).map_err(failed)?;
        Ok((client, AccountId::from_hex(&info.account_id).map_err(failed)?))
    };
    let ((alice, from), (bob, to)) = (person("alice")?, person("bob")?);
    let mut heard = bob.events();
    let mut answered = alice.events();
    for number in 0..WARM_UP {
        timed(&alice, &to, &mut heard, &format!("warm {number}")).await?;
        timed(&bob, &from, &mut answered, &format!("warm back {number}")).await?;
    }

    let mut took = Vec::with_capacity(messages);
    for number in 0..messages {
        took.push(timed(&alice, &to, &mut heard, &format!("one {number}")).await?);
        tokio::time::sleep(PAUSE).await;
    }
    figures(&format!("message, one at a time, {wires}"), &mut took, tell);

    // All at once: what counts is when the last one is there.
    let began = Instant::now();
    let mut sent = HashMap::new();
    let sending = async {
        for number in 0..messages {
            let text = format!("all {number}");
            sent.insert(text.clone(), Instant::now());
            alice.send_text(&to, &text).await.map_err(failed)?;
        }
        Ok::<_, BenchError>(())
    };
    let hearing = async {
        let mut arrived = Vec::new();
        while arrived.len() < messages {
            let text = next_message(&mut heard).await?;
            if text.starts_with("all ") {
                arrived.push((text, Instant::now()));
            }
        }
        Ok::<_, BenchError>(arrived)
    };
    let (sending, arrived) = tokio::join!(sending, hearing);
    sending?;
    let took_all = began.elapsed().as_secs_f64();
    let mut took: Vec<f64> = arrived?
        .iter()
        .filter_map(|(text, at)| sent.get(text).map(|began| (*at - *began).as_secs_f64() * 1e3))
        .collect();
    tell(&Figure::new(format!("messages, all at once, {wires}"), messages as f64 / took_all, "/s"));
    figures(&format!("message, all at once, {wires}"), &mut took, tell);
    alice.shutdown().await;
    bob.shutdown().await;
    Ok(())
}

/// Sends a text and waits until the other side is told of it; milliseconds from the call.
async fn timed(
    from: &Client,
    to: &AccountId,
    heard: &mut Receiver<Event>,
    text: &str,
) -> Result<f64, BenchError> {
    let began = Instant::now();
    let sent = from.send_text(to, text).await.map_err(failed)?;
    while next_message(heard).await? != text {}
    let took = began.elapsed().as_secs_f64() * 1e3;
    // The next one is to find the line free, as one does that a person types.
    let state = from.wait_for(&sent.id, MessageState::Stored, PATIENCE).await.map_err(failed)?;
    if state.state < MessageState::Stored {
        return Err(BenchError::Failed(format!("a message that arrived is {:?}", state.state)));
    }
    Ok(took)
}

/// The text of the next message that a client is told of, received or sent.
async fn next_message(heard: &mut Receiver<Event>) -> Result<String, BenchError> {
    let waiting = async {
        loop {
            match heard.recv().await {
                Ok(Event::Message(message)) => return Ok(message.text),
                Ok(_) => {}
                Err(RecvError::Lagged(_)) => return Err(BenchError::Failed("events were missed".into())),
                Err(RecvError::Closed) => return Err(BenchError::Failed("a client has ended".into())),
            }
        }
    };
    let waited = tokio::time::timeout(PATIENCE, waiting).await;
    waited.unwrap_or_else(|_| Err(BenchError::Failed("a message did not arrive".into())))
}

fn figures(what: &str, took: &mut [f64], tell: &mut (dyn FnMut(&Figure) + Send)) {
    took.sort_unstable_by(f64::total_cmp);
    let (half, most) = (at_share(took, 0.5), at_share(took, 0.99));
    tell(&Figure { what: what.to_owned(), value: half, unit: "ms", latency: Some((half, most)) });
    tell(&Figure::new("  nine of ten within", at_share(took, 0.9), "ms"));
    tell(&Figure::new("  the slowest", took.last().copied().unwrap_or_default(), "ms"));
}
