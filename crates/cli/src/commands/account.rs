//! `conclave account …`

use std::path::Path;

use conclave_client::profile::{OpenError, ProfileName, Protection, Unlock};
use conclave_client::types::AccountInfo;
use conclave_client::{Account, accounts};
use serde_json::json;
use zeroize::Zeroizing;

use super::acts::{choose_picture, rename_account};
use super::{Context, unlock};
use crate::args;
use crate::failure::Failure;
use crate::output::tame_line;
use crate::secrets;

pub(super) async fn run(context: &Context, account: args::Account) -> Result<(), Failure> {
    match account {
        args::Account::Create { name } => create(context, &name).await,
        args::Account::Restore { name, phrase_file } => {
            restore(context, name.as_deref(), phrase_file.as_deref()).await
        }
        args::Account::Show { phrase, yes } => show(context, phrase, yes).await,
        args::Account::Passphrase { new_passphrase_file, remove } => {
            change_passphrase(context, new_passphrase_file.as_deref(), remove)
        }
        args::Account::List => list(context).await,
        args::Account::Rename { name, sending } => rename_account(context, &name, sending).await,
        args::Account::Picture { file, sending, .. } => {
            choose_picture(context, file.as_deref(), sending).await
        }
        args::Account::Remove { yes } => remove(context, yes),
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
    let show = context.again("account show --phrase", profile.as_str());
    context.output.human(&format!(
        "Write down the recovery phrase, it is the only way back into the account:\n  {show}"
    ));
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
    if phrase && !yes {
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
    let (info, words) = match context.open(false).await {
        Ok(session) => {
            let shown = of_session(context, &session, phrase).await;
            session.close().await;
            shown?
        }
        // An account that has no network yet can be shown all the same.
        Err(failure) if failure.kind == "no_network" => of_disk(context, phrase).await?,
        Err(failure) => return Err(failure),
    };
    let Some(words) = words else {
        context.output.line(&info, || describe(&info));
        return Ok(());
    };
    let shown = json!({
        "account_id": info.account_id, "name": info.name, "profile": info.profile, "phrase": words.as_str(),
    });
    context.output.line(&shown, || format!("{}\n  recovery phrase  {}", describe(&info), words.as_str()));
    Ok(())
}

type Shown = (AccountInfo, Option<Zeroizing<String>>);

async fn of_session(context: &Context, session: &Account, phrase: bool) -> Result<Shown, Failure> {
    let info = session.info().await?;
    if !phrase {
        return Ok((info, None));
    }
    let found = context.unlocking(async |unlock| session.phrase(unlock).await).await?;
    Ok((info, Some(Zeroizing::new(found.words.as_str().to_owned()))))
}

async fn of_disk(context: &Context, phrase: bool) -> Result<Shown, Failure> {
    let profile = context.profile()?;
    let read = async |unlock: &Unlock<'_>| {
        let info = accounts::show(&context.data_dir, &profile, unlock)?;
        let words = phrase.then(|| accounts::phrase(&context.data_dir, &profile, unlock)).transpose()?;
        Ok((info, words))
    };
    context.unlocking(read).await
}

async fn list(context: &Context) -> Result<(), Failure> {
    let profiles = context.data_dir.profiles()?;
    for profile in &profiles {
        let owned = context.data_dir.profile(profile).is_owned().unwrap_or(false);
        let id = account_id(context, profile, owned).await;
        let line = json!({
            "event": "profile", "profile": profile.as_str(), "running": owned, "account_id": id.as_ref().ok(),
        });
        context.output.line(&line, || {
            let in_use = if owned { "  (in use)" } else { "" };
            format!("{profile}{in_use}\n  account id  {}", id.as_ref().unwrap_or_else(|why| why))
        });
    }
    if profiles.is_empty() {
        context.output.note("There are no profiles yet. `conclave account create --name NAME` makes one.");
    }
    Ok(())
}

/// The account id of a profile, or why it is not known without asking for a passphrase.
async fn account_id(context: &Context, profile: &ProfileName, owned: bool) -> Result<String, String> {
    let known = if owned {
        match Account::attach(&context.data_dir, profile).await {
            Ok(Some(session)) => session.info().await,
            // It has ended just now, or ends.
            Ok(None) => accounts::show(&context.data_dir, profile, &Unlock::KeyFile),
            Err(error) => Err(error),
        }
    } else {
        accounts::show(&context.data_dir, profile, &Unlock::KeyFile)
    };
    known.map(|info| info.account_id).map_err(|error| match error.kind() {
        "passphrase_needed" => "(needs its passphrase)".to_owned(),
        "locked" => "(locked)".to_owned(),
        _ => format!("(unknown: {})", tame_line(&error.to_string())),
    })
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
    let mut present = context.passphrase()?;
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
    if let Some(given) = context.passphrase()? {
        return Ok(Some(given));
    }
    secrets::not_set_empty(secrets::PASSPHRASE_VARIABLE)?;
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
    format!("{}\n  account id  {}\n  profile     {}", tame_line(&info.name), info.account_id, info.profile)
}
