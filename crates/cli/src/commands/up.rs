//! `conclave up`: a private network and two accounts to try it.

use conclave_client::profile::{DataDir, ProfileName, Protection, Unlock};
use conclave_client::{ClientOptions, Session, accounts};
use conclave_crypto::AccountId;
use conclave_proto::network::NetworkFile;
use serde_json::json;

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
        Ok(profiles) => {
            let line = devnet::ready(&mut network, &profiles);
            context.output.line(&line, || welcome(context, args, &profiles));
            devnet::watch(context, &mut network).await
        }
        Err(failure) if failure.kind == "interrupted" => Ok(()),
        Err(failure) => Err(failure),
    };
    context.output.note("Stopping …");
    for session in sessions {
        session.close().await;
    }
    network.stop().await;
    result
}

/// Opens the two profiles, making them if they are not there, and says who they are. Those opened so far are in `sessions`
/// whatever happens.
async fn people(
    context: &Context,
    network: &NetworkFile,
    sessions: &mut Vec<Session>,
) -> Result<Vec<serde_json::Value>, Failure> {
    for name in PEOPLE {
        let profile = ProfileName::new(name)?;
        let options = ClientOptions { network: Some(network.clone()), ..ClientOptions::default() };
        let session = if context.data_dir.profile(&profile).exists() {
            Session::open(&context.data_dir, &profile, &Unlock::KeyFile, &options).await?
        } else {
            make(&context.data_dir, &profile, name, network, options).await?
        };
        // One round, so that the second profile finds the guard the first has chosen, and a broken network shows here.
        let fetched = session.fetch().await;
        sessions.push(session);
        fetched?;
    }
    introduce(sessions).await?;
    let mut profiles = Vec::new();
    for session in sessions.iter() {
        let account = session.account().await?;
        profiles.push(json!({"name": account.profile, "account_id": account.account_id}));
    }
    Ok(profiles)
}

async fn make(
    data_dir: &DataDir,
    profile: &ProfileName,
    name: &str,
    network: &NetworkFile,
    options: ClientOptions,
) -> Result<Session, Failure> {
    let mut shown = name.to_owned();
    if let Some(first) = shown.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    let (owned, _) = accounts::create(data_dir, profile, &shown, &Protection::KeyFile, Some(network))?;
    Ok(Session::own(owned, options).await?)
}

/// Each knows the other by name, so that `send bob` works.
async fn introduce(sessions: &[Session]) -> Result<(), Failure> {
    for (own, name) in sessions.iter().zip(PEOPLE) {
        for (other, other_name) in sessions.iter().zip(PEOPLE) {
            let (Some(client), true) = (own.client(), name != other_name) else { continue };
            let account = other.account().await?;
            if let Ok(id) = AccountId::from_hex(&account.account_id) {
                client.introduce(&id, other_name).await?;
            }
        }
    }
    Ok(())
}

fn welcome(context: &Context, args: &Up, profiles: &[serde_json::Value]) -> String {
    let mut lines = vec![
        format!("A private network of {} service nodes is running on this machine.", args.nodes),
        String::new(),
    ];
    for profile in profiles {
        let text = |name: &str| profile.get(name).and_then(serde_json::Value::as_str).unwrap_or_default();
        lines.push(format!("  {:<6} {}", text("name"), text("account_id")));
    }
    // The default needs no option; anything else has to be named again.
    let data_dir = match &context.global.data_dir {
        Some(_) if std::env::var_os("CONCLAVE_DATA_DIR").is_none() => {
            format!(" --data-dir {}", context.data_dir.path().display())
        }
        _ => String::new(),
    };
    // However the program was started, what is shown can be typed the same way.
    let program = std::env::var("CONCLAVE_RUN_AS").unwrap_or_else(|_| "conclave".to_owned());
    lines.extend([
        String::new(),
        "Open two other terminals. In one, wait for messages:".to_owned(),
        format!("  {program} listen --profile bob{data_dir}"),
        "In the other, send one:".to_owned(),
        format!("  {program} send --profile alice bob \"Hello, Bob\"{data_dir}"),
        String::new(),
        format!(
            "`{program} status --profile alice` shows the way messages take. Ctrl-C stops everything; \
             `{program} up` brings it back as it was."
        ),
    ]);
    lines.join("\n")
}
