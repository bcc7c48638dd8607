//! Whom a text means: an account id, a name, or several people who have it.

use conclave_crypto::{AccountId, IdPrefix, InvalidAccountId};
use rusqlite::Connection;

use super::contacts::{CONTACT_COLUMNS, contact, list};
use super::{ClientStore, Contact, MAX_PAGE, StoreError, page};

/// How many names an error offers.
const MAX_CANDIDATES: usize = 10;

/// Why a text names nobody to write to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecipientError {
    /// It looks like an account id and is none.
    #[error("{0}")]
    NotAnAccountId(#[from] InvalidAccountId),
    /// An id, but not of an account.
    #[error("this is an id of another kind (it begins with {prefix:02x}); account ids begin with 05")]
    NotAnAccount {
        /// Its first byte.
        prefix: u8,
    },
    /// No contact one has written to has this name.
    #[error("no contact you have written to is called {name:?}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// Names there are.
        candidates: Vec<String>,
    },
    /// Somebody one wants nothing from has this name.
    #[error("you have blocked {}", .0.called())]
    Blocked(Candidate),
    /// Only people whose requests wait call themselves that. Anybody can, so they are not written to by that name.
    #[error("{name:?} is what somebody calls themself whose message request you have not accepted")]
    Request {
        /// What was asked for.
        name: String,
        /// Who they are.
        candidates: Vec<Candidate>,
    },
    /// Several contacts have this name.
    #[error("{} contacts are called {name:?}", candidates.len())]
    Ambiguous {
        /// What was asked for.
        name: String,
        /// Who they are.
        candidates: Vec<Candidate>,
    },
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// One of several people a name could mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Their account id.
    pub id: AccountId,
    /// What they call themselves.
    pub name: Option<String>,
    /// What we call them.
    pub nickname: Option<String>,
}

impl Candidate {
    fn of(contact: &Contact) -> Self {
        // What has lines could pass for one of an error.
        let one_line = |name: &String| name.replace(char::is_control, " ");
        Self {
            id: contact.id,
            name: contact.name.as_ref().map(one_line),
            nickname: contact.nickname.as_ref().map(one_line),
        }
    }

    fn called(&self) -> String {
        self.nickname.clone().or_else(|| self.name.clone()).unwrap_or_else(|| self.id.to_hex())
    }
}

impl std::fmt::Display for Candidate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let id = self.id.to_hex();
        match (&self.nickname, &self.name) {
            (Some(nickname), Some(name)) => write!(f, "{id} ({nickname}, who says {name})"),
            (Some(name), None) | (None, Some(name)) => write!(f, "{id} ({name})"),
            (None, None) => f.write_str(&id),
        }
    }
}

impl RecipientError {
    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NotAnAccountId(_) | Self::NotAnAccount { .. } => {
                "an account id has 66 hex digits and begins with 05; ask the other side for theirs".to_owned()
            }
            Self::Unknown { candidates, .. } if candidates.is_empty() => {
                "give the account id (66 hex digits, beginning with 05)".to_owned()
            }
            Self::Unknown { candidates, .. } => {
                format!("give the account id, or one of: {}", candidates.join(", "))
            }
            Self::Blocked(one) => format!("`conclave contact unblock {}` takes that back", one.id.to_hex()),
            Self::Request { candidates, .. } => {
                let ids: Vec<String> = candidates.iter().map(Candidate::to_string).collect();
                format!(
                    "`conclave contact accept ID` accepts it; make sure it is who you mean: {}",
                    ids.join(", ")
                )
            }
            Self::Ambiguous { candidates, .. } => {
                let ids: Vec<String> = candidates.iter().map(Candidate::to_string).collect();
                format!("give the account id of the one you mean: {}", ids.join(", "))
            }
            Self::Store(error) => return error.hint(),
        })
    }
}

impl ClientStore {
    /// Whom a text names: an account id, or the name of exactly one contact this account has
    /// written to. Anybody can call themselves anything, so strangers are never found by name, and
    /// our own names for contacts win over the names they give themselves.
    ///
    /// # Errors
    /// [`RecipientError`] says what is wrong and offers what there is.
    pub fn resolve_recipient(&self, text: &str) -> Result<AccountId, RecipientError> {
        let contacts = self.read("read the contacts", |connection| Ok(list(connection, MAX_PAGE, false)?))?;
        let found = named(text.trim(), &contacts);
        if let Ok(id) = &found
            && let Some(blocked) = self.contact(id)?.filter(|contact| contact.blocked)
        {
            return Err(RecipientError::Blocked(Candidate::of(&blocked)));
        }
        if !matches!(found, Err(RecipientError::Unknown { .. })) {
            return found;
        }
        let blocked = self.read("read the contacts", |connection| Ok(list(connection, MAX_PAGE, true)?))?;
        match named(text.trim(), &blocked) {
            Ok(id) => Err(match blocked.iter().find(|one| one.id == id) {
                Some(one) => RecipientError::Blocked(Candidate::of(one)),
                None => return Ok(id),
            }),
            Err(RecipientError::Unknown { .. }) => self.or_request(text.trim(), found),
            Err(other) => Err(other),
        }
    }

    /// What was found, or, if nobody was, that a stranger calls themself that.
    fn or_request(
        &self,
        text: &str,
        found: Result<AccountId, RecipientError>,
    ) -> Result<AccountId, RecipientError> {
        if !matches!(found, Err(RecipientError::Unknown { .. })) {
            return found;
        }
        let strangers = self.read("read the requests", |connection| Ok(requests(connection)?))?;
        let wanted = text.to_lowercase();
        let called = |one: &&Contact| one.name.as_ref().is_some_and(|name| name.to_lowercase() == wanted);
        let candidates: Vec<_> =
            strangers.iter().filter(called).take(MAX_CANDIDATES).map(Candidate::of).collect();
        if candidates.is_empty() {
            return found;
        }
        Err(RecipientError::Request { name: text.to_owned(), candidates })
    }

    /// As [`Self::resolve_recipient`], and also those one has blocked.
    ///
    /// # Errors
    /// As there.
    pub fn resolve_contact(&self, text: &str) -> Result<AccountId, RecipientError> {
        let contacts = self.read("read the contacts", |connection| {
            let mut contacts = list(connection, MAX_PAGE, false)?;
            contacts.extend(list(connection, MAX_PAGE, true)?);
            Ok(contacts)
        })?;
        self.or_request(text.trim(), named(text.trim(), &contacts))
    }
}

/// The account id that a text is, or that of the contact it names.
fn named(text: &str, contacts: &[Contact]) -> Result<AccountId, RecipientError> {
    if looks_like_an_id(text) {
        let id = AccountId::from_hex(text)?;
        if id.prefix() != IdPrefix::Account {
            return Err(RecipientError::NotAnAccount { prefix: id.prefix().to_byte() });
        }
        id.x25519().map_err(InvalidAccountId::from)?;
        return Ok(id);
    }
    let wanted = text.to_lowercase();
    let called = |name: fn(&Contact) -> Option<&String>| -> Vec<&Contact> {
        contacts.iter().filter(|one| name(one).is_some_and(|name| name.to_lowercase() == wanted)).collect()
    };
    let mut found = called(|one| one.nickname.as_ref());
    if found.is_empty() {
        found = called(|one| one.name.as_ref());
    }
    match found.as_slice() {
        [one] => Ok(one.id),
        [] => {
            let mut candidates: Vec<String> = Vec::new();
            for name in contacts.iter().filter_map(|one| one.nickname.as_ref().or(one.name.as_ref())) {
                if candidates.len() < MAX_CANDIDATES && !candidates.contains(name) {
                    candidates.push(name.clone());
                }
            }
            Err(RecipientError::Unknown { name: text.to_owned(), candidates })
        }
        _ => {
            let candidates = found.into_iter().take(MAX_CANDIDATES).map(Candidate::of).collect();
            Err(RecipientError::Ambiguous { name: text.to_owned(), candidates })
        }
    }
}

/// People whose requests wait, and who say what they are called; the newest word of them first.
fn requests(connection: &Connection) -> rusqlite::Result<Vec<Contact>> {
    connection
        .prepare_cached(&format!(
            "SELECT {CONTACT_COLUMNS} FROM contact
             WHERE NOT approved AND NOT blocked AND name IS NOT NULL
               AND NOT EXISTS (SELECT 1 FROM account WHERE account.id = contact.id)
             ORDER BY named_at DESC LIMIT ?1"
        ))?
        .query_map([page(MAX_PAGE)], contact)?
        .collect()
}

/// Nobody is called that: long, and nothing but hex digits (or nearly an id).
pub(super) fn looks_like_an_id(text: &str) -> bool {
    const SHORTEST: usize = 40;
    let digits = text.bytes().filter(u8::is_ascii_hexdigit).count();
    text.len() >= SHORTEST && digits * 10 >= text.len() * 9
}
