//! `conclave account …`

use std::path::Path;

use conclave_client::accounts;
use conclave_client::profile::{OpenError, Protection};
use conclave_client::types::AccountInfo;
use serde_json::json;
use zeroize::Zeroizing;

use super::acts::rename_account;
use super::{Context, unlock};
use crate::args::Account;
use crate::failure::Failure;
use crate::output::tame;
use crate::secrets;

pub(super) async fn run(context: &Context, account: Account) -> Result<(), Failure> {
    match account {
        Account::Create { name } => create(context, &name).await,
        Account::Restore { name, phrase_file } => {
            restore(context, name.as_deref(), phrase_file.as_deref()).await
        }
        Account::Show { phrase, yes } => show(context, phrase, yes).await,
        Account::Passphrase { new_passphrase_file, remove } => {
            change_passphrase(context, new_passphrase_file.as_deref(), remove)
        }
        Account::List => list(context),
        Account::Rename { name, sending } => rename_account(context, &name, sending).await,
        Account::Remove { yes } => remove(context, yes),
    }
}

async fn create(context: &Context, name: &str) -> Result<(), Failure> {
    let profile = context.profile()?;
    let network = context.network().await?;
    let passphrase = new_passphrase(context)?;
    let (owned, info) = accounts::create(
        &context.data_dir,
        &profile,
        name,
        &protection(passphrase.as_ref()),
        network.as_ref(),
    )?;
    drop(owned);
    context.output.line(&info, || describe(&info));
    if network.is_none() {
        context.output.human(
            "It belongs to no network yet. The first command with --network FILE settles that; \
             `conclave up` starts a network on this machine.",
        );
    }
    context.output.human(
        "Write down the recovery phrase, it is the only way back into the account:\n  \
         conclave account show --phrase",
    );
    Ok(())
}

async fn restore(context: &Context, name: Option<&str>, phrase_file: Option<&Path>) -> Result<(), Failure> {
    let profile = context.profile()?;
    let network = context.network().await?;
    if context.data_dir.profile(&profile).exists() {
        let name = profile.to_string();
        return Err(OpenError::Exists { name }.into());
    }
    let phrase = secrets::recovery_phrase(phrase_file)?;
    let passphrase = new_passphrase(context)?;
    let (owned, info) = accounts::restore(
        &context.data_dir,
        &profile,
        name,
        &phrase,
        &protection(passphrase.as_ref()),
        network.as_ref(),
    )?;
    drop(owned);
    context.output.line(&info, || describe(&info));
    Ok(())
}

async fn show(context: &Context, phrase: bool, yes: bool) -> Result<(), Failure> {
    let profile = context.profile()?;
    let session = context.open(false).await;
    let info = match session {
        Ok(session) => {
            let info = session.account().await?;
            session.close().await;
            info
        }
        // An account that has no network yet can be shown all the same.
        Err(failure) if failure.kind == "no_network" => {
            let passphrase = secrets::passphrase(&context.global)?;
            accounts::show(&context.data_dir, &profile, &unlock(passphrase.as_ref()))?
        }
        Err(failure) => return Err(failure),
    };
    if !phrase {
        context.output.line(&info, || describe(&info));
        return Ok(());
    }
    if !yes {
        let question = "Whoever sees the recovery phrase has the account. Show it?";
        match secrets::confirm(question)? {
            Some(true) => {}
            Some(false) => return Ok(()),
            None => {
                return Err(Failure::usage(
                    "not_confirmed",
                    "the recovery phrase is only shown after asking, and there is no terminal to ask on",
                    "use --yes",
                ));
            }
        }
    }
    let passphrase = secrets::passphrase(&context.global)?;
    let words = accounts::phrase(&context.data_dir, &profile, &unlock(passphrase.as_ref()))?;
    let shown = json!({
        "account_id": info.account_id, "name": info.name, "profile": info.profile, "phrase": words.as_str(),
    });
    context.output.line(&shown, || format!("{}\n  recovery phrase  {}", describe(&info), words.as_str()));
    Ok(())
}

fn list(context: &Context) -> Result<(), Failure> {
    let profiles = context.data_dir.profiles()?;
    for profile in &profiles {
        let owned = context.data_dir.profile(profile).is_owned().unwrap_or(false);
        let line = json!({"event": "profile", "profile": profile.as_str(), "running": owned});
        context.output.line(
            &line,
            || {
                if owned { format!("{profile}  (in use)") } else { profile.to_string() }
            },
        );
    }
    if profiles.is_empty() {
        context.output.note("There are no profiles yet. `conclave account create --name NAME` makes one.");
    }
    Ok(())
}

fn remove(context: &Context, yes: bool) -> Result<(), Failure> {
    let profile = context.profile()?;
    if !yes {
        let question = format!(
            "This deletes the profile {profile} from this machine: its key and all its messages. \
             Without the recovery phrase the account is gone. Delete it?"
        );
        match secrets::confirm(&question)? {
            Some(true) => {}
            Some(false) => return Ok(()),
            None => {
                return Err(Failure::usage(
                    "not_confirmed",
                    "a profile is only deleted after asking, and there is no terminal to ask on",
                    "use --yes",
                ));
            }
        }
    }
    context.data_dir.profile(&profile).remove()?;
    let line = json!({"event": "removed", "profile": profile.as_str()});
    context.output.line(&line, || format!("The profile {profile} is deleted."));
    Ok(())
}

fn change_passphrase(context: &Context, file: Option<&Path>, remove: bool) -> Result<(), Failure> {
    let name = context.profile()?;
    let profile = context.data_dir.profile(&name);
    let mut present = secrets::passphrase(&context.global)?;
    loop {
        // The present one first: whoever mistyped it hears so before thinking of a new one.
        match profile.open(&unlock(present.as_ref())) {
            Ok(owned) => {
                drop(owned);
                break;
            }
            Err(OpenError::PassphraseNeeded { .. }) if present.is_none() => {
                present = secrets::prompt(&format!("Present passphrase of the profile {name}: "))?;
                if present.is_none() {
                    return Err(OpenError::PassphraseNeeded { name: name.to_string() }.into());
                }
            }
            Err(OpenError::InUse { .. }) => {
                return Err(Failure::failed(
                    "profile_in_use",
                    format!(
                        "another process uses the profile {name}, and its database cannot be encrypted anew meanwhile"
                    ),
                    "end that process (for instance `up` or `listen`) and try again",
                ));
            }
            Err(error) => return Err(error.into()),
        }
    }
    let new = if remove { None } else { Some(secrets::new_passphrase(file)?) };
    context.output.note("Encrypting all messages anew …");
    let (unlock, protection) = (unlock(present.as_ref()), protection(new.as_ref()));
    accounts::change_protection(&context.data_dir, &name, &unlock, &protection)?;
    let line = json!({"event": "passphrase", "profile": name.as_str(), "protected": new.is_some()});
    context.output.line(&line, || match new {
        Some(_) => format!("The profile {name} has a new passphrase; the old one opens nothing any more."),
        None => format!("The profile {name} has no passphrase any more. Its key lies beside its database."),
    });
    Ok(())
}

/// The passphrase of a profile that is being made: given, or asked for twice on a terminal (nothing means none).
fn new_passphrase(context: &Context) -> Result<Option<Zeroizing<String>>, Failure> {
    if let Some(given) = secrets::passphrase(&context.global)? {
        return Ok(Some(given));
    }
    if context.output.is_json() {
        return Ok(None);
    }
    let Some(first) = secrets::prompt("Passphrase for the messages on this machine (nothing for none): ")?
    else {
        return Ok(None);
    };
    if first.is_empty() {
        return Ok(None);
    }
    secrets::the_same_again(first).map(Some)
}

fn protection(passphrase: Option<&Zeroizing<String>>) -> Protection<'_> {
    passphrase.map_or(Protection::KeyFile, |passphrase| Protection::Passphrase(passphrase))
}

fn describe(info: &AccountInfo) -> String {
    format!("{}\n  account id  {}\n  profile     {}", tame(&info.name), info.account_id, info.profile)
}
