//! Swarms that change, and node lists: who is a member of which swarm, who knows that already, and how what was kept comes
//! to those who keep it now.
//!
//! There is one node list for all, and each change makes a newer one. A node goes by the one it knows, and hears of a newer
//! one within half a minute: until then it takes what is no longer for it, and refuses with 421 what is for it already. A
//! device goes by the list it has until a member answers 421, the list is two hours old, or is five minutes old and fewer than
//! a majority of a swarm answer; it asks nodes and may be given one that is newer than its own and yet not the newest
//! (`network::refresh`).
//!
//! Nodes do what `conclave_node::replication` does: who learns that a mailbox is kept elsewhere brings what it has there,
//! whoever is in a swarm fetches what it lacks from the others after each change, and what is brought twice is one message.
//! A former member that lies goes on as if nothing had happened.
//!
//! What is assumed, and has to be for anything to be promised: in every swarm honest members are the majority; a disk is lost
//! only once somebody honest who is left has all that is on it; and who brings a mailbox elsewhere goes on until somebody
//! honest has taken it.

use std::time::Duration;

use super::Bug;
use super::coverage::Kind;
use super::swarm::{Member, Mood};
use super::world::{Event, Outcome, Read, Violation, World};
use crate::network::{DOUBTED_LIST_LIFE, LIST_LIFE, LIST_PAUSE};
use crate::store::Meta;

const SECOND: u64 = 1_000;
/// The smallest and the largest swarm.
const SMALLEST: usize = 3;
const LARGEST: usize = 7;
/// Within this all nodes have a newer list.
const LIST_TRAVELS: u64 = 30 * SECOND;
/// Within this members have compared what they have.
const COMPARED: u64 = 60 * SECOND;
/// The pause before what nobody took is brought again.
const BRING_AGAIN: u64 = 15 * SECOND;
/// Nodes that a device asks for a newer list.
const ASKED_NODES: usize = 3;
/// So often a device may be given an old list.
const LISTS_TRIED: usize = 20;

impl World {
    /// The members of somebody's swarm by the newest list.
    pub(super) fn swarm_of(&self, person: usize) -> &[usize] {
        self.lists.last().map_or(&[], |list| list[person].as_slice())
    }

    /// And by the list that a device goes by.
    pub(super) fn known_swarm(&self, device: usize, person: usize) -> Vec<usize> {
        let height = self.devices[device].process.as_ref().map_or(0, |process| process.list);
        self.lists[height][person].clone()
    }

    /// And by the one that a member goes by.
    pub(super) fn swarm_by_member(&self, person: usize, member: usize) -> Vec<usize> {
        self.lists[self.people[person].members[member].list][person].clone()
    }

    /// Whether a node takes this mailbox for its own.
    pub(super) fn keeps(&self, person: usize, member: usize) -> bool {
        let at = &self.people[person].members[member];
        !at.lost && self.lists[at.list][person].contains(&member)
    }

    /// A node that has nothing yet.
    pub(super) fn new_member(&mut self, person: usize, mood: Mood) -> usize {
        let at = self.people[person].members.len();
        let mut seed = [person as u8 + 1; 32];
        seed[0] = at as u8;
        let skew = self.below(3_000) as i64 - 1_500;
        let mut member = Member::new(seed, mood, skew);
        member.list = self.lists.len().saturating_sub(1);
        let of = &mut self.people[person];
        of.records.push(member.record());
        of.members.push(member);
        at
    }

    pub(super) fn some_mood(&mut self) -> Mood {
        let moods =
            [Mood::Withholds, Mood::Withholds, Mood::Replays, Mood::Replays, Mood::Boasts, Mood::Refuses];
        moods[self.below(moods.len())]
    }

    /// Whether honest members are the majority.
    fn is_sound(&self, person: usize, swarm: &[usize]) -> bool {
        let bad = swarm.iter().filter(|member| self.people[person].members[**member].mood != Mood::Honest);
        bad.count() * 2 < swarm.len()
    }

    /// A swarm gets other members, often while something is on its way to it.
    pub(super) fn swarm_changes(&mut self) -> Outcome {
        let person = self.below(self.people.len());
        if self.chance(200) {
            self.is_partitioned();
        }
        if self.chance(600) {
            self.somebody_writes_to(person)?;
            let pause = self.between(0, 600);
            self.run_until(self.elapsed() + pause)?;
        }
        let before = self.swarm_of(person).to_vec();
        let mut after = before.clone();
        let what = match self.below(10) {
            0..3 => {
                after.push(self.joins(person));
                Kind::MemberJoins
            }
            3..6 => {
                after.remove(self.below(before.len()));
                Kind::MemberLeaves
            }
            6..8 => {
                after.remove(self.below(before.len()));
                after.push(self.joins(person));
                Kind::MemberReplaced
            }
            _ => {
                let stays = self.chance(300).then(|| before[self.below(before.len())]);
                after = stays.into_iter().collect();
                for _ in 0..SMALLEST + self.below(3) {
                    after.push(self.joins(person));
                }
                Kind::MailboxMoves
            }
        };
        after.sort_unstable();
        after.dedup();
        if !(SMALLEST..=LARGEST).contains(&after.len()) || !self.is_sound(person, &after) {
            return Ok(());
        }
        self.note(what);
        self.notes_the_moment(person);
        let mut list = self.lists.last().cloned().unwrap_or_default();
        list[person].clone_from(&after);
        self.lists.push(list);
        self.say(|world| format!("the swarm of {} is {after:?}, was {before:?}", world.people[person].name));
        for member in before.iter().filter(|member| !after.contains(member)) {
            self.leaves(person, *member);
        }
        for member in after.iter().filter(|member| !before.contains(member)) {
            if !self.people[person].members[*member].up {
                self.comes_up(person, *member);
            }
        }
        self.list_travels();
        Ok(())
    }

    fn somebody_writes_to(&mut self, person: usize) -> Outcome {
        let Some(device) = self.somebody()? else { return Ok(()) };
        self.writes_to(device, person, false)
    }

    /// What else is going on while a swarm changes.
    fn notes_the_moment(&mut self, person: usize) {
        let mut processes = self.devices.iter().filter_map(|device| device.process.as_ref());
        let sends = processes.any(|process| process.flights.values().any(|flight| flight.is_to(person)));
        let reads = self.people[person].devices.iter().any(|device| {
            self.devices[*device].process.as_ref().is_some_and(|process| !process.reading.is_empty())
        });
        let cut = !self.network.cut.is_empty();
        let moment =
            [(sends, Kind::ChangedMidSend), (reads, Kind::ChangedMidRead), (cut, Kind::ChangedInPartition)];
        for (_, kind) in moment.into_iter().filter(|(is, _)| *is) {
            self.note(kind);
        }
    }

    /// Who joins: somebody new, or a former member with what it has.
    fn joins(&mut self, person: usize) -> usize {
        let former: Vec<usize> = (0..self.people[person].members.len())
            .filter(|member| !self.swarm_of(person).contains(member))
            .filter(|member| !self.people[person].members[*member].lost)
            .collect();
        if !former.is_empty() && self.chance(500) {
            self.note(Kind::FormerMemberJoins);
            return former[self.below(former.len())];
        }
        let mood = if self.chance(200) { self.some_mood() } else { Mood::Honest };
        self.new_member(person, mood)
    }

    /// A member is not in the swarm any more: it is still there and will hear of that, comes back after a while, or is
    /// lost with all it kept.
    fn leaves(&mut self, person: usize, member: usize) {
        match self.below(10) {
            0..4 => {}
            4..7 if self.is_had_by_others(person, member) => {
                self.note(Kind::MemberLost);
                self.say(|world| {
                    format!("member {member} of {}'s swarm is lost with its disk", world.people[person].name)
                });
                self.people[person].members[member].is_lost();
            }
            _ => {
                self.note(Kind::MemberAway);
                self.people[person].members[member].up = false;
                self.say(|world| format!("member {member} of {}'s swarm is away", world.people[person].name));
                let pause = self.between(10 * SECOND, 20 * 60 * SECOND);
                self.after(pause, Event::Up { person, member });
            }
        }
    }

    /// Whether honest nodes have all that a member has: stores, deletions, shorter lives.
    fn is_had_by_others(&self, person: usize, member: usize) -> bool {
        let members = &self.people[person].members;
        let others = members.iter().enumerate().filter(|(at, _)| *at != member);
        let others: Vec<&Member> = others
            .map(|(_, other)| other)
            .filter(|other| other.mood == Mood::Honest && !other.lost)
            .collect();
        members[member].mood != Mood::Honest || members[member].is_had_by(&others)
    }

    /// All nodes hear of the newest list, each in its time.
    fn list_travels(&mut self) {
        for person in 0..self.people.len() {
            for member in 0..self.people[person].members.len() {
                self.will_hear_of_list(person, member);
            }
        }
    }

    pub(super) fn will_hear_of_list(&mut self, person: usize, member: usize) {
        let delay = self.between(0, LIST_TRAVELS);
        self.after(delay, Event::HearsOfList { person, member });
    }

    /// A node takes over the newest list.
    pub(super) fn hears_of_list(&mut self, person: usize, member: usize) {
        let newest = self.lists.len() - 1;
        let is_in_it = self.lists[newest][person].contains(&member);
        let at = &mut self.people[person].members[member];
        if at.lost || !at.up || at.list == newest || (at.mood != Mood::Honest && !is_in_it) {
            return;
        }
        at.list = newest;
        if is_in_it {
            self.will_compare(person, member);
        } else {
            let delay = self.between(0, 10 * SECOND);
            self.after(delay, Event::HandsOver { person, member });
        }
    }

    fn will_compare(&mut self, person: usize, member: usize) {
        let delay = self.between(SECOND, COMPARED);
        self.after(delay, Event::Compares { person, member });
    }

    /// All members of a swarm compare what they have, each in its time.
    pub(super) fn all_will_compare(&mut self, person: usize) {
        for member in self.swarm_of(person).to_vec() {
            self.will_compare(person, member);
        }
    }

    /// A former member brings what it has to one of those that keep it now; the others get it from that one.
    pub(super) fn hands_over(&mut self, person: usize, member: usize) {
        let at = &self.people[person].members[member];
        if at.lost || !at.up || self.keeps(person, member) || self.bug == Some(Bug::NobodyHandsOver) {
            return;
        }
        let mut to = self.swarm_by_member(person, member);
        for at in (1..to.len()).rev() {
            let other = self.below(at + 1);
            to.swap(at, other);
        }
        for other in to {
            if self.people[person].members[other].up && self.keeps(person, other) {
                self.learns_from(person, other, member);
                self.say(|world| {
                    let whose = world.people[person].name;
                    format!("member {member} of {whose}'s swarm hands over to member {other}")
                });
                if self.people[person].members[other].mood == Mood::Honest {
                    self.note(Kind::HandedOver);
                    self.all_will_compare(person);
                    return;
                }
            }
        }
        self.after(BRING_AGAIN, Event::HandsOver { person, member });
    }

    /// A member fetches what it lacks from the others that take the mailbox for theirs.
    pub(super) fn compares(&mut self, person: usize, member: usize) {
        if !self.people[person].members[member].up || !self.keeps(person, member) {
            return;
        }
        for other in self.swarm_by_member(person, member) {
            let at = &self.people[person].members[other];
            if other != member && at.up && at.mood == Mood::Honest && self.keeps(person, other) {
                self.learns_from(person, member, other);
            }
        }
    }

    pub(super) fn learns_from(&mut self, person: usize, member: usize, from: usize) {
        let now = self.true_time();
        let members = &mut self.people[person].members;
        let Ok([at, from]) = members.get_disjoint_mut([member, from]) else { return };
        let news = at.learns_from(from, at.clock(now));
        if !news.is_empty() {
            for device in self.people[person].devices.clone() {
                self.hears_of_news(device, member);
            }
        }
    }

    /// A device uses its list, and asks for a newer one if it is old.
    pub(super) fn uses_list(&mut self, device: usize) {
        self.refreshes_if_older(device, LIST_LIFE);
    }

    /// Members do not answer as they should: perhaps the list is out of date.
    pub(super) fn doubts_list(&mut self, device: usize) {
        if self.bug != Some(Bug::ListIsNotDoubted) {
            self.refreshes_if_older(device, DOUBTED_LIST_LIFE);
        }
    }

    fn refreshes_if_older(&mut self, device: usize, life_of_list: Duration) {
        let (elapsed, life) = (self.elapsed(), self.devices[device].life);
        let Some(process) = &self.devices[device].process else { return };
        let old = |at: u64| u128::from(elapsed - at) > life_of_list.as_millis();
        if process.listed_at.is_none_or(old) {
            let delay = self.latency();
            self.after(delay, Event::Refreshes { device, life });
        }
    }

    /// A device asks nodes it knows for a newer list, and seeds if none gives it one.
    pub(super) fn refreshes_list(&mut self, device: usize) -> Outcome {
        let elapsed = self.elapsed();
        let Some(process) = &mut self.devices[device].process else { return Ok(()) };
        let pause = LIST_PAUSE.as_millis();
        if process.listed_at.is_some_and(|at| u128::from(elapsed - at) < pause) {
            return Ok(());
        }
        process.listed_at = Some(elapsed);
        let had = process.list;
        if self.bug == Some(Bug::ListIsKept) {
            return Ok(());
        }
        let mut given = None;
        for _ in 0..ASKED_NODES {
            let (person, member) = self.some_node(had);
            let list = self.people[person].members[member].list;
            if given.is_none() && self.reaches(device, person, member) && !self.is_lost() && list >= had {
                given = Some(list);
            }
        }
        if given.is_none() && self.devices[device].online && !self.is_lost() {
            // Seeds are nodes of the newest list, which may not have heard of it.
            let (person, member) = self.some_node(self.lists.len() - 1);
            given = Some(self.people[person].members[member].list.max(had));
        }
        let Some(list) = given.filter(|list| *list > had) else { return Ok(()) };
        if let Some(process) = &mut self.devices[device].process {
            process.list = list;
        }
        self.note(Kind::ListLearnt);
        self.say(|world| format!("{} has node list {list}", world.name(device)));
        self.with_store(device, |store, _| store.set_meta(Meta::Directory, &list.to_be_bytes())).map(drop)
    }

    fn some_node(&mut self, list: usize) -> (usize, usize) {
        let person = self.below(self.people.len());
        let at = self.below(self.lists[list][person].len());
        (person, self.lists[list][person][at])
    }

    /// A member says that a mailbox is not its own.
    pub(super) fn is_misdirected(&mut self, read: &Read) -> Outcome {
        self.refreshes_list(read.device)?;
        self.has_read(read, false);
        Ok(())
    }

    /// Everybody has the newest list, and what is to be brought is brought.
    pub(super) fn lists_settle(&mut self) -> Outcome {
        for person in 0..self.people.len() {
            for member in 0..self.people[person].members.len() {
                self.comes_up(person, member);
                self.hears_of_list(person, member);
                if !self.keeps(person, member) {
                    self.after(0, Event::HandsOver { person, member });
                }
            }
            self.all_will_compare(person);
        }
        self.run_until(self.elapsed() + 2 * COMPARED)
    }

    /// Devices that nobody had to tell of a newer list have one when their own is old.
    pub(super) fn lists_get_old(&mut self) -> Outcome {
        let newest = self.lists.len() - 1;
        let is_behind = |world: &Self| {
            let mut processes = world.devices.iter().filter_map(|device| device.process.as_ref());
            processes.any(|process| process.list < newest)
        };
        let mut tries = 0;
        while is_behind(self) {
            // Nothing waits for that: what it has to have and to bring it gets and brings by the old list.
            self.comes_to_rest()?;
            self.everything_is_as_it_should_be()?;
            tries += 1;
            if tries > LISTS_TRIED {
                return Err(Violation("a device never learns of the newest node list".to_owned()));
            }
            self.note(Kind::ListGetsOld);
            self.network.slow_pace = true;
            self.run_until(self.elapsed() + LIST_LIFE.as_millis() as u64)?;
            self.network.slow_pace = false;
            for device in self.running() {
                self.hurries(device);
            }
            self.run_until(self.elapsed() + COMPARED)?;
        }
        Ok(())
    }

    /// How many have truly signed for a copy of a message at most, by the lists on which its recipient's swarm has `size`
    /// members, and out of how many.
    pub(super) fn signatures(
        &self,
        id: &crate::types::MessageId,
        to: usize,
        size: Option<u32>,
    ) -> impl Iterator<Item = (usize, usize)> {
        let lists = self.lists.iter().map(move |list| &list[to]);
        let lists = lists.filter(move |list| size.is_none_or(|size| list.len() == size as usize));
        lists.map(|list| (self.ledger.signatures(id, crate::store::Copy::Recipient, list), list.len()))
    }
}
