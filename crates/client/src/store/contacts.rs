//! The people of an account, and how they are found by name.

use conclave_crypto::{AccountId, IdPrefix, InvalidAccountId};
use conclave_proto::Timestamp;
use rusqlite::{OptionalExtension as _, Row, Transaction};

use super::error::Failure;
use super::{ClientStore, Contact, MAX_PAGE, StoreError, account_id, millis, page};

/// The longest name kept, in bytes of UTF-8 (client-messages 1.4).
pub const MAX_NAME_BYTES: usize = 100;

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
    /// Several contacts have this name.
    #[error("{} contacts are called {name:?}", candidates.len())]
    Ambiguous {
        /// What was asked for.
        name: String,
        /// Their account ids.
        candidates: Vec<AccountId>,
    },
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
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
            Self::Ambiguous { candidates, .. } => {
                let ids: Vec<String> = candidates.iter().map(AccountId::to_hex).collect();
                format!("give the account id of the one you mean: {}", ids.join(", "))
            }
            Self::Store(error) => return error.hint(),
        })
    }
}

impl ClientStore {
    /// A contact by account id.
    ///
    /// # Errors
    /// What the disk says.
    pub fn contact(&self, id: &AccountId) -> Result<Option<Contact>, StoreError> {
        self.read("read a contact", |connection| {
            Ok(connection
                .prepare_cached("SELECT id, name, nickname, approved FROM contact WHERE id = ?1")?
                .query_row([id.as_bytes()], contact)
                .optional()?)
        })
    }

    /// The contacts one has written to, by name; at most `limit` or [`MAX_PAGE`].
    ///
    /// # Errors
    /// What the disk says.
    pub fn contacts(&self, limit: usize) -> Result<Vec<Contact>, StoreError> {
        self.read("read the contacts", |connection| Ok(approved(connection, limit)?))
    }

    /// Gives a contact a name of our own, or takes it away.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`] above [`MAX_NAME_BYTES`], or what the disk says.
    pub fn set_nickname(&self, id: &AccountId, nickname: Option<&str>) -> Result<(), StoreError> {
        if let Some(size) = nickname.map(str::len).filter(|size| *size > MAX_NAME_BYTES) {
            return Err(StoreError::TooLarge { what: "a nickname", size, limit: MAX_NAME_BYTES });
        }
        self.write("store a nickname", |tx| {
            tx.execute(
                "INSERT INTO contact (id, nickname) VALUES (?1, ?2)
                 ON CONFLICT DO UPDATE SET nickname = excluded.nickname",
                (id.as_bytes(), nickname),
            )?;
            Ok(())
        })
    }

    /// Makes somebody a contact under a name of our own, approved as if we had written to them.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`] above [`MAX_NAME_BYTES`], or what the disk says.
    pub fn introduce(&self, id: &AccountId, nickname: &str) -> Result<(), StoreError> {
        self.set_nickname(id, Some(nickname))?;
        self.write("store a contact", |tx| approve(tx, id))
    }

    /// Whom a text names: an account id, or the name of exactly one contact this account has
    /// written to. Anybody can call themselves anything, so strangers are never found by name, and
    /// our own names for contacts win over the names they give themselves.
    ///
    /// # Errors
    /// [`RecipientError`] says what is wrong and offers what there is.
    pub fn resolve_recipient(&self, text: &str) -> Result<AccountId, RecipientError> {
        let text = text.trim();
        if looks_like_an_id(text) {
            let id = AccountId::from_hex(text)?;
            if id.prefix() != IdPrefix::Account {
                return Err(RecipientError::NotAnAccount { prefix: id.prefix().to_byte() });
            }
            id.x25519().map_err(InvalidAccountId::from)?;
            return Ok(id);
        }
        let contacts = self.read("read the contacts", |connection| Ok(approved(connection, MAX_PAGE)?))?;
        let wanted = text.to_lowercase();
        let named = |name: fn(&Contact) -> Option<&String>| -> Vec<AccountId> {
            contacts
                .iter()
                .filter(|one| name(one).is_some_and(|name| name.to_lowercase() == wanted))
                .map(|one| one.id)
                .collect()
        };
        let mut found = named(|one| one.nickname.as_ref());
        if found.is_empty() {
            found = named(|one| one.name.as_ref());
        }
        match found.as_slice() {
            [one] => Ok(*one),
            [] => Err(RecipientError::Unknown {
                name: text.to_owned(),
                candidates: contacts
                    .iter()
                    .filter_map(|one| one.nickname.clone().or_else(|| one.name.clone()))
                    .take(MAX_CANDIDATES)
                    .collect(),
            }),
            _ => {
                found.truncate(MAX_CANDIDATES);
                Err(RecipientError::Ambiguous { name: text.to_owned(), candidates: found })
            }
        }
    }
}

/// We write to them.
pub(super) fn approve(tx: &Transaction<'_>, id: &AccountId) -> Result<(), Failure> {
    tx.prepare_cached(
        "INSERT INTO contact (id, approved) VALUES (?1, 1) ON CONFLICT DO UPDATE SET approved = 1",
    )?
    .execute([id.as_bytes()])?;
    Ok(())
}

/// They wrote to us, and may have said what they are called. The newest message decides.
pub(super) fn meet(
    tx: &Transaction<'_>,
    id: &AccountId,
    name: Option<&str>,
    sent_at: Timestamp,
) -> Result<(), Failure> {
    tx.prepare_cached("INSERT INTO contact (id) VALUES (?1) ON CONFLICT DO NOTHING")?
        .execute([id.as_bytes()])?;
    if let Some(name) = name.map(|name| bounded(name.trim())).filter(|name| !name.is_empty()) {
        tx.prepare_cached("UPDATE contact SET name = ?2, named_at = ?3 WHERE id = ?1 AND named_at <= ?3")?
            .execute((id.as_bytes(), name, millis(sent_at)))?;
    }
    Ok(())
}

/// The name, cut at a character boundary to [`MAX_NAME_BYTES`].
fn bounded(name: &str) -> &str {
    let mut end = name.len().min(MAX_NAME_BYTES);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    name.get(..end).unwrap_or_default()
}

fn approved(connection: &rusqlite::Connection, limit: usize) -> rusqlite::Result<Vec<Contact>> {
    connection
        .prepare_cached(
            "SELECT id, name, nickname, approved FROM contact WHERE approved = 1
             ORDER BY coalesce(nickname, name) IS NULL, coalesce(nickname, name), id LIMIT ?1",
        )?
        .query_map([page(limit)], contact)?
        .collect()
}

fn contact(row: &Row<'_>) -> rusqlite::Result<Contact> {
    Ok(Contact {
        id: account_id(row, "id")?,
        name: row.get("name")?,
        nickname: row.get("nickname")?,
        approved: row.get("approved")?,
    })
}

/// Nobody is called that: long, and nothing but hex digits (or nearly an id).
fn looks_like_an_id(text: &str) -> bool {
    const SHORTEST: usize = 40;
    let digits = text.bytes().filter(u8::is_ascii_hexdigit).count();
    text.len() >= SHORTEST && digits * 10 >= text.len() * 9
}
