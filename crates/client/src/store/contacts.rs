//! The people of an account.

use conclave_confsync::{AccountDocuments, Contact as Shared, Picture};
use conclave_crypto::AccountId;
use conclave_proto::content::Expiration;
use conclave_proto::{Namespace, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, Row, Transaction};

use super::error::Failure;
use super::recipients::looks_like_an_id;
use super::work::{self, Changes, Work};
use super::{
    ClientStore, Contact, FUTURE_TOLERANCE, MAX_PAGE, StoreError, account_id, chats, millis, page, timestamp,
};
use crate::said::{HeardProfile, Timer};
use crate::types::MessageId;
use crate::visible::visible_name;

/// The longest name kept, in bytes of UTF-8 (client-messages 1.4).
pub const MAX_NAME_BYTES: usize = 100;

impl ClientStore {
    /// A contact by account id.
    ///
    /// # Errors
    /// What the disk says.
    pub fn contact(&self, id: &AccountId) -> Result<Option<Contact>, StoreError> {
        self.read("read a contact", |connection| Ok(find(connection, id)?))
    }

    /// The contacts one has written to or accepted, by name; at most `limit` or [`MAX_PAGE`]. With `blocked`, those that are
    /// blocked instead.
    ///
    /// # Errors
    /// What the disk says.
    pub fn contacts(&self, limit: usize, blocked: bool) -> Result<Vec<Contact>, StoreError> {
        self.read("read the contacts", |connection| Ok(list(connection, limit, blocked)?))
    }

    /// Gives a contact a name of our own, or takes it away. On all devices.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`] above [`MAX_NAME_BYTES`], [`StoreError::NotAllowed`] for a name that cannot be seen or that could
    /// mean somebody else, or what the disk says.
    pub fn set_nickname(
        &self,
        id: &AccountId,
        nickname: Option<&str>,
        now: Timestamp,
    ) -> Result<Changes, StoreError> {
        let nickname = nickname.map(nickname_of).transpose()?;
        self.work("store a nickname", now, |work| {
            work.is_another(id)?;
            work.edit_contact(id, |contact| contact.nickname = nickname.unwrap_or_default().to_owned())
        })
        .map(|((), changes)| changes)
    }

    /// Makes somebody a contact under a name of our own, approved as if we had written to them.
    ///
    /// # Errors
    /// As [`Self::set_nickname`].
    pub fn introduce(&self, id: &AccountId, nickname: &str, now: Timestamp) -> Result<Changes, StoreError> {
        let nickname = nickname_of(nickname)?;
        self.work("store a contact", now, |work| {
            work.is_another(id)?;
            work.edit_contact(id, |contact| {
                contact.nickname = nickname.to_owned();
                contact.approved = true;
            })
        })
        .map(|((), changes)| changes)
    }

    /// Wants nothing from somebody any more, or takes that back. On all devices.
    ///
    /// # Errors
    /// What the disk says.
    pub fn set_blocked(&self, id: &AccountId, blocked: bool, now: Timestamp) -> Result<Changes, StoreError> {
        self.work("block a contact", now, |work| {
            work.is_another(id)?;
            work.edit_contact(id, |contact| contact.blocked = blocked)
        })
        .map(|((), changes)| changes)
    }

    /// The conversation's place: below 0 hidden, 0 as it comes, above pinned, higher further up. On all devices.
    ///
    /// # Errors
    /// What the disk says.
    pub fn set_priority(
        &self,
        chat: &AccountId,
        priority: i32,
        now: Timestamp,
    ) -> Result<Changes, StoreError> {
        self.work("move a chat", now, |work| work.set_priority(chat, priority)).map(|((), changes)| changes)
    }

    /// Notifies nothing of a conversation until a time, or notifies again. On all devices.
    ///
    /// # Errors
    /// What the disk says.
    pub fn set_muted(
        &self,
        id: &AccountId,
        until: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Changes, StoreError> {
        self.work("mute a chat", now, |work| {
            work.is_another(id)?;
            work.edit_contact(id, |contact| contact.muted_until = until)
        })
        .map(|((), changes)| changes)
    }

    /// Erases a contact and the conversation with them, on all devices. What they write later comes as a request; what they
    /// wrote before does not come back (client-messages 7.4).
    ///
    /// # Errors
    /// What the disk says.
    pub fn remove_contact(&self, id: &AccountId, now: Timestamp) -> Result<Changes, StoreError> {
        let ((), changes) = self.work("erase a contact", now, |work| {
            work.is_another(id)?;
            if let Err(error) = work.documents.contacts.remove_contact(id) {
                return Err(StoreError::Bug(error.to_string()).into());
            }
            let conversation = conclave_confsync::ConversationId::Account(*id);
            if let Err(error) = work.documents.conversations.remove(&conversation) {
                return Err(StoreError::Bug(error.to_string()).into());
            }
            work.erase(id, now)
        })?;
        self.clear_journal();
        Ok(changes)
    }
}

/// A name of our own for somebody, without the blanks around it: one that can be seen, and that means nobody else.
fn nickname_of(nickname: &str) -> Result<&str, StoreError> {
    let nickname = nickname.trim();
    if nickname.len() > MAX_NAME_BYTES {
        let size = nickname.len();
        return Err(StoreError::TooLarge { what: "a nickname", size, limit: MAX_NAME_BYTES });
    }
    if !crate::is_visible(nickname) {
        return Err(StoreError::NotAllowed(
            "a nickname needs a visible character; no nickname at all takes it away",
        ));
    }
    if nickname.contains(char::is_control) {
        return Err(StoreError::NotAllowed("a nickname has one line, and no control characters"));
    }
    if nickname.eq_ignore_ascii_case("me") {
        return Err(StoreError::NotAllowed("nobody can be called \"me\": that means the notes to yourself"));
    }
    if looks_like_an_id(nickname) || MessageId::parse(&nickname.to_ascii_lowercase()).is_some() {
        return Err(StoreError::NotAllowed(
            "nobody can be called like an id: one could not be told from the other",
        ));
    }
    Ok(nickname)
}

/// Requests that are shared with other devices. A stranger can make ids without end; what is beyond this stays on the
/// devices that received it.
const MAX_SHARED_REQUESTS: i64 = 200;

/// A message stored this long before the newest word of another device about the contacts is older than that word: that
/// device had time to see it (client-messages 7.3).
const GUARD: std::time::Duration = std::time::Duration::from_secs(120);

/// What a message may do to its conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Everything.
    Fresh,
    /// Be shown; what other devices have decided since stays.
    Old,
    /// Nothing: the conversation was erased or hidden after it.
    Outdated,
}

impl Work<'_> {
    /// What a message that was stored at `stored_at` may do to the conversation with `id` (client-messages 7.3, 7.4).
    pub(super) fn standing(&self, id: &AccountId, stored_at: Timestamp) -> Result<Standing, Failure> {
        if *id == self.own {
            return Ok(Standing::Fresh);
        }
        let told = work::foreign_at(self.tx, Namespace::CONTACTS)?;
        let old = stored_at < told.minus(GUARD);
        let row: Option<(bool, i64, i32)> = self
            .tx
            .prepare_cached("SELECT known, erased_at, priority FROM contact WHERE id = ?1")?
            .query_row([id.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .optional()?;
        Ok(match row {
            Some((true, _, priority)) if old && priority < 0 => Standing::Outdated,
            Some((true, ..)) if old => Standing::Old,
            Some((true, ..)) => Standing::Fresh,
            // Erased on this device, or seen to be erased on another: that time counts.
            Some((false, erased_at, _)) if erased_at > 0 => {
                if stored_at <= timestamp(erased_at) {
                    Standing::Outdated
                } else {
                    Standing::Fresh
                }
            }
            _ if old => Standing::Outdated,
            _ => Standing::Fresh,
        })
    }

    /// What the documents, or else the tables, say of a contact.
    pub(super) fn contact(&self, id: &AccountId) -> Result<Shared, Failure> {
        if let Some(shared) = self.documents.contacts.contact(id) {
            return Ok(shared);
        }
        // A request beyond those that are shared.
        let local = find(self.tx, id)?;
        Ok(local.map_or_else(Shared::default, |local| Shared {
            name: local.name.unwrap_or_default(),
            approved_me: local.approved_me,
            ..Shared::default()
        }))
    }

    /// Nobody is a contact of their own: the account's notes are no contact's.
    pub(super) fn is_another(&self, id: &AccountId) -> Result<(), Failure> {
        if *id == self.own {
            return Err(StoreError::NotAllowed("this is your own account, not a contact").into());
        }
        Ok(())
    }

    /// Changes what the account's devices know of a contact, who is added if need be.
    pub(super) fn edit_contact(
        &mut self,
        id: &AccountId,
        change: impl FnOnce(&mut Shared),
    ) -> Result<(), Failure> {
        let before = self.contact(id)?;
        let mut contact = before.clone();
        change(&mut contact);
        contact.name.truncate(bounded(&contact.name).len());
        let known = self.documents.contacts.contact(id).is_some();
        if known && contact == before {
            return Ok(());
        }
        if !known {
            contact.created = Some(self.now);
        }
        let request = !contact.approved && !contact.blocked && contact.nickname.is_empty();
        let mut shared = known || !request || self.shared_requests()? < MAX_SHARED_REQUESTS;
        if shared {
            match self.documents.contacts.set_contact(id, &contact) {
                // As the document keeps it: it knows no milliseconds, for instance.
                Ok(_) => contact = self.documents.contacts.contact(id).unwrap_or(contact),
                Err(error) => {
                    // The tables know it at least; the document can take nothing any more.
                    tracing::warn!(%error, "a contact cannot be shared with other devices");
                    shared = known;
                }
            }
        }
        project(self.tx, id, &contact, shared)?;
        self.changes.chats.insert(*id);
        if opens(before.approved, before.priority, &contact) {
            self.revive(id)?;
        }
        Ok(())
    }

    fn shared_requests(&self) -> Result<i64, Failure> {
        Ok(self
            .tx
            .prepare_cached(
                "SELECT count(*) FROM contact WHERE known = 1 AND approved = 0 AND blocked = 0 AND id <> ?1",
            )?
            .query_row([self.own.as_bytes()], |row| row.get(0))?)
    }

    /// They wrote to us: they want messages from us, and may have said what they are called (client-messages 4.7, 4.14).
    /// `sent_at` decides between messages that do not say when the profile was set.
    pub(super) fn meet(
        &mut self,
        id: &AccountId,
        profile: Option<&HeardProfile>,
        sent_at: Timestamp,
        fresh: bool,
    ) -> Result<(), Failure> {
        let named_at: Option<i64> = self
            .tx
            .prepare_cached("SELECT named_at FROM contact WHERE id = ?1")?
            .query_row([id.as_bytes()], |row| row.get(0))
            .optional()?;
        let newer = millis(sent_at) >= named_at.unwrap_or(0);
        let now = self.now;
        let mut taken = false;
        let contact = self.contact(id)?;
        let mut changed = contact.clone();
        if fresh {
            changed.approved_me = true;
        }
        if let Some(profile) = profile {
            let latest = now.plus(FUTURE_TOLERANCE).0 / 1_000;
            // Nor could one whose time another program has put into the document.
            let stored = changed.profile_updated.map_or(0, |at| at.0 / 1_000);
            let stored = if stored > latest { 0 } else { stored };
            // A profile of the far future could never be replaced. Somewhat ahead are those of other clocks, and those that were
            // changed twice within a second.
            let updated = profile.updated.min(latest);
            if updated > stored || (updated == 0 && stored == 0 && newer) {
                taken = true;
                if let Some(name) = &profile.name {
                    changed.name = bounded(name.trim()).to_owned();
                }
                if let Some(picture) = &profile.picture {
                    changed.picture = picture.as_ref().and_then(|(url, key)| {
                        let key = <[u8; 32]>::try_from(key.as_slice()).ok()?;
                        let fits = url.len() <= conclave_confsync::MAX_PICTURE_URL;
                        fits.then(|| Picture { url: url.clone(), key })
                    });
                }
                // Nor is it news each time.
                let again = updated < profile.updated
                    && (&changed.name, &changed.picture) == (&contact.name, &contact.picture);
                if updated > 0 && !again {
                    changed.profile_updated = Some(Timestamp(updated.saturating_mul(1_000)));
                }
            }
        }
        let known = self.documents.contacts.contact(id).is_some();
        if changed != contact || (!known && named_at.is_none()) {
            self.edit_contact(id, |contact| *contact = changed)?;
        }
        if taken {
            self.tx
                .prepare_cached("UPDATE contact SET named_at = max(named_at, ?2) WHERE id = ?1")?
                .execute((id.as_bytes(), millis(sent_at)))?;
        }
        Ok(())
    }

    /// We write to them, or accept them.
    pub(super) fn approve(&mut self, id: &AccountId) -> Result<(), Failure> {
        self.edit_contact(id, |contact| contact.approved = true)
    }

    /// Hidden no more, because of a message.
    pub(super) fn unhide(&mut self, id: &AccountId) -> Result<(), Failure> {
        if *id == self.own {
            if self.documents.profile.note_to_self_priority() < 0 {
                self.set_priority(id, 0)?;
            }
            return Ok(());
        }
        if self.documents.contacts.contact(id).is_some_and(|contact| contact.priority < 0) {
            self.set_priority(id, 0)?;
        }
        Ok(())
    }

    /// The conversation's place.
    pub(super) fn set_priority(&mut self, chat: &AccountId, priority: i32) -> Result<(), Failure> {
        if *chat != self.own {
            return self.edit_contact(chat, |contact| contact.priority = priority);
        }
        self.documents
            .profile
            .set_note_to_self_priority(priority)
            .map_err(|error| StoreError::Bug(error.to_string()))?;
        self.changes.chats.insert(self.own);
        self.project_profile()
    }

    /// How messages of a chat disappear from now on.
    pub(super) fn set_timer(&mut self, chat: &AccountId, timer: Timer) -> Result<(), Failure> {
        if *chat != self.own {
            return self.edit_contact(chat, |contact| contact.expiration = timer.into());
        }
        let seconds = match timer {
            Timer::Off => 0,
            Timer::AfterRead(seconds) | Timer::AfterSend(seconds) => seconds,
        };
        self.documents
            .profile
            .set_note_to_self_timer(seconds)
            .map_err(|error| StoreError::Bug(error.to_string()))?;
        self.changes.chats.insert(self.own);
        self.project_profile()
    }

    /// How messages of a chat disappear.
    pub(super) fn timer(&self, chat: &AccountId) -> Timer {
        if *chat == self.own {
            return match self.documents.profile.note_to_self_timer() {
                0 => Timer::Off,
                seconds => Timer::AfterSend(seconds),
            };
        }
        self.documents.contacts.contact(chat).map_or(Timer::Off, |contact| contact.expiration.into())
    }

    /// What the profile document says, into the tables.
    pub(super) fn project_profile(&mut self) -> Result<(), Failure> {
        let profile = &self.documents.profile;
        let name = profile.name();
        if !name.is_empty() {
            let renamed =
                self.tx.prepare_cached("UPDATE account SET name = ?1 WHERE name <> ?1")?.execute([&name])?;
            self.changes.profile |= renamed > 0;
        }
        // Whoever fetches pictures looks at what is different.
        self.changes.profile |= super::pictures::own(self.tx, &self.own)? != profile.picture();
        let shared = Shared {
            priority: profile.note_to_self_priority(),
            expiration: match profile.note_to_self_timer() {
                0 => Expiration::Off,
                seconds => Expiration::AfterSend(seconds),
            },
            approved: true,
            approved_me: true,
            ..Shared::default()
        };
        let own = self.own;
        if project(self.tx, &own, &shared, true)? {
            self.changes.chats.insert(own);
        }
        Ok(())
    }

    /// What the contacts document says, into the tables; after a merge.
    pub(super) fn project_contacts(&mut self) -> Result<(), Failure> {
        let mut gone: std::collections::BTreeSet<AccountId> = self
            .tx
            .prepare_cached("SELECT id FROM contact WHERE known = 1 AND id <> ?1")?
            .query_map([self.own.as_bytes()], |row| account_id(row, "id"))?
            .collect::<Result<_, _>>()?;
        let shared: Vec<(AccountId, Shared)> =
            self.documents.contacts.contacts().filter(|(id, _)| *id != self.own).collect();
        for (id, contact) in &shared {
            let known = gone.remove(id);
            if !known && self.is_left_over(id, contact)? {
                if let Err(error) = self.documents.contacts.remove_contact(id) {
                    tracing::warn!(%error, "a contact cannot be erased on other devices");
                }
                continue;
            }
            let before = find(self.tx, id)?.filter(|_| known);
            if project(self.tx, id, contact, true)? {
                self.changes.chats.insert(*id);
            }
            if before.is_none_or(|before| opens(before.approved, before.priority, contact)) {
                self.revive(id)?;
            }
        }
        // Another device has erased them.
        let at = work::foreign_at(self.tx, Namespace::CONTACTS)?;
        for id in gone {
            self.erase(&id, at)?;
        }
        Ok(())
    }

    /// The contacts that no other device can know of yet: wanted here, and made since this device last stored the document or
    /// heard of it. Mere requests are not among them: other devices have those from where this one has them.
    pub(super) fn contacts_made_here(&self) -> Result<Vec<(AccountId, Shared)>, Failure> {
        let stored_at: Option<i64> = self
            .tx
            .prepare_cached("SELECT stored_at FROM document WHERE namespace = ?1")?
            .query_row([Namespace::CONTACTS.0], |row| row.get(0))
            .optional()?;
        let known_at = timestamp(stored_at.unwrap_or(0)).max(work::foreign_at(self.tx, Namespace::CONTACTS)?);
        // The document has whole seconds.
        let is_new = |contact: &Shared| contact.created.is_some_and(|at| at.0 / 1_000 >= known_at.0 / 1_000);
        let is_wanted =
            |contact: &Shared| contact.approved || contact.blocked || !contact.nickname.is_empty();
        let contacts = self.documents.contacts.contacts();
        Ok(contacts.filter(|(_, contact)| is_new(contact) && is_wanted(contact)).collect())
    }

    /// Contacts that fell out of the document because this device was away for long, not because anybody erased them.
    pub(super) fn put_back(&mut self, contacts: Vec<(AccountId, Shared)>) {
        for (id, contact) in contacts {
            if self.documents.contacts.contact(&id).is_none()
                && let Err(error) = self.documents.contacts.set_contact(&id, &contact)
            {
                tracing::warn!(%error, "a contact cannot be shared with other devices");
            }
        }
    }

    /// Whether a contact that another device brings is only a request that this device has erased meanwhile. What came and
    /// went here between two pushes left no trace in the document, so the other device could not know.
    fn is_left_over(&self, id: &AccountId, contact: &Shared) -> Result<bool, Failure> {
        if contact.approved || contact.blocked || !contact.nickname.is_empty() {
            return Ok(false);
        }
        let created = contact.created.unwrap_or_default();
        Ok(self
            .tx
            .prepare_cached("SELECT 1 FROM contact WHERE id = ?1 AND erased_at > 0 AND erased_at >= ?2")?
            .exists((id.as_bytes(), millis(created)))?)
    }

    /// Erases what is known of a contact and the conversation here, as of `at`.
    fn erase(&mut self, id: &AccountId, at: Timestamp) -> Result<(), Failure> {
        chats::erase(self, id)?;
        // What waited for them to be heard is part of what is erased.
        self.tx
            .prepare_cached("DELETE FROM set_aside WHERE chat = ?1 AND stored_at <= ?2")?
            .execute((id.as_bytes(), millis(at)))?;
        self.tx
            .prepare_cached(
                "UPDATE contact SET known = 0, erased_at = ?2, approved = 0, approved_me = 0, blocked = 0,
                        nickname = NULL, name = NULL, named_at = 0, priority = 0, expire_kind = 0,
                        expire_seconds = 0, muted_until = 0, profile_at = 0, picture_url = NULL,
                        picture_key = NULL
                 WHERE id = ?1",
            )?
            .execute((id.as_bytes(), millis(at)))?;
        self.changes.chats.insert(*id);
        Ok(())
    }
}

/// Whether a contact is now one whose messages are heard that were not heard before: approved, or hidden no more.
const fn opens(approved_before: bool, priority_before: i32, now: &Shared) -> bool {
    (now.approved && !approved_before) || (now.priority >= 0 && priority_before < 0)
}

/// Puts those we have written to, by a version before the documents, into the document.
pub(super) fn adopt(tx: &Transaction<'_>, documents: &mut AccountDocuments) -> Result<(), Failure> {
    for contact in list(tx, MAX_PAGE, false)? {
        let shared = Shared {
            name: contact.name.unwrap_or_default(),
            nickname: contact.nickname.unwrap_or_default(),
            approved: true,
            ..Shared::default()
        };
        if let Err(error) = documents.contacts.set_contact(&contact.id, &shared) {
            tracing::warn!(%error, "a contact cannot be shared with other devices");
            continue;
        }
        tx.execute("UPDATE contact SET known = 1 WHERE id = ?1", [contact.id.as_bytes()])?;
    }
    Ok(())
}

/// Writes a contact into its row; whether that changed something.
fn project(tx: &Transaction<'_>, id: &AccountId, contact: &Shared, known: bool) -> Result<bool, Failure> {
    let (expire_kind, expire_seconds) = timer_columns(contact.expiration.into());
    let changed = tx
        .prepare_cached(
            "INSERT INTO contact (id, known, name, nickname, approved, approved_me, blocked, priority, expire_kind,
                                  expire_seconds, muted_until, profile_at, picture_url, picture_key)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)
             ON CONFLICT DO UPDATE SET known = excluded.known, name = excluded.name, nickname = excluded.nickname,
                    approved = excluded.approved, approved_me = excluded.approved_me, blocked = excluded.blocked,
                    priority = excluded.priority, expire_kind = excluded.expire_kind,
                    expire_seconds = excluded.expire_seconds, muted_until = excluded.muted_until,
                    profile_at = excluded.profile_at, picture_url = excluded.picture_url,
                    picture_key = excluded.picture_key, erased_at = 0
             WHERE (contact.known, contact.name, contact.nickname, contact.approved, contact.approved_me,
                    contact.blocked, contact.priority, contact.expire_kind, contact.expire_seconds,
                    contact.muted_until, contact.profile_at, contact.picture_url, contact.picture_key)
                   IS NOT (excluded.known, excluded.name, excluded.nickname, excluded.approved,
                    excluded.approved_me, excluded.blocked, excluded.priority, excluded.expire_kind,
                    excluded.expire_seconds, excluded.muted_until, excluded.profile_at, excluded.picture_url,
                    excluded.picture_key)",
        )?
        .execute((
            id.as_bytes(),
            known,
            Some(&contact.name).filter(|name| !name.is_empty()),
            Some(&contact.nickname).filter(|name| !name.is_empty()),
            contact.approved,
            contact.approved_me,
            contact.blocked,
            contact.priority,
            expire_kind,
            expire_seconds,
            contact.muted_until.map_or(0, millis),
            contact.profile_updated.map_or(0, millis),
            contact.picture.as_ref().map(|picture| &picture.url),
            contact.picture.as_ref().map(|picture| picture.key.as_slice()),
        ))?;
    Ok(changed > 0)
}

/// A timer as the tables keep it.
pub(super) const fn timer_columns(timer: Timer) -> (i64, u32) {
    match timer {
        Timer::Off => (0, 0),
        Timer::AfterRead(seconds) => (1, seconds),
        Timer::AfterSend(seconds) => (2, seconds),
    }
}

/// A timer out of its columns.
pub(super) const fn timer_of(kind: i64, seconds: u32) -> Timer {
    match (kind, seconds) {
        (_, 0) => Timer::Off,
        (1, seconds) => Timer::AfterRead(seconds),
        (2, seconds) => Timer::AfterSend(seconds),
        _ => Timer::Off,
    }
}

/// The name, cut at a character boundary to [`MAX_NAME_BYTES`].
fn bounded(name: &str) -> &str {
    let mut end = name.len().min(MAX_NAME_BYTES);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    name.get(..end).unwrap_or_default()
}

pub(super) const CONTACT_COLUMNS: &str =
    "id, name, nickname, approved, approved_me, blocked, priority, expire_kind,
    expire_seconds, muted_until,
    (SELECT substr(blob, 1, 16) FROM picture WHERE picture.account = contact.id) AS picture";

/// A contact's row.
pub(super) fn find(connection: &Connection, id: &AccountId) -> rusqlite::Result<Option<Contact>> {
    connection
        .prepare_cached(&format!("SELECT {CONTACT_COLUMNS} FROM contact WHERE id = ?1"))?
        .query_row([id.as_bytes()], contact)
        .optional()
}

pub(super) fn list(connection: &Connection, limit: usize, blocked: bool) -> rusqlite::Result<Vec<Contact>> {
    connection
        .prepare_cached(&format!(
            "SELECT {CONTACT_COLUMNS} FROM contact
             WHERE (CASE WHEN ?2 THEN blocked ELSE approved AND NOT blocked END)
               AND NOT EXISTS (SELECT 1 FROM account WHERE account.id = contact.id)
             ORDER BY coalesce(nickname, name) IS NULL, coalesce(nickname, name), id LIMIT ?1"
        ))?
        .query_map((page(limit), blocked), contact)?
        .collect()
}

pub(super) fn contact(row: &Row<'_>) -> rusqlite::Result<Contact> {
    let muted_until: i64 = row.get("muted_until")?;
    Ok(Contact {
        id: account_id(row, "id")?,
        name: visible_name(row.get_ref("name")?.as_str_or_null()?),
        nickname: visible_name(row.get_ref("nickname")?.as_str_or_null()?),
        approved: row.get("approved")?,
        approved_me: row.get("approved_me")?,
        blocked: row.get("blocked")?,
        priority: row.get("priority")?,
        timer: timer_of(row.get("expire_kind")?, row.get("expire_seconds")?),
        muted_until: (muted_until > 0).then(|| timestamp(muted_until)),
        picture: row.get("picture")?,
    })
}
