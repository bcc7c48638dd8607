//! `conclave up`: a private network and two accounts to try it. One that a passphrase protects stays locked if the passphrase
//! given does not open it: the page asks for it, and so does every command.

use conclave_client::profile::{DataDir, ProfileName, Protection, Unlock};
use conclave_client::types::AccountInfo;
use conclave_client::{Account, ClientOptions, accounts};
use conclave_crypto::AccountId;
use conclave_devnet::Devnet;
use conclave_proto::network::NetworkFile;
use serde_json::json;

use super::page::{Page, Shown};
use super::{Context, devnet};
use crate::args::Up;
use crate::failure::Failure;

/// The two who are made ready the first time.
const PEOPLE: [&str; 2] = ["alice", "bob"];

pub(super) async fn run(context: &Context, args: &Up) -> Result<(), Failure> {
    let Some(mut network) = devnet::start(context, args.nodes, args.seed_http).await? else { return Ok(()) };
    let mut sessions = Vec::new();
    let prepared = context.or_stopped(people(context, network.network_file(), &mut sessions)).await;
    let result = match prepared {
        Ok(profiles) => serve(context, args, &mut network, sessions, &profiles).await,
        Err(failure) => {
            context.output.note("Stopping …");
            close(sessions).await;
            if failure.kind == "interrupted" { Ok(()) } else { Err(failure) }
        }
    };
    network.stop().await;
    result
}

/// Shows the two profiles until the user asks to stop.
async fn serve(
    context: &Context,
    args: &Up,
    network: &mut Devnet,
    sessions: Vec<Account>,
    profiles: &[serde_json::Value],
) -> Result<(), Failure> {
    let default_network = Some(network.network_file().clone());
    let options = ClientOptions { default_network, ..ClientOptions::default() };
    let page = match Page::start(context, options, args).await {
        Ok(page) => page,
        Err(failure) => {
            close(sessions).await;
            return Err(failure);
        }
    };
    let page = page.with(sessions).await?;
    let shown = page.show(context).await;
    let line = devnet::ready(network, profiles, shown.app());
    context.output.line(&line, || welcome(context, args, profiles, &shown));
    let result = tokio::select! {
        result = devnet::watch(context, network) => result,
        () = page.give_links(context) => Ok(()),
    };
    context.output.note("Stopping …");
    page.stop().await;
    result
}

async fn close(sessions: Vec<Account>) {
    for session in sessions {
        session.close().await;
    }
}

/// Opens the two profiles, making them if they are not there, and says who they are. Those opened so far are in `sessions`
/// whatever happens.
async fn people(
    context: &Context,
    network: &NetworkFile,
    sessions: &mut Vec<Account>,
) -> Result<Vec<serde_json::Value>, Failure> {
    for name in PEOPLE {
        let profile = ProfileName::new(name)?;
        let options = ClientOptions { network: Some(network.clone()), ..ClientOptions::default() };
        let session = if context.data_dir.profile(&profile).exists() {
            match open(context, &profile, &options).await? {
                Some(session) => session,
                None => continue,
            }
        } else {
            make(&context.data_dir, &profile, name, network, options).await?
        };
        // One round, so that the second profile finds the guard the first has chosen, and a broken network shows here.
        match session.fetch().await {
            // By another program, which owns it.
            Err(error) if error.kind() == "locked" => {
                context.output.note(&format!("{error}; it stays locked"));
                session.close().await;
            }
            fetched => {
                sessions.push(session);
                fetched?;
            }
        }
    }
    let mut known = Vec::new();
    for session in sessions.iter() {
        known.push((session, session.info().await?));
    }
    introduce(&known).await?;
    let profile = |name: &&str| match known.iter().find(|(_, account)| account.profile == **name) {
        Some((_, account)) => json!({"name": name, "account_id": account.account_id}),
        None => json!({"name": name, "locked": true}),
    };
    Ok(PEOPLE.iter().map(profile).collect())
}

/// Opens a profile; `None` if it needs a passphrase that was not given.
async fn open(
    context: &Context,
    profile: &ProfileName,
    options: &ClientOptions,
) -> Result<Option<Account>, Failure> {
    let refused = match Account::open(&context.data_dir, profile, &Unlock::KeyFile, options).await {
        Err(error) if error.kind() == "passphrase_needed" => error,
        opened => return Ok(Some(opened?)),
    };
    let refused = match context.passphrase()? {
        None => refused,
        Some(given) => {
            match Account::open(&context.data_dir, profile, &Unlock::Passphrase(&given), options).await {
                Err(error) if error.kind() == "wrong_passphrase" => error,
                opened => return Ok(Some(opened?)),
            }
        }
    };
    context.output.note(&format!("{refused}; it stays locked"));
    Ok(None)
}

async fn make(
    data_dir: &DataDir,
    profile: &ProfileName,
    name: &str,
    network: &NetworkFile,
    options: ClientOptions,
) -> Result<Account, Failure> {
    let mut shown = name.to_owned();
    if let Some(first) = shown.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    let (owned, _) = accounts::create(data_dir, profile, &shown, &Protection::KeyFile, Some(network))?;
    Ok(Account::own(owned, options).await?)
}

/// Each knows the other by name, so that `send bob` works.
async fn introduce(known: &[(&Account, AccountInfo)]) -> Result<(), Failure> {
    for (session, own) in known {
        for (_, other) in known {
            let (Some(client), true) = (session.client(), own.profile != other.profile) else { continue };
            if let Ok(id) = AccountId::from_hex(&other.account_id) {
                client.introduce(&id, &other.profile).await?;
            }
        }
    }
    Ok(())
}

fn welcome(context: &Context, args: &Up, profiles: &[serde_json::Value], shown: &Shown) -> String {
    let mut lines = vec![
        format!("A private network of {} service nodes is running on this machine.", args.nodes),
        String::new(),
    ];
    for profile in profiles {
        let text = |name: &str| profile.get(name).and_then(serde_json::Value::as_str).unwrap_or_default();
        let id = match text("account_id") {
            "" => "locked by its passphrase",
            id => id,
        };
        lines.push(format!("  {:<6} {id}", text("name")));
    }
    let (listen, status) = (context.again("listen", "bob"), context.again("status", "alice"));
    let (send, up) = (context.again("send bob \"Hello, Bob\"", "alice"), context.again("up", "default"));
    if let Some(page) = shown.text() {
        lines.extend([String::new(), page]);
    }
    lines.extend([
        String::new(),
        "Or open two other terminals. In one, wait for messages:".to_owned(),
        format!("  {listen}"),
        "In the other, send one:".to_owned(),
        format!("  {send}"),
        String::new(),
        format!(
            "`{status}` shows the way messages take. Ctrl-C stops everything; `{up}` brings it back as it was."
        ),
    ]);
    lines.join("\n")
}
