//! A device: what outlives its process, and the process.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use conclave_proto::Timestamp;
use conclave_testkit::crashfs::{CrashFs, Fault};

use super::Bug;
use super::coverage::Kind;
use super::sending::Flight;
use super::world::{Event, Outcome, Violation, World};
use crate::clock::Offset;
use crate::outbox::{InFlight, PushTimes};
use crate::receive::SWEEP_EVERY;
use crate::settings::Settings;
use crate::store::{Changes, ClientStore, DatabaseKey, Meta, RowKind, StoreError, StoreOptions};
use crate::types::MessageId;

/// How far a machine's clock may be off.
const SKEW: u64 = 90_000;
/// Between looks while days pass.
const SLOWLY: u64 = 4 * 60 * 60 * 1_000;

pub(super) struct Device {
    pub(super) person: usize,
    disk: CrashFs,
    /// Of its clock, in milliseconds.
    skew: i64,
    /// Counts starts.
    pub(super) life: u64,
    pub(super) online: bool,
    /// `None` while it is off.
    pub(super) process: Option<Process>,
    /// Or soon will be; until somebody makes room.
    disk_is_full: bool,
    /// Something was not done for want of room since this was last asked.
    pub(super) in_trouble: bool,
    /// It is not to be started before days have passed.
    pub(super) away: bool,
    restored: bool,
    has_account: bool,
    /// Messages that this device has shown as new.
    shown: BTreeSet<MessageId>,
    /// Messages that are gone here, for ever.
    dead: BTreeSet<MessageId>,
    /// Those that were deleted on this device only.
    pub(super) hidden: BTreeSet<MessageId>,
}

/// A running client.
pub(super) struct Process {
    pub(super) store: ClientStore,
    pub(super) offset: Offset,
    /// The time was asked for before anything was taken in.
    asked_for_time: bool,
    /// The node list it goes by, and when it last asked for a newer one.
    pub(super) list: usize,
    pub(super) listed_at: Option<u64>,
    pub(super) in_flight: Arc<InFlight>,
    pub(super) pushes: PushTimes,
    pub(super) flights: BTreeMap<u64, Flight>,
    pub(super) lane_busy: bool,
    pub(super) lane_failures: u32,
    pub(super) looked_at_documents: u64,
    pub(super) next_wake: Option<u64>,
    pub(super) next_sweep: u64,
    /// Members it relies on to tell what is new.
    pub(super) watched: BTreeSet<usize>,
    /// Members that are being read; true if they are to be read again.
    pub(super) reading: BTreeMap<usize, bool>,
    pub(super) round: Option<Round>,
}

/// All members are being asked.
pub(super) struct Round {
    pub(super) number: u64,
    /// How many are asked, by the node list of then.
    pub(super) list: usize,
    pub(super) members: usize,
    pub(super) answered: BTreeSet<usize>,
    /// Members that have not said anything yet.
    pub(super) waiting: BTreeSet<usize>,
    /// Only for settings, by an account that was restored.
    pub(super) settings_only: bool,
}

impl World {
    /// Another device for somebody. The first one makes the account, others have its phrase.
    pub(super) fn add_device(&mut self, person: usize) -> Outcome {
        let device = self.devices.len();
        let disk = CrashFs::new(self.seed.wrapping_mul(64).wrapping_add(device as u64));
        let skew = self.between(0, 2 * SKEW) as i64 - SKEW as i64;
        let restored = !self.people[person].devices.is_empty();
        self.devices.push(Device {
            person,
            disk,
            skew,
            life: 0,
            online: true,
            process: None,
            disk_is_full: false,
            in_trouble: false,
            away: false,
            restored,
            has_account: false,
            shown: BTreeSet::new(),
            dead: BTreeSet::new(),
            hidden: BTreeSet::new(),
        });
        self.people[person].devices.push(device);
        if restored {
            self.note(Kind::Restored);
        }
        self.say(|world| format!("{} begins, its clock is off by {skew} ms", world.name(device)));
        self.starts(device)
    }

    /// The network's time as a device knows it.
    pub(super) fn time_of(&self, device: usize) -> Timestamp {
        let clock = self.clock_of(device);
        self.devices[device].process.as_ref().map_or(clock, |process| process.offset.apply(clock))
    }

    /// What a device's clock says.
    pub(super) fn clock_of(&self, device: usize) -> Timestamp {
        Timestamp(self.true_time().0.saturating_add_signed(self.devices[device].skew))
    }

    pub(super) fn running(&self) -> Vec<usize> {
        (0..self.devices.len()).filter(|device| self.devices[*device].process.is_some()).collect()
    }

    pub(super) fn store(&self, device: usize) -> Option<&ClientStore> {
        self.devices[device].process.as_ref().map(|process| &process.store)
    }

    /// Does something in a device's database. Nothing if it is off, is killed meanwhile, or says that this cannot be done.
    pub(super) fn with_store<T>(
        &mut self,
        device: usize,
        work: impl FnOnce(&ClientStore, Timestamp) -> Result<T, StoreError>,
    ) -> Outcome<Option<T>> {
        let now = self.time_of(device);
        let Some(store) = self.store(device) else { return Ok(None) };
        match work(store, now) {
            Ok(value) => Ok(Some(value)),
            Err(StoreError::NotAllowed(_) | StoreError::UnknownMessage(_)) => Ok(None),
            Err(_) if self.devices[device].disk.is_down() => {
                self.note(Kind::KilledInWrite);
                self.dies(device);
                let pause = self.between(100, 20_000);
                self.after(pause, Event::Start { device });
                Ok(None)
            }
            Err(StoreError::DiskFull { .. }) if self.devices[device].disk_is_full => {
                self.note(Kind::DiskFull);
                self.devices[device].in_trouble = true;
                self.say(|world| format!("the disk of {} is full", world.name(device)));
                Ok(None)
            }
            Err(error) => Err(self.wrong(device, &format!("its database fails: {error}"))),
        }
    }

    /// [`Self::with_store`] for what changes something, and tells of it.
    pub(super) fn act(
        &mut self,
        device: usize,
        work: impl FnOnce(&ClientStore, Timestamp) -> Result<Changes, StoreError>,
    ) -> Outcome<bool> {
        let Some(changes) = self.with_store(device, work)? else { return Ok(false) };
        self.tells(device, &changes)?;
        Ok(true)
    }

    pub(super) fn wrong(&self, device: usize, what: &str) -> Violation {
        Violation(format!("{}: {what}", self.name(device)))
    }

    pub(super) fn starts(&mut self, device: usize) -> Outcome {
        if self.devices[device].process.is_some() || self.devices[device].away {
            return Ok(());
        }
        let person = self.devices[device].person;
        let phrase = self.people[person].phrase.clone();
        let name = self.people[person].name;
        let talkative = self.chance(600);
        let at = &mut self.devices[device];
        if at.life > 0 {
            at.disk.crash();
        }
        // Without room nobody begins.
        at.disk_is_full = false;
        at.disk.heal();
        at.life += 1;
        let life = at.life;
        let options = StoreOptions {
            vfs: Some(at.disk.vfs_name().to_owned()),
            ..StoreOptions::new(at.disk.path("database.sqlite"))
        };
        let fails = |error: StoreError| Violation(format!("{name}: a database does not open: {error}"));
        let store = ClientStore::open(&options, &DatabaseKey::from_bytes([7; 32])).map_err(fails)?;
        if !at.has_account {
            let called = if at.restored { "Anonymous" } else { name };
            store.set_account(&phrase, called).map_err(fails)?;
            if !at.restored {
                store.set_meta(Meta::NewAccount, b"1").map_err(fails)?;
            }
            let settings = Settings { read_receipts: talkative, typing: talkative, ..Settings::default() };
            store.set_settings(&settings).map_err(fails)?;
            at.has_account = true;
        }
        let remembered = store.meta(Meta::ClockOffset).map_err(fails)?;
        let offset = remembered
            .and_then(|bytes| String::from_utf8(bytes).ok()?.parse().ok())
            .map_or_else(Offset::default, Offset::remembering);
        // Who never had a list has it from a seed.
        let list = match store.meta(Meta::Directory).map_err(fails)? {
            Some(bytes) => bytes.try_into().map_or(0, usize::from_be_bytes),
            None => self.lists.len() - 1,
        };
        store.set_meta(Meta::Directory, &list.to_be_bytes()).map_err(fails)?;
        let swarm = self.lists[list][person].clone();
        let watched = BTreeSet::from([swarm[self.below(swarm.len())], swarm[self.below(swarm.len())]]);
        self.devices[device].process = Some(Process {
            store,
            offset,
            asked_for_time: false,
            list,
            listed_at: None,
            in_flight: Arc::default(),
            pushes: PushTimes::default(),
            flights: BTreeMap::new(),
            lane_busy: false,
            lane_failures: 0,
            looked_at_documents: 0,
            next_wake: None,
            next_sweep: 0,
            watched,
            reading: BTreeMap::new(),
            round: None,
        });
        self.say(|world| format!("{} is on", world.name(device)));
        self.sees_what_is_there(device)?;
        self.act(device, |store, now| store.begin_documents(false, now))?;
        self.after(0, Event::Sweep { device, life });
        self.wake_at(device, 0);
        Ok(())
    }

    /// The process ends, in the middle of everything.
    pub(super) fn dies(&mut self, device: usize) {
        if self.devices[device].process.take().is_some() {
            self.say(|world| format!("{} dies", world.name(device)));
        }
    }

    /// After so many writes there is no room on a device's disk.
    pub(super) fn fills_up(&mut self, device: usize, writes: u64) {
        self.devices[device].disk_is_full = true;
        self.devices[device].disk.fail_writes_after(writes, Fault::Full);
    }

    /// There is room again.
    pub(super) fn has_room(&mut self, device: usize) {
        self.devices[device].disk_is_full = false;
        self.devices[device].disk.heal();
    }

    pub(super) fn kill_at_write(&mut self, device: usize, writes: u64) {
        self.devices[device].disk.kill_at_write(writes);
    }

    /// A disk that would have killed no longer does.
    pub(super) fn spare(&mut self, device: usize) {
        // Arming for a far write replaces what was armed.
        self.devices[device].disk.kill_at_write(u64::MAX / 2);
    }

    pub(super) fn goes_online(&mut self, device: usize) -> Outcome {
        if !self.devices[device].online {
            self.devices[device].online = true;
            self.say(|world| format!("{} has a network", world.name(device)));
            self.with_store(device, |store, now| store.retry_all(now))?;
            self.hurries(device);
        }
        Ok(())
    }

    /// All members are asked at once, and what is due is sent.
    pub(super) fn hurries(&mut self, device: usize) {
        let life = self.devices[device].life;
        if let Some(process) = &mut self.devices[device].process {
            process.next_sweep = 0;
            self.after(0, Event::Sweep { device, life });
            self.wake_at(device, 0);
        }
    }

    /// The device looks what is due, so many milliseconds from now.
    pub(super) fn wake_at(&mut self, device: usize, milliseconds: u64) {
        let (at, life) = (self.elapsed() + milliseconds, self.devices[device].life);
        let Some(process) = &mut self.devices[device].process else { return };
        if process.next_wake.is_none_or(|known| at < known) {
            process.next_wake = Some(at);
            self.after(milliseconds, Event::Wake { device, life });
        }
    }

    /// The pause between looks at all members.
    pub(super) fn pace(&self) -> u64 {
        if self.network.slow_pace { SLOWLY } else { SWEEP_EVERY.as_millis() as u64 }
    }

    /// A node's answer says what time it is.
    pub(super) fn learns_time(
        &mut self,
        device: usize,
        person: usize,
        member: usize,
        time: Timestamp,
        asked: Timestamp,
    ) -> Outcome {
        let (key, clock) = (self.people[person].records[member].ed25519, self.clock_of(device));
        let Some(process) = &self.devices[device].process else { return Ok(()) };
        process.offset.learn(key, time, asked, clock);
        let Some(millis) = process.offset.take_news() else { return Ok(()) };
        let millis = millis.to_string();
        self.with_store(device, |store, _| store.set_meta(Meta::ClockOffset, millis.as_bytes())).map(drop)
    }

    /// Before something is done, and before the first messages of a run are taken in, the network's time is asked for.
    pub(super) fn asks_for_time(&mut self, device: usize) -> Outcome {
        let person = self.devices[device].person;
        if self.devices[device].process.as_ref().is_none_or(|process| process.offset.is_measured()) {
            return Ok(());
        }
        for member in self.known_swarm(device, person) {
            if self.reaches(device, person, member) && !self.is_lost() {
                let time = self.people[person].members[member].clock(self.true_time());
                let asked = Timestamp(self.clock_of(device).0 - self.between(0, 200));
                self.learns_time(device, person, member, time, asked)?;
            }
        }
        if self.devices[device].process.as_ref().is_some_and(|process| !process.offset.is_measured()) {
            self.note(Kind::WithoutTime);
        }
        Ok(())
    }

    /// See `Shared::learn_time_once`.
    pub(super) fn asks_for_time_once(&mut self, device: usize) -> Outcome {
        let process = self.devices[device].process.as_mut();
        if process.is_none_or(|process| std::mem::replace(&mut process.asked_for_time, true)) {
            return Ok(());
        }
        self.asks_for_time(device)
    }

    /// Everything that has to hold whenever a database changes.
    pub(super) fn tells(&mut self, device: usize, changes: &Changes) -> Outcome {
        let now = self.time_of(device);
        for row in &changes.shown {
            self.is_alive(device, row)?;
            if !self.devices[device].shown.insert(row.id.clone()) {
                return Err(self.wrong(device, &format!("{} ({:?}) is shown as new twice", row.id, row.text)));
            }
            self.has(device, &row.id);
        }
        for row in &changes.updated {
            self.is_alive(device, row)?;
            if row.kind == RowKind::Deleted {
                self.devices[device].dead.insert(row.id.clone());
            }
        }
        for (_, id) in &changes.deleted {
            if self.ledger.messages.contains_key(id) {
                self.devices[device].dead.insert(id.clone());
            }
        }
        for row in &changes.states {
            self.claims_no_more_than_happened(device, row)?;
        }
        if changes.to_push
            && let Some(process) = &self.devices[device].process
        {
            process.pushes.changed(now);
        }
        if changes.to_push || changes.to_send {
            self.wake_at(device, 0);
        }
        Ok(())
    }

    pub(super) fn has(&mut self, device: usize, id: &MessageId) {
        self.ledger.had.insert((self.devices[device].person, id.clone()));
    }

    /// Nothing that is gone here comes back, not even as an edit.
    fn is_alive(&self, device: usize, row: &crate::store::MessageRow) -> Outcome {
        if row.kind == RowKind::Post
            && let Some(id) = self.ledger.of_text(&row.text)
            && self.devices[device].dead.contains(id)
        {
            return Err(self.wrong(device, &format!("{:?} ({id}) comes back as {}", row.text, row.id)));
        }
        Ok(())
    }

    /// After a kill, what was written and never told.
    fn sees_what_is_there(&mut self, device: usize) -> Outcome {
        for person in 0..self.people.len() {
            let chat = *self.people[person].keys.id();
            let rows = self.with_store(device, |store, _| store.history(&chat, 1_000, None))?;
            for row in rows.into_iter().flatten() {
                self.is_alive(device, &row)?;
                self.devices[device].shown.insert(row.id.clone());
                self.has(device, &row.id);
            }
        }
        Ok(())
    }

    /// What a device does before it takes something in, if it has that mistake.
    pub(super) fn is_sabotaged(&mut self, device: usize) -> Outcome {
        let sql = match self.bug {
            Some(Bug::TombstonesAreForgotten) => "DELETE FROM deleted",
            Some(Bug::NoGuards) => "UPDATE contact SET erased_at = 0; UPDATE document SET foreign_at = 0",
            Some(Bug::OwnCopiesAreForgotten) => "DELETE FROM outgoing WHERE copy = 1",
            _ => return Ok(()),
        };
        self.with_store(device, |store, _| store.tamper(sql)).map(drop)
    }
}
