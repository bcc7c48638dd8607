//! What devices fetch: `receive.rs` under one clock. All members once a minute, two of them whenever they have news; an
//! account that was restored asks for its settings first.

use conclave_proto::rpc::answers::RetrieveAnswer;
use conclave_proto::{MessageHash, Namespace, Timestamp};
use rand_core::RngCore as _;

use super::Bug;
use super::coverage::Kind;
use super::device::Round;
use super::swarm::Mood;
use super::world::{Event, Outcome, Read, World};
use crate::receive::{GRACE, MAILBOXES, MAX_PAGES, take_page};
use crate::store::{Changes, DOCUMENT_NAMESPACES};

/// What a round waits at most for those who do not answer.
const PATIENCE: u64 = 12_000;

impl World {
    /// A member has something new: whoever relies on it hears of that.
    pub(super) fn hears_of_news(&mut self, device: usize, member: usize) {
        let (person, life) = (self.devices[device].person, self.devices[device].life);
        let Some(process) = &self.devices[device].process else { return };
        if !process.watched.contains(&member)
            || !self.keeps(person, member)
            || !self.reaches(device, person, member)
        {
            return;
        }
        let delay = self.between(5, 400);
        self.asks_for_news(device, life, member, &MAILBOXES, None, delay);
    }

    fn asks_for_news(
        &mut self,
        device: usize,
        life: u64,
        member: usize,
        mailboxes: &[Namespace],
        round: Option<u64>,
        delay: u64,
    ) {
        let at = self.clock_of(device);
        let Some(process) = &mut self.devices[device].process else { return };
        // Watching begins when the settings are found.
        if round.is_none() && process.store.looks_for_documents().unwrap_or(true) {
            return;
        }
        // One reads a member at a time.
        if let Some(again) = process.reading.get_mut(&member) {
            *again = true;
            return;
        }
        process.reading.insert(member, false);
        let read = Read { device, life, member, mailboxes: mailboxes.to_vec(), round, pages: 0, at };
        self.after(delay, Event::Reads { read });
    }

    /// All members are asked, again and again.
    pub(super) fn sweeps(&mut self, device: usize) -> Outcome {
        let (elapsed, life, pace) = (self.elapsed(), self.devices[device].life, self.pace());
        let Some(process) = &mut self.devices[device].process else { return Ok(()) };
        // Somebody was in a hurry meanwhile, and asked already.
        if elapsed < process.next_sweep {
            return Ok(());
        }
        process.next_sweep = elapsed + pace;
        self.after(pace, Event::Sweep { device, life });
        self.uses_list(device);
        let swarm = self.known_swarm(device, self.devices[device].person);
        // Others are relied on from time to time.
        let watched = [swarm[self.below(swarm.len())], swarm[self.below(swarm.len())]];
        let Some(process) = &mut self.devices[device].process else { return Ok(()) };
        if process.round.is_some() {
            return Ok(());
        }
        process.watched = watched.into();
        self.with_store(device, |store, now| store.tidy(now))?;
        let settings_only = self.with_store(device, |store, _| store.looks_for_documents())?.unwrap_or(false);
        self.begins_round(device, settings_only);
        Ok(())
    }

    fn begins_round(&mut self, device: usize, settings_only: bool) {
        let (number, life) = (self.number(), self.devices[device].life);
        let swarm = self.known_swarm(device, self.devices[device].person);
        let Some(process) = &mut self.devices[device].process else { return };
        process.round = Some(Round {
            number,
            list: process.list,
            members: swarm.len(),
            answered: Default::default(),
            waiting: swarm.iter().copied().collect(),
            settings_only,
        });
        let mailboxes: &[Namespace] = if settings_only { &DOCUMENT_NAMESPACES } else { &MAILBOXES };
        for member in swarm {
            let delay = self.latency();
            self.asks_for_news(device, life, member, mailboxes, Some(number), delay);
        }
        self.after(PATIENCE, Event::RoundEnds { device, life, round: number });
    }

    /// A member is asked for what came after the device's cursors.
    pub(super) fn reads(&mut self, read: Read) {
        let Read { device, member, .. } = read;
        let person = self.devices[device].person;
        let lives = self.devices[device].life == read.life && self.devices[device].process.is_some();
        if !lives {
            return;
        }
        if !self.reaches(device, person, member) || self.is_lost() {
            let delay = if self.devices[device].online { 10_000 } else { 100 };
            self.after(delay, Event::Unread { read });
            return;
        }
        if !self.keeps(person, member) {
            self.note(Kind::Misdirected);
            let delay = self.latency();
            self.after(delay, Event::Misdirected { read });
            return;
        }
        let account = *self.people[person].keys.id();
        let key = self.people[person].records[member].ed25519;
        let mut pages = Vec::new();
        for namespace in &read.mailboxes {
            let cursor_at = |key| self.store(device)?.cursor(key, &account, *namespace).ok()?;
            let mut cursor = cursor_at(&key);
            if self.bug == Some(Bug::CursorsAreShared) && cursor.is_none() {
                cursor = self.people[person].records.iter().find_map(|other| cursor_at(&other.ed25519));
            }
            let cursor = cursor.and_then(|hash| hash.parse::<MessageHash>().ok());
            let (whim, now) = (self.rng.next_u64(), self.true_time());
            let at = &self.people[person].members[member];
            pages.push((*namespace, at.retrieve(*namespace, cursor.as_ref(), at.clock(now), whim)));
        }
        match self.people[person].members[member].mood {
            Mood::Withholds => self.note(Kind::ReadFromWithholding),
            Mood::Replays => self.note(Kind::ReadFromReplaying),
            _ => {}
        }
        let time = self.people[person].members[member].clock(self.true_time());
        let latency = self.latency();
        if self.is_lost() {
            self.after(10_000, Event::Unread { read });
        } else {
            self.after(latency, Event::Pages { read, pages, time });
        }
    }

    pub(super) fn takes_pages(
        &mut self,
        read: Read,
        pages: Vec<(Namespace, RetrieveAnswer)>,
        time: Timestamp,
    ) -> Outcome {
        let Read { device, life, member, .. } = read;
        let person = self.devices[device].person;
        self.learns_time(device, person, member, time, read.at)?;
        let mut unread = Vec::new();
        for (namespace, page) in pages {
            if page.more && !page.messages.is_empty() {
                unread.push(namespace);
            }
            if page.messages.is_empty() {
                continue;
            }
            self.asks_for_time_once(device)?;
            self.is_sabotaged(device)?;
            let (now, key) = (self.time_of(device), self.people[person].records[member].ed25519);
            let Some(store) = self.store(device).cloned() else { return Ok(()) };
            let taken = take_page(&store, &self.people[person].keys, key, namespace, &page, now);
            drop(store);
            let Some(changes) = self.with_store(device, |_, _| taken)? else {
                // It is killed, or has no room: then it is fetched again.
                self.has_read(&read, false);
                return Ok(());
            };
            self.hears_of_erasures(device, namespace, &changes)?;
            self.say(|world| {
                let what: Vec<String> = changes
                    .shown
                    .iter()
                    .chain(&changes.updated)
                    .map(|row| format!("{:?} {:?} {}", row.kind, row.text, row.id))
                    .collect();
                let hashes: Vec<&str> =
                    page.messages.iter().filter_map(|message| message.hash.as_str().get(..6)).collect();
                format!(
                    "{} takes {} of {namespace} from member {member}: {what:?}, gone {:?}",
                    world.name(device),
                    hashes.join(" "),
                    changes.deleted
                )
            });
            if changes.known > 0 {
                self.note(Kind::Duplicate);
            }
            self.tells(device, &changes)?;
        }
        if unread.is_empty() || read.pages >= MAX_PAGES {
            self.has_read(&read, true);
        } else {
            self.note(Kind::MorePages);
            let (at, delay) = (self.clock_of(device), self.latency());
            let read = Read { mailboxes: unread, pages: read.pages + 1, at, life, ..read };
            self.after(delay, Event::Reads { read });
        }
        Ok(())
    }

    /// Another device has erased a contact: from now on it is gone here as well.
    fn hears_of_erasures(&mut self, device: usize, namespace: Namespace, changes: &Changes) -> Outcome {
        if namespace != Namespace::CONTACTS {
            return Ok(());
        }
        let (person, now) = (self.devices[device].person, self.true_time());
        for chat in &changes.chats {
            let Some(whom) = self.person_of(chat) else { continue };
            if self.ledger.erased.contains_key(&(person, whom)) && self.is_nobody(device, whom)? {
                self.ledger.erases(person, whom, now);
            }
        }
        Ok(())
    }

    /// A member has been read, or could not be.
    pub(super) fn has_read(&mut self, read: &Read, answered: bool) {
        let Read { device, life, member, .. } = *read;
        let Some(process) = &mut self.devices[device].process else { return };
        let again = process.reading.remove(&member).unwrap_or(false);
        if let Some(round) = &mut process.round {
            // What was being read when the round began answers for it as well, once it is read again.
            if read.round == Some(round.number) {
                round.waiting.remove(&member);
                if answered {
                    round.answered.insert(member);
                }
                let number = round.number;
                if round.waiting.is_empty() {
                    self.after(0, Event::RoundEnds { device, life, round: number });
                } else if round.answered.len() * 2 > round.members {
                    self.after(GRACE.as_millis() as u64, Event::RoundEnds { device, life, round: number });
                }
            }
        }
        if again {
            let round = self.devices[device].process.as_ref().and_then(|process| process.round.as_ref());
            let (number, settings_only) =
                round.map_or((None, false), |round| (Some(round.number), round.settings_only));
            let number = number.filter(|_| round.is_some_and(|round| round.waiting.contains(&member)));
            let mailboxes: &[Namespace] = if settings_only { &DOCUMENT_NAMESPACES } else { &MAILBOXES };
            let delay = self.latency();
            self.asks_for_news(device, life, member, mailboxes, number, delay);
        }
    }

    pub(super) fn round_ends(&mut self, device: usize, number: u64) -> Outcome {
        let Some(process) = &mut self.devices[device].process else { return Ok(()) };
        let Some(round) = process.round.take_if(|round| round.number == number) else { return Ok(()) };
        if round.answered.is_empty() && round.list != process.list {
            // A round that nobody answered is soon followed by another, and that goes by the newer list.
            self.hurries(device);
        }
        if round.answered.len() * 2 <= round.members {
            self.doubts_list(device);
            return Ok(());
        }
        if round.settings_only {
            self.note(Kind::SettingsFirst);
            self.begins_round(device, false);
            return Ok(());
        }
        self.act(device, |store, now| store.begin_documents(true, now)).map(drop)
    }
}
