//! What befalls devices and members: restarts, kills, partitions, time.

use super::coverage::Kind;
use super::ledger::AFTER_ERASURE;
use super::swarm::Mood;
use super::world::{Event, Outcome, Violation, World};

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const DAY: u64 = 24 * 60 * MINUTE;
/// What people do in most worlds, and in the long ones. Long ones are where it piles up: several pages of a mailbox, many
/// lists of nodes, cursors and guards that were moved often.
const ACTS: std::ops::Range<u64> = 40..60;
const MANY_ACTS: std::ops::Range<u64> = 200..300;
/// One world of so many is a long one; none of those that an ordinary run goes through, which is to be quick.
const LONG_WORLDS: u64 = 8;
/// Devices of one person.
const MOST_DEVICES: usize = 4;
/// How long devices may take to agree, once nothing bad happens any more.
const SETTLE_MINUTES: u64 = 40;
/// How long they must be quiet then.
const QUIET: u64 = 5 * MINUTE;

impl World {
    /// Everything that happens in this world.
    pub(super) fn takes_its_course(&mut self) -> Outcome {
        for person in 0..self.people.len() {
            for _ in 0..1 + self.below(3) {
                self.add_device(person)?;
                let pause = self.between(0, 5 * SECOND);
                self.run_until(self.elapsed() + pause)?;
            }
        }
        let is_long = self.seed >= super::QUICK && self.seed.is_multiple_of(LONG_WORLDS);
        let acts = if is_long { MANY_ACTS } else { ACTS };
        let acts = self.between(acts.start, acts.end);
        if is_long {
            self.note(Kind::LongWorld);
        }
        while self.acts < acts {
            self.something_happens()?;
            let pause = match self.below(10) {
                0 => self.between(5 * SECOND, 90 * SECOND),
                1..4 => self.between(0, 300),
                _ => self.between(300, 5 * SECOND),
            };
            self.run_until(self.elapsed() + pause)?;
        }
        self.settles()?;
        self.the_erased_write_again()?;
        self.everything_is_as_it_should_be()?;
        if self.chance(300) {
            return self.somebody_is_erased_for_good();
        }
        if self.chance(500) { self.a_new_device_agrees() } else { Ok(()) }
    }

    /// Somebody is erased, and says nothing any more. Members that replay say it again, to devices that were off meanwhile
    /// and to those that are new: nothing comes back.
    fn somebody_is_erased_for_good(&mut self) -> Outcome {
        let (person, whom) = (self.below(self.people.len()), self.below(self.people.len()));
        if person == whom {
            return Ok(());
        }
        self.note(Kind::ErasedForGood);
        let devices = self.people[person].devices.clone();
        self.run_until(self.elapsed() + 10 * MINUTE)?;
        if let Some(other) = devices.get(1) {
            self.dies(*other);
        }
        self.erases(devices[0], whom)?;
        self.run_until(self.elapsed() + 10 * MINUTE)?;
        let liar = self.swarm_of(person)[0];
        self.people[person].members[liar].mood = Mood::Replays;
        for device in &devices {
            self.starts(*device)?;
        }
        self.add_device(person)?;
        self.comes_to_rest()?;
        self.stays_erased(person, whom)
    }

    /// Whoever was erased writes again when that is long past: all devices have it.
    fn the_erased_write_again(&mut self) -> Outcome {
        let erased: Vec<(usize, usize)> = self.ledger.erased.keys().copied().collect();
        if erased.is_empty() {
            return Ok(());
        }
        self.note(Kind::SpokeAgain);
        self.run_until(self.elapsed() + AFTER_ERASURE.as_millis() as u64 + 2 * MINUTE)?;
        for (person, whom) in erased {
            self.writes_to(self.people[whom].devices[0], person, false)?;
            self.run_until(self.elapsed() + 10 * SECOND)?;
        }
        self.comes_to_rest()
    }

    fn something_happens(&mut self) -> Outcome {
        if self.bug.is_some_and(super::Bug::is_about_changes) && self.chance(150) {
            return self.swarm_changes();
        }
        match self.below(1_000) {
            0..25 => self.restarts(),
            25..50 => {
                if let Some(device) = self.some_device() {
                    let writes = self.between(1, 60);
                    self.kill_at_write(device, writes);
                }
                Ok(())
            }
            50..80 => self.loses_network(),
            80..95 => {
                self.is_partitioned();
                Ok(())
            }
            95..120 => {
                self.goes_down();
                Ok(())
            }
            120..135 => self.links_device(),
            135..140 => self.days_pass(),
            140..150 => {
                let pause = self.between(MINUTE, 10 * MINUTE);
                self.run_until(self.elapsed() + pause)
            }
            150..162 => {
                if let Some(device) = self.some_device() {
                    let (writes, pause) = (self.between(0, 40), self.between(SECOND, 60 * SECOND));
                    self.fills_up(device, writes);
                    self.after(pause, Event::Room { device });
                }
                Ok(())
            }
            162..190 => self.swarm_changes(),
            _ => self.somebody_acts(),
        }
    }

    fn some_device(&mut self) -> Option<usize> {
        let running = self.running();
        (!running.is_empty()).then(|| running[self.below(running.len())])
    }

    fn restarts(&mut self) -> Outcome {
        let Some(device) = self.some_device() else { return Ok(()) };
        self.note(Kind::Restart);
        self.dies(device);
        let pause = if self.chance(500) { 0 } else { self.between(SECOND, 120 * SECOND) };
        self.after(pause, Event::Start { device });
        Ok(())
    }

    fn loses_network(&mut self) -> Outcome {
        let Some(device) = self.some_device() else { return Ok(()) };
        self.note(Kind::Offline);
        self.say(|world| format!("{} has no network", world.name(device)));
        self.devices[device].online = false;
        let pause = self.between(SECOND, 5 * MINUTE);
        self.after(pause, Event::Online { device });
        Ok(())
    }

    pub(super) fn is_partitioned(&mut self) {
        self.note(Kind::Partition);
        for device in 0..self.devices.len() {
            for person in 0..self.people.len() {
                for member in 0..self.people[person].members.len() {
                    if self.chance(300) {
                        self.network.cut.insert((device, person, member));
                    }
                }
            }
        }
        self.say(|_| "the network is partitioned".to_owned());
        let pause = self.between(5 * SECOND, 3 * MINUTE);
        self.after(pause, Event::Heal);
    }

    fn goes_down(&mut self) {
        let person = self.below(self.people.len());
        let member = self.below(self.swarm_of(person).len());
        let member = self.swarm_of(person)[member];
        self.note(Kind::MemberDown);
        self.people[person].members[member].up = false;
        self.say(|world| format!("member {member} of {}'s swarm is down", world.people[person].name));
        let pause = self.between(5 * SECOND, 5 * MINUTE);
        self.after(pause, Event::Up { person, member });
    }

    fn links_device(&mut self) -> Outcome {
        let person = self.below(self.people.len());
        if self.people[person].devices.len() >= MOST_DEVICES {
            return Ok(());
        }
        self.note(Kind::LinkedLater);
        self.add_device(person)
    }

    /// A device is off for days, while the others go on.
    fn days_pass(&mut self) -> Outcome {
        // What lives in swarms lives for two weeks.
        if self.elapsed() > DAY {
            return Ok(());
        }
        let Some(device) = self.some_device() else { return Ok(()) };
        self.note(Kind::Days);
        self.dies(device);
        self.devices[device].away = true;
        for _ in 0..10 {
            self.somebody_acts()?;
            let pause = self.between(0, 20 * SECOND);
            self.run_until(self.elapsed() + pause)?;
        }
        let days = self.between(DAY, 8 * DAY);
        self.say(|_| format!("{} hours pass", days / DAY * 24));
        self.run_until(self.elapsed() + 10 * MINUTE)?;
        self.network.slow_pace = true;
        self.run_until(self.elapsed() + days)?;
        self.network.slow_pace = false;
        for other in self.running() {
            self.hurries(other);
        }
        self.devices[device].away = false;
        self.starts(device)
    }

    /// Nothing bad happens any more; everything comes to rest.
    fn settles(&mut self) -> Outcome {
        self.say(|_| "from now on all is well".to_owned());
        self.network.perfect = true;
        self.network.cut.clear();
        for device in 0..self.devices.len() {
            self.devices[device].away = false;
            self.spare(device);
            self.has_room(device);
            self.starts(device)?;
            self.goes_online(device)?;
            self.with_store(device, |store, now| store.retry_all(now))?;
            self.hurries(device);
        }
        self.lists_settle()?;
        self.lists_get_old()?;
        self.comes_to_rest()
    }

    pub(super) fn comes_to_rest(&mut self) -> Outcome {
        let until = self.elapsed() + SETTLE_MINUTES * MINUTE;
        loop {
            let before = self.writes;
            self.run_until(self.elapsed() + QUIET)?;
            let busy = self.busy()?;
            if self.writes == before && busy.is_none() {
                return Ok(());
            }
            if self.elapsed() > until {
                // What a member replays may be new to a device that was linked late, which deletes it: now one thing, now another.
                if busy.is_none() && (0..self.people.len()).any(|person| self.somebody_replays(person)) {
                    return Ok(());
                }
                let what = busy.unwrap_or_else(|| "writes go on".to_owned());
                return Err(Violation(format!("it does not come to rest: {what}")));
            }
        }
    }

    /// What still waits somewhere.
    fn busy(&mut self) -> Outcome<Option<String>> {
        for device in 0..self.devices.len() {
            if self.devices[device].process.is_none() {
                return Err(self.wrong(device, "it is not on"));
            }
            let waiting = self.with_store(device, |store, _| store.waiting())?.unwrap_or_default();
            let documents = self.with_store(device, |store, now| store.documents_wait(now))?.unwrap_or(true);
            let disappears = self.with_store(device, |store, _| store.disappears())?.unwrap_or(true);
            if waiting != (0, 0, 0) || documents || disappears {
                let name = self.name(device);
                return Ok(Some(format!(
                    "{name} has {waiting:?} waiting, documents: {documents}, disappearing: {disappears}"
                )));
            }
        }
        Ok(None)
    }

    fn somebody_replays(&self, person: usize) -> bool {
        let mut swarm = self.swarm_of(person).iter().map(|member| &self.people[person].members[*member]);
        swarm.any(|member| member.mood == Mood::Replays)
    }

    /// A device that is linked when all is done has what the others have.
    fn a_new_device_agrees(&mut self) -> Outcome {
        let person = self.below(self.people.len());
        if self.somebody_replays(person) {
            // What it replays is news to a device that knows nothing.
            return Ok(());
        }
        self.add_device(person)?;
        self.comes_to_rest()?;
        self.everything_is_as_it_should_be()
    }
}
