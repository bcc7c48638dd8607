//! Making, restoring, showing and removing the accounts of a data directory.

use conclave_crypto::{Account, RecoveryPhrase};
use conclave_proto::network::NetworkFile;
use rand_core::OsRng;
use zeroize::Zeroizing;

use crate::error::Error;
use crate::profile::{DataDir, DisplayName, NewProfile, OwnedProfile, ProfileName, Protection, Unlock};
use crate::types::AccountInfo;

/// What somebody is called who has not said it.
const NO_NAME: &str = "Anonymous";

/// Makes a new account in a new profile, and owns it.
///
/// # Errors
/// If there is such a profile already, or it cannot be made; nothing is left behind then.
pub fn create(
    data_dir: &DataDir,
    profile: &ProfileName,
    name: &str,
    protection: &Protection<'_>,
    network: Option<&NetworkFile>,
) -> Result<(OwnedProfile, AccountInfo), Error> {
    make(data_dir, profile, name, &RecoveryPhrase::generate(&mut OsRng), protection, network, false)
}

/// Brings the account of a recovery phrase into a new profile, and owns it.
///
/// # Errors
/// [`Error::Phrase`] names the word that is wrong; else as [`create`].
pub fn restore(
    data_dir: &DataDir,
    profile: &ProfileName,
    name: Option<&str>,
    phrase: &str,
    protection: &Protection<'_>,
    network: Option<&NetworkFile>,
) -> Result<(OwnedProfile, AccountInfo), Error> {
    let phrase = RecoveryPhrase::scan(phrase)?;
    make(data_dir, profile, name.unwrap_or(NO_NAME), &phrase, protection, network, true)
}

/// The recovery phrase of a profile's account. Whoever sees it has the account.
///
/// # Errors
/// If the profile cannot be opened, for instance because another process owns it.
pub fn phrase(
    data_dir: &DataDir,
    profile: &ProfileName,
    unlock: &Unlock<'_>,
) -> Result<Zeroizing<String>, Error> {
    let owned = data_dir.profile(profile).open(unlock)?;
    Ok(owned.store().account()?.phrase.words())
}

/// Protects a profile by another passphrase, or by none ([`crate::profile::Profile::change_protection`]).
///
/// # Errors
/// As there; for instance because another process owns it.
pub fn change_protection(
    data_dir: &DataDir,
    profile: &ProfileName,
    unlock: &Unlock<'_>,
    protection: &Protection<'_>,
) -> Result<(), Error> {
    Ok(data_dir.profile(profile).change_protection(unlock, protection, &mut OsRng)?)
}

/// The account of a profile that no process owns.
///
/// # Errors
/// If the profile cannot be opened.
pub fn show(data_dir: &DataDir, profile: &ProfileName, unlock: &Unlock<'_>) -> Result<AccountInfo, Error> {
    let owned = data_dir.profile(profile).open(unlock)?;
    let stored = owned.store().account()?;
    Ok(AccountInfo {
        account_id: stored.id.to_hex(),
        name: stored.name.clone(),
        profile: profile.to_string(),
        network_id: owned.network()?.map(|network| network.network_id),
        picture: owned.store().own_picture_mark()?,
    })
}

fn make(
    data_dir: &DataDir,
    profile: &ProfileName,
    name: &str,
    phrase: &RecoveryPhrase,
    protection: &Protection<'_>,
    network: Option<&NetworkFile>,
    restored: bool,
) -> Result<(OwnedProfile, AccountInfo), Error> {
    let name = DisplayName::new(name)?;
    let new = NewProfile { phrase, display_name: &name, network, restored };
    let owned = data_dir.profile(profile).create(&new, protection, &mut OsRng)?;
    let info = AccountInfo {
        account_id: Account::from_phrase(phrase).id().to_hex(),
        name: name.as_str().to_owned(),
        profile: profile.to_string(),
        network_id: network.map(|network| network.network_id.clone()),
        picture: None,
    };
    Ok((owned, info))
}
