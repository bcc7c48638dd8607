//! Secrets come from a prompt, the environment or a file, never from an argument: other users can read those.

use std::io::{IsTerminal as _, Read as _};
use std::path::Path;

use zeroize::Zeroizing;

use crate::args::Global;
use crate::failure::Failure;

pub(crate) const PASSPHRASE_VARIABLE: &str = "CONCLAVE_PASSPHRASE";
const NEW_PASSPHRASE_VARIABLE: &str = "CONCLAVE_NEW_PASSPHRASE";
const PHRASE_VARIABLE: &str = "CONCLAVE_PHRASE";

/// No secret is longer; a larger file is a mistake.
const MAX_SECRET_BYTES: u64 = 64 * 1024;

/// The passphrase given for the profile, if one was.
pub(crate) fn passphrase(global: &Global) -> Result<Option<Zeroizing<String>>, Failure> {
    if let Some(path) = &global.passphrase_file {
        return read_passphrase(path, "passphrase").map(Some);
    }
    Ok(from_environment(PASSPHRASE_VARIABLE))
}

/// The passphrase that is to protect the profile from now on: from `file`, the environment, or asked for twice.
pub(crate) fn new_passphrase(file: Option<&Path>) -> Result<Zeroizing<String>, Failure> {
    if let Some(path) = file {
        return read_passphrase(path, "new passphrase");
    }
    not_set_empty(NEW_PASSPHRASE_VARIABLE)?;
    if let Some(given) = from_environment(NEW_PASSPHRASE_VARIABLE) {
        return Ok(given);
    }
    let Some(first) = prompt("New passphrase: ")? else {
        return Err(Failure::usage(
            "no_new_passphrase",
            "there is no new passphrase, and no terminal to ask on",
            format!("put it in a file and use --new-passphrase-file FILE, or set {NEW_PASSPHRASE_VARIABLE}"),
        ));
    };
    if first.is_empty() {
        return Err(Failure::usage(
            "no_new_passphrase",
            "nothing was typed",
            "type a passphrase, or use --remove to do without",
        ));
    }
    the_same_again(first)
}

/// Asks for what was typed once more.
pub(crate) fn the_same_again(first: Zeroizing<String>) -> Result<Zeroizing<String>, Failure> {
    match prompt("The same once more: ")? {
        Some(second) if *second == *first => Ok(first),
        _ => Err(Failure::usage("passphrases_differ", "the two passphrases differ", "try again")),
    }
}

/// The recovery phrase: from `file`, the environment, or a prompt.
pub(crate) fn recovery_phrase(file: Option<&Path>) -> Result<Zeroizing<String>, Failure> {
    if let Some(path) = file {
        return read(path, "recovery phrase");
    }
    if let Some(phrase) = from_environment(PHRASE_VARIABLE) {
        return Ok(phrase);
    }
    match prompt("Recovery phrase (13 words): ")? {
        Some(phrase) => Ok(phrase),
        None => Err(Failure::usage(
            "no_phrase",
            "there is no recovery phrase to restore from",
            format!("put it in a file and use --phrase-file FILE, or set {PHRASE_VARIABLE}"),
        )),
    }
}

/// Asks on the terminal without showing what is typed; `None` without a terminal.
pub(crate) fn prompt(question: &str) -> Result<Option<Zeroizing<String>>, Failure> {
    if !std::io::stdin().is_terminal() {
        return Ok(None);
    }
    let answer = rpassword::prompt_password(question).map_err(|e| terminal(&e))?;
    Ok(Some(Zeroizing::new(answer)))
}

/// Asks a yes-or-no question on the terminal; `None` without one.
pub(crate) fn confirm(question: &str) -> Result<Option<bool>, Failure> {
    if !std::io::stdin().is_terminal() {
        return Ok(None);
    }
    eprint!("{question} [y/N] ");
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).map_err(|e| terminal(&e))?;
    Ok(Some(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")))
}

fn terminal(error: &std::io::Error) -> Failure {
    Failure::failed(
        "terminal",
        format!("reading from the terminal: {error}"),
        "give the secret in a file instead",
    )
}

fn from_environment(variable: &str) -> Option<Zeroizing<String>> {
    std::env::var(variable).ok().filter(|value| !value.is_empty()).map(Zeroizing::new)
}

/// A secret in a file, without the line break at its end; `-` is standard input.
fn read(path: &Path, what: &str) -> Result<Zeroizing<String>, Failure> {
    let mut text = Zeroizing::new(String::new());
    if path == Path::new("-") {
        std::io::stdin().lock().take(MAX_SECRET_BYTES).read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(MAX_SECRET_BYTES).read_to_string(&mut text))
    }
    .map_err(|e| Failure::io(&format!("reading the {what} from"), path, &e))?;
    Ok(Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned()))
}

/// A passphrase in a file, which is never empty.
fn read_passphrase(path: &Path, what: &str) -> Result<Zeroizing<String>, Failure> {
    let secret = read(path, what)?;
    if secret.is_empty() {
        let message = format!("the {what} in {} is empty", path.display());
        return Err(empty(&message, "put it into the file, or leave the option out"));
    }
    Ok(secret)
}

/// Fails if a variable is there that is to hold a new passphrase, and holds nothing: whoever set it believes the profile
/// protected. For opening a profile, an empty variable is as good as none.
pub(crate) fn not_set_empty(variable: &str) -> Result<(), Failure> {
    if std::env::var_os(variable).is_some_and(|value| value.is_empty()) {
        return Err(empty(
            &format!("{variable} is set, but empty, and there are no empty passphrases"),
            &format!("set it to a passphrase, or unset {variable} to do without one"),
        ));
    }
    Ok(())
}

fn empty(what: &str, hint: &str) -> Failure {
    Failure::usage("empty_passphrase", what, hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_passphrase_is_none_and_said_to_be() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("secret");
        for text in ["", "\n", "\r\n\n"] {
            std::fs::write(&file, text).unwrap();
            let failure = read_passphrase(&file, "passphrase").unwrap_err();
            assert_eq!(failure.kind, "empty_passphrase", "{text:?}");
            assert!(
                failure.message.contains("the passphrase in") && failure.message.contains("is empty"),
                "{}",
                failure.message
            );
        }
        std::fs::write(&file, " a b \n").unwrap();
        assert_eq!(*read_passphrase(&file, "passphrase").unwrap(), " a b ");
    }
}
