//! `conclave lock` and `unlock`: for a profile that another process keeps open.

use conclave_client::Account;
use serde_json::json;

use super::Context;
use crate::failure::Failure;
use crate::secrets;

/// Locks it.
pub(super) async fn lock(context: &Context) -> Result<(), Failure> {
    let profile = context.profile()?;
    let Some(session) = Account::attach(&context.data_dir, &profile).await? else {
        if !context.data_dir.profile(&profile).has_passphrase()? {
            return Err(conclave_client::Error::NotLockable { profile: profile.to_string() }.into());
        }
        context.output.note("No process uses the profile, so its messages are closed already.");
        return locked(context, profile.as_str());
    };
    session.lock().await?;
    locked(context, profile.as_str())
}

fn locked(context: &Context, profile: &str) -> Result<(), Failure> {
    let line = json!({"event": "locked", "profile": profile});
    context.output.line(&line, || format!("The profile {profile} is locked."));
    Ok(())
}

/// Unlocks it.
pub(super) async fn unlock(context: &Context) -> Result<(), Failure> {
    let profile = context.profile()?;
    let Some(session) = Account::attach(&context.data_dir, &profile).await? else {
        return Err(Failure::failed(
            "not_running",
            format!("no process uses the profile {profile}, so there is nothing to unlock"),
            "every command asks for the passphrase itself then",
        ));
    };
    if session.status().await?.locked {
        let passphrase = match context.passphrase()? {
            Some(given) => Some(given),
            None => secrets::prompt(&format!("Passphrase of the profile {profile}: "))?,
        };
        let Some(passphrase) = passphrase else {
            let name = profile.to_string();
            return Err(conclave_client::profile::OpenError::PassphraseNeeded { name }.into());
        };
        session.unlock(&passphrase).await?;
    }
    let line = json!({"event": "unlocked", "profile": profile.as_str()});
    context.output.line(&line, || format!("The profile {profile} is unlocked."));
    Ok(())
}
