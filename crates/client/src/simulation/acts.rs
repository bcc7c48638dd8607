//! What people do: everything a client offers, at random, on any of their devices.

use conclave_crypto::AccountId;

use super::coverage::Kind;
use super::ledger::Message;
use super::world::{Outcome, Violation, World};
use crate::said::Timer;
use crate::store::{ClientStore, Deletion, MessageRow, OutgoingMessage, RowKind};

const EMOJI: [&str; 4] = ["❤️", "👍", "😂", "🦀"];

impl World {
    /// The device that somebody acts on, which asks for the time first; `None` if all are off.
    pub(super) fn somebody(&mut self) -> Result<Option<usize>, Violation> {
        let running = self.running();
        if running.is_empty() {
            return Ok(None);
        }
        let device = running[self.below(running.len())];
        self.acts += 1;
        self.asks_for_time(device)?;
        Ok(Some(device))
    }

    /// Somebody does something.
    pub(super) fn somebody_acts(&mut self) -> Outcome {
        let Some(device) = self.somebody()? else { return Ok(()) };
        let person = self.devices[device].person;
        let to = if self.chance(100) { person } else { self.below(self.people.len()) };
        let chat = *self.people[to].keys.id();
        match self.below(1_000) {
            0..380 => self.writes_to(device, to, false),
            380..440 => self.writes_to(device, to, true),
            440..520 => self.edits(device, &chat),
            520..590 => self.deletes(device, &chat),
            590..670 => self.reacts(device, &chat),
            670..770 => self.reads_chat(device, to),
            770..800 => self.types(device, &chat),
            800..830 => self.sets_timer(device, to),
            830..850 => self.changes_settings(device),
            850..865 => {
                let unread = self.chance(700);
                self.does_it(device, Kind::MarkedUnread, &chat, |store, chat, now| {
                    store.set_unread(chat, unread, now)
                })
            }
            865..890 => {
                let name = format!("nick{}", self.below(100));
                let name = Some(name).filter(|_| self.chance(800));
                self.does_it(device, Kind::Nickname, &chat, |store, chat, now| {
                    store.set_nickname(chat, name.as_deref(), now)
                })
            }
            890..905 => self.blocks(device, to),
            905..930 => {
                let priority = [-1, -1, 0, 1, 2][self.below(5)];
                let kind = if priority < 0 { Kind::Hidden } else { Kind::Pinned };
                self.does_it(device, kind, &chat, |store, chat, now| store.set_priority(chat, priority, now))
            }
            930..945 => {
                let until = self.true_time().plus(std::time::Duration::from_secs(3_600));
                let until = Some(until).filter(|_| self.chance(700));
                self.does_it(device, Kind::Muted, &chat, |store, chat, now| store.set_muted(chat, until, now))
            }
            945..960 => self.erases(device, to),
            960..980 => {
                self.does_it(device, Kind::Accepted, &chat, |store, chat, now| store.accept(chat, now))
            }
            980..990 => {
                let number = self.below(100);
                let name = format!("{} {number}", self.people[person].name);
                self.does_it(device, Kind::Renamed, &chat, |store, _, now| store.set_display_name(&name, now))
            }
            _ => {
                let Some(row) = self.some_row(device, &chat, |row| !row.outgoing)? else { return Ok(()) };
                self.does_it(device, Kind::Saved, &chat, |store, _, now| store.tell_saved(&row.id, now))
            }
        }
    }

    fn does_it(
        &mut self,
        device: usize,
        kind: Kind,
        chat: &AccountId,
        work: impl FnOnce(
            &ClientStore,
            &AccountId,
            conclave_proto::Timestamp,
        ) -> Result<crate::store::Changes, crate::store::StoreError>,
    ) -> Outcome {
        // With oneself much of this means nothing.
        let own = *chat == *self.people[self.devices[device].person].keys.id();
        if own && !matches!(kind, Kind::Hidden | Kind::Pinned | Kind::Renamed | Kind::MarkedUnread) {
            return Ok(());
        }
        if self.act(device, |store, now| work(store, chat, now))? {
            self.note(kind);
        }
        let whose = self.person_of(chat).map_or("nobody", |person| self.people[person].name);
        self.say(|world| format!("{}: {kind:?} with {whose}", world.name(device)));
        Ok(())
    }

    /// One of the newest messages of a chat.
    fn some_row(
        &mut self,
        device: usize,
        chat: &AccountId,
        fits: impl Fn(&MessageRow) -> bool,
    ) -> Outcome<Option<MessageRow>> {
        let rows = self.with_store(device, |store, _| store.history(chat, 15, None))?.unwrap_or_default();
        let mut rows: Vec<MessageRow> = rows.into_iter().filter(fits).collect();
        let at = self.below(rows.len());
        Ok((at < rows.len()).then(|| rows.swap_remove(at)))
    }

    pub(super) fn writes_to(&mut self, device: usize, to: usize, reply: bool) -> Outcome {
        let chat = *self.people[to].keys.id();
        let author = self.devices[device].person;
        let reply_to = if reply { self.some_row(device, &chat, |_| true)?.map(|row| row.id) } else { None };
        let word = format!("m{}", self.number());
        let outgoing = OutgoingMessage { reply_to, ..OutgoingMessage::text(chat, word.clone()) };
        // Whoever writes has read what came before.
        self.reads_up_to(device, &chat, None)?;
        let written = self.with_store(device, |store, now| store.enqueue(&outgoing, now))?;
        let Some((row, changes)) = written else { return Ok(()) };
        self.note(if outgoing.reply_to.is_some() { Kind::Reply } else { Kind::Text });
        if to == author {
            self.note(Kind::NoteToSelf);
        }
        let timed = row.timer != Timer::Off;
        if timed {
            self.note(Kind::TimedMessage);
        }
        self.say(|world| {
            let (who, whom) = (world.name(device), world.people[to].name);
            format!("{who} writes {word} ({}) to {whom} at {} {:?}", row.id, row.sent_at.0, row.timer)
        });
        let message = Message {
            word,
            author,
            to,
            sent_at: row.sent_at,
            timed,
            acknowledged: false,
            unsent: false,
            taken_off: Default::default(),
            uncertain: false,
        };
        self.ledger.written(row.id, message);
        self.tells(device, &changes)
    }

    fn edits(&mut self, device: usize, chat: &AccountId) -> Outcome {
        let found = self.some_row(device, chat, |row| row.outgoing && row.kind == RowKind::Post)?;
        let Some(row) = found else { return Ok(()) };
        let Some(word) = self.ledger.messages.get(&row.id).map(|message| message.word.clone()) else {
            return Ok(());
        };
        let text = format!("{word}.e{}", self.number());
        self.say(|world| format!("{} edits {word}: {text}", world.name(device)));
        if self.act(device, |store, now| store.edit(&row.id, &text, now))? {
            self.note(Kind::Edit);
        }
        Ok(())
    }

    fn deletes(&mut self, device: usize, chat: &AccountId) -> Outcome {
        let Some(row) = self.some_row(device, chat, |_| true)? else { return Ok(()) };
        let person = self.devices[device].person;
        let how = match self.below(10) {
            0..5 if row.outgoing => Deletion::Everywhere,
            0..8 => Deletion::MyDevices,
            _ => Deletion::ThisDevice,
        };
        self.say(|world| format!("{} deletes {:?} ({}): {how:?}", world.name(device), row.text, row.id));
        let done = self.act(device, |store, now| store.delete(&row.id, how, now))?;
        if done {
            self.note(match how {
                Deletion::Everywhere => Kind::Unsend,
                Deletion::MyDevices => Kind::DeletedOnMyDevices,
                Deletion::ThisDevice => Kind::DeletedHere,
            });
        }
        // What is killed meanwhile may have happened.
        let killed = self.devices[device].process.is_none();
        let base = self.ledger.of_text(&row.text).cloned().unwrap_or_else(|| row.id.clone());
        if done || killed {
            if row.kind == RowKind::Accepted
                && let Some(with) = self.person_of(chat)
            {
                self.ledger.acceptances_deleted.insert((person, with));
            }
            if let Some(message) = self.ledger.messages.get_mut(&base) {
                message.uncertain |= killed;
                match how {
                    Deletion::Everywhere if done => message.unsent = true,
                    Deletion::MyDevices if done => drop(message.taken_off.insert(person)),
                    _ => {}
                }
            }
            if how == Deletion::ThisDevice {
                self.devices[device].hidden.insert(row.id);
                self.devices[device].hidden.insert(base);
            }
        }
        Ok(())
    }

    fn reacts(&mut self, device: usize, chat: &AccountId) -> Outcome {
        let Some(row) = self.some_row(device, chat, |row| row.kind == RowKind::Post)? else { return Ok(()) };
        let own = *self.people[self.devices[device].person].keys.id();
        let mine = row.reactions.iter().find(|reaction| reaction.authors.contains(&own));
        let (emoji, remove) = match mine {
            Some(reaction) if self.chance(600) => (reaction.emoji.clone(), true),
            _ => (EMOJI[self.below(EMOJI.len())].to_owned(), false),
        };
        self.say(|world| format!("{} reacts to {:?}: {emoji} {remove}", world.name(device), row.text));
        let contact = self.with_store(device, |store, _| store.contact(chat))?.flatten();
        if contact.is_some_and(|contact| contact.timer != Timer::Off) {
            self.ledger.fleeting.insert(row.id.clone());
        }
        if self.act(device, |store, now| store.react(&row.id, &emoji, remove, now))? {
            self.note(if remove { Kind::ReactionTakenBack } else { Kind::Reaction });
        }
        Ok(())
    }

    fn reads_chat(&mut self, device: usize, with: usize) -> Outcome {
        let chat = *self.people[with].keys.id();
        let Some(row) = self.some_row(device, &chat, |row| !row.outgoing)? else { return Ok(()) };
        self.reads_up_to(device, &chat, Some(&row.id))?;
        self.say(|world| format!("{} has read up to {:?}", world.name(device), row.text));
        if self.act(device, |store, now| store.mark_read(&row.id, now))? {
            self.note(Kind::Read);
        }
        Ok(())
    }

    fn reads_up_to(
        &mut self,
        device: usize,
        chat: &AccountId,
        last: Option<&crate::types::MessageId>,
    ) -> Outcome {
        let person = self.devices[device].person;
        let sorted = self.with_store(device, |store, _| store.sorted_by(chat))?.unwrap_or_default();
        for (_, id) in sorted {
            let is_last = Some(&id) == last;
            self.ledger.read.insert((person, id));
            if is_last {
                break;
            }
        }
        Ok(())
    }

    fn types(&mut self, device: usize, chat: &AccountId) -> Outcome {
        let started = self.chance(700);
        self.does_it(device, Kind::Typing, chat, |store, chat, now| store.type_to(chat, started, now))
    }

    fn sets_timer(&mut self, device: usize, with: usize) -> Outcome {
        let chat = *self.people[with].keys.id();
        let seconds = [10, 20, 60][self.below(3)];
        let timer = match self.below(4) {
            0 => Timer::AfterRead(seconds),
            1 => Timer::AfterSend(seconds),
            _ => Timer::Off,
        };
        self.say(|world| format!("{} sets {timer:?} with {}", world.name(device), world.people[with].name));
        self.reads_up_to(device, &chat, None)?;
        if self.act(device, |store, now| store.set_timer(&chat, timer, now))? {
            self.note(Kind::TimerChanged);
            let (person, now) = (self.devices[device].person, self.time_of(device));
            let notice = self.ledger.notices.entry((person, with)).or_default();
            *notice = now.plus(std::time::Duration::from_secs(1)).max(*notice);
        }
        Ok(())
    }

    fn changes_settings(&mut self, device: usize) -> Outcome {
        let settings = crate::settings::Settings {
            read_receipts: self.chance(700),
            typing: self.chance(500),
            delivery_receipts: self.chance(800),
            ..crate::settings::Settings::default()
        };
        self.note(Kind::Settings);
        self.with_store(device, |store, _| store.set_settings(&settings)).map(drop)
    }

    fn blocks(&mut self, device: usize, whom: usize) -> Outcome {
        let (chat, who) = (*self.people[whom].keys.id(), self.devices[device].person);
        let blocked = self.chance(500);
        self.ledger.blocked.insert((who, whom));
        let kind = if blocked { Kind::Blocked } else { Kind::Unblocked };
        self.does_it(device, kind, &chat, |store, chat, now| store.set_blocked(chat, blocked, now))
    }

    pub(super) fn erases(&mut self, device: usize, whom: usize) -> Outcome {
        let (chat, who) = (*self.people[whom].keys.id(), self.devices[device].person);
        if who == whom {
            return Ok(());
        }
        let now = self.true_time();
        self.ledger.erases(who, whom, now);
        self.does_it(device, Kind::Erased, &chat, |store, chat, now| store.remove_contact(chat, now))
    }
}
