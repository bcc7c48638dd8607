//! What devices send: `outbox.rs` under one clock, with the same errands and the same rules of whom to ask next.

use conclave_proto::rpc::Request;
use conclave_proto::{MessageHash, SnodeRecord, Timestamp};
use rand_core::RngCore as _;
use serde_json::Value;

use super::Bug;
use super::coverage::Kind;
use super::world::{Asked, Event, Outcome, World};
use crate::outbox::errand::{Errand, LONGEST_PAUSE, OWN_COPIES, Verdict, pause_after};
use crate::outbox::{
    self, AFTER_DISK_TROUBLE, LOOK_AT_DOCUMENTS, LOOKED_AT, LOOKED_AT_TO_ONE, MEMBERS_PER_ATTEMPT,
    NEXT_MEMBER,
};
use crate::store::{Changes, Copy, DueCopy, StoreError};
use crate::types::MessageId;

/// One attempt.
pub(super) struct Flight {
    errand: Errand,
    /// Whose swarm is asked.
    person: usize,
    /// Its members, by the node list when the attempt began.
    swarm: Vec<usize>,
    /// Members that have not been asked, the next one last.
    members: Vec<usize>,
    asked: usize,
    running: usize,
    refused: usize,
    reason: String,
    /// What is brought: in this order, first of all requests.
    copies: Vec<(MessageId, Copy)>,
    of_own_lane: bool,
    _place: Option<outbox::Flight>,
}

impl Flight {
    pub(super) fn is_to(&self, person: usize) -> bool {
        self.person == person
    }
}

impl World {
    /// Sends what is due, and sleeps until something is.
    pub(super) fn wakes(&mut self, device: usize) -> Outcome {
        let elapsed = self.elapsed();
        let (now, person) = (self.time_of(device), self.devices[device].person);
        let Some(process) = &mut self.devices[device].process else { return Ok(()) };
        // It was woken earlier, and goes by what it saw then.
        if process.next_wake.is_none_or(|at| elapsed < at) {
            return Ok(());
        }
        process.next_wake = None;
        if elapsed >= process.looked_at_documents {
            process.looked_at_documents = elapsed + LOOK_AT_DOCUMENTS.as_millis() as u64;
            process.pushes.changed(now);
        }
        self.with_store(device, |store, now| store.drop_overdue(now))?;
        self.act(device, |store, now| store.queue_receipts(now))?;
        self.act(device, |store, now| store.expire(now))?;
        let due = self.with_store(device, |store, now| store.due(now, LOOKED_AT, LOOKED_AT_TO_ONE))?;
        let own = *self.people[person].keys.id();
        let (to_own, to_others): (Vec<DueCopy>, Vec<DueCopy>) =
            due.unwrap_or_default().into_iter().partition(|copy| copy.recipient == own);
        let Some(process) = &self.devices[device].process else { return Ok(()) };
        for copies in process.in_flight.together(to_others) {
            self.sends(device, copies)?;
        }
        self.starts_own_lane(device, to_own, now)?;
        if std::mem::take(&mut self.devices[device].in_trouble) {
            self.wake_at(device, AFTER_DISK_TROUBLE.as_millis() as u64);
            return Ok(());
        }
        self.sleeps(device, now)
    }

    fn sleeps(&mut self, device: usize, now: Timestamp) -> Outcome {
        let Some(process) = &self.devices[device].process else { return Ok(()) };
        let pushes = process.pushes.due().filter(|_| !process.lane_busy);
        let next = self.with_store(device, |store, _| store.next_look(now))?;
        let next = [next.flatten(), pushes].into_iter().flatten().min();
        let longest = if self.network.slow_pace { self.pace() } else { LONGEST_PAUSE.as_millis() as u64 };
        let wait = next.map_or(longest, |at| at.since(now).as_millis() as u64);
        self.wake_at(device, wait.clamp(1, longest));
        Ok(())
    }

    fn sends(&mut self, device: usize, copies: Vec<DueCopy>) -> Outcome {
        let Some(to) = copies.first().and_then(|due| self.person_of(&due.recipient)) else { return Ok(()) };
        let person = self.devices[device].person;
        let Some(process) = &self.devices[device].process else { return Ok(()) };
        let Some(place) = process.in_flight.take(&copies) else { return Ok(()) };
        let keys: Vec<_> = copies.iter().map(|due| (due.id.clone(), due.copy)).collect();
        if self.bug == Some(Bug::SentBeforeItIsDurable) {
            for (id, _) in &keys {
                let sql = format!("DELETE FROM outgoing WHERE copy = 0 AND id = x'{id}'");
                self.with_store(device, |store, _| store.tamper(&sql))?;
            }
        }
        let errand = Errand::to_recipient(&self.people[person].keys, copies, &mut self.rng);
        let errand = errand.map_err(|error| self.wrong(device, &error.to_string()))?;
        self.flies(device, to, errand, keys, Some(place), false)
    }

    fn starts_own_lane(&mut self, device: usize, copies: Vec<DueCopy>, now: Timestamp) -> Outcome {
        let person = self.devices[device].person;
        let Some(process) = &self.devices[device].process else { return Ok(()) };
        if process.lane_busy {
            return Ok(());
        }
        let push_is_due = process.pushes.due().is_some_and(|at| at <= now);
        let push = push_is_due || (!copies.is_empty() && process.lane_failures == 0);
        let copies: Vec<DueCopy> = copies.into_iter().take(OWN_COPIES).collect();
        let place = process.in_flight.take(&copies);
        let keys = copies.iter().map(|copy| (copy.id.clone(), copy.copy)).collect();
        if push {
            process.pushes.take();
        }
        let store = process.store.clone();
        let account = &self.people[person].keys;
        let errand = Errand::to_own_swarm(account, &store, copies, push, now, &mut self.rng);
        drop(store);
        let Some(errand) = self.with_store(device, |_, _| errand)?.flatten() else {
            if push
                && self.devices[device].in_trouble
                && let Some(process) = &self.devices[device].process
            {
                process.pushes.postpone(now.plus(AFTER_DISK_TROUBLE));
            }
            return Ok(());
        };
        if let Some(process) = &mut self.devices[device].process {
            process.lane_busy = true;
        }
        self.flies(device, person, errand, keys, place, true)
    }

    fn flies(
        &mut self,
        device: usize,
        person: usize,
        errand: Errand,
        copies: Vec<(MessageId, Copy)>,
        place: Option<outbox::Flight>,
        of_own_lane: bool,
    ) -> Outcome {
        self.uses_list(device);
        let swarm = self.known_swarm(device, person);
        let mut members = swarm.clone();
        for at in (1..members.len()).rev() {
            let other = self.below(at + 1);
            members.swap(at, other);
        }
        members.truncate(MEMBERS_PER_ATTEMPT);
        let flight = self.number();
        let Some(process) = &mut self.devices[device].process else { return Ok(()) };
        process.flights.insert(
            flight,
            Flight {
                errand,
                person,
                swarm,
                members,
                asked: 0,
                running: 0,
                refused: 0,
                reason: "no member of the swarm could be asked".to_owned(),
                copies,
                of_own_lane,
                _place: place,
            },
        );
        self.asks_next(device, flight)
    }

    /// Another member is asked, if there is one; if none is left to wait for, the attempt is over.
    pub(super) fn asks_next(&mut self, device: usize, flight: u64) -> Outcome {
        let (now, clock, life) = (self.time_of(device), self.clock_of(device), self.devices[device].life);
        let keys = &self.people[self.devices[device].person].keys;
        let Some(process) = &mut self.devices[device].process else { return Ok(()) };
        let Some(under_way) = process.flights.get_mut(&flight) else { return Ok(()) };
        let Some(member) = under_way.members.pop() else {
            if under_way.running > 0 {
                return Ok(());
            }
            return self.lands(device, flight, None);
        };
        under_way.asked += 1;
        under_way.running += 1;
        let person = under_way.person;
        let more = !under_way.members.is_empty();
        let requests = under_way.errand.requests(keys, now);
        for ((id, copy), request) in under_way.copies.iter().zip(&requests) {
            if let Request::Store(store) = request {
                let hash = MessageHash::of(&store.account, store.namespace, &store.data);
                self.ledger.carries(hash, id, *copy);
            }
        }
        let asked = Asked { device, life, flight, person, member, at: clock };
        self.say(|world| {
            let kinds: Vec<String> = requests.iter().map(told).collect();
            let whose = world.people[person].name;
            format!("{} asks member {member} of {whose}'s swarm: {}", world.name(device), kinds.join(", "))
        });
        if !self.reaches(device, person, member) || self.is_lost() {
            self.note(Kind::RequestLost);
            let online = self.devices[device].online;
            self.after(if online { 10_000 } else { 100 }, Event::Silence { asked });
        } else {
            let latency = self.latency();
            self.after(latency, Event::Arrives { asked, requests });
        }
        if more {
            self.after(NEXT_MEMBER.as_millis() as u64, Event::Impatience { device, life, flight });
        }
        Ok(())
    }

    pub(super) fn silence(&mut self, asked: Asked) -> Outcome {
        let Some(process) = &mut self.devices[asked.device].process else { return Ok(()) };
        let Some(under_way) = process.flights.get_mut(&asked.flight) else { return Ok(()) };
        under_way.running -= 1;
        under_way.reason = "no answer".to_owned();
        self.asks_next(asked.device, asked.flight)
    }

    pub(super) fn answered(
        &mut self,
        asked: Asked,
        requests: &[Request],
        answers: &[(u16, Value)],
        time: Timestamp,
    ) -> Outcome {
        self.learns_time(asked.device, asked.person, asked.member, time, asked.at)?;
        let everybody = &self.people[asked.person].records;
        let Some(process) = &mut self.devices[asked.device].process else { return Ok(()) };
        let Some(under_way) = process.flights.get_mut(&asked.flight) else { return Ok(()) };
        under_way.running -= 1;
        if let [(406, _)] = answers {
            process.offset.distrust();
            under_way.reason = "the clock is wrong".to_owned();
            self.asks_for_time(asked.device)?;
            return self.asks_next(asked.device, asked.flight);
        }
        let mut swarm: Vec<SnodeRecord> = under_way.swarm.iter().map(|member| everybody[*member]).collect();
        if self.bug == Some(Bug::FormerMembersCount) {
            swarm.clone_from(everybody);
        }
        if answers.last().is_some_and(|(status, _)| *status == 421) {
            self.refreshes_list(asked.device)?;
        }
        let Some(process) = &mut self.devices[asked.device].process else { return Ok(()) };
        let Some(under_way) = process.flights.get_mut(&asked.flight) else { return Ok(()) };
        let verdicts = Errand::judge(requests, answers, &swarm);
        if Errand::is_progress(&verdicts) {
            return self.lands(asked.device, asked.flight, Some(verdicts));
        }
        match verdicts.into_iter().next() {
            Some(Verdict::Refused(why)) => {
                under_way.refused += 1;
                under_way.reason = why;
            }
            Some(Verdict::Failed(why)) => under_way.reason = why,
            _ => {}
        }
        self.asks_next(asked.device, asked.flight)
    }

    /// An attempt is over: what came of it is noted.
    fn lands(&mut self, device: usize, flight: u64, verdicts: Option<Vec<Verdict>>) -> Outcome {
        let random = self.rng.next_u32();
        let Some(process) = &mut self.devices[device].process else { return Ok(()) };
        let Some(Flight {
            errand, person, swarm, asked, refused, reason, of_own_lane, _place: place, ..
        }) = process.flights.remove(&flight)
        else {
            return Ok(());
        };
        let size = swarm.len();
        if verdicts.is_some() && swarm != self.swarm_of(person) {
            self.note(Kind::DoneByOldList);
        }
        let swarm = if self.bug == Some(Bug::StoredByMinority) { 1 } else { size as u32 };
        let refused = Errand::is_refused(refused, asked, size);
        if Errand::casts_doubt(verdicts.as_deref(), size) && !(verdicts.is_none() && refused) {
            self.doubts_list(device);
        }
        self.say(|world| format!("{} notes {verdicts:?} {reason}", world.name(device)));
        let noted = self.with_store(device, |store, now| -> Result<Vec<Changes>, StoreError> {
            match verdicts {
                Some(verdicts) => errand.note(store, &verdicts, swarm, now, random),
                None => errand.note_failure(store, &reason, refused, now, random),
            }
        })?;
        drop(place);
        for changes in noted.into_iter().flatten() {
            self.tells(device, &changes)?;
        }
        if of_own_lane {
            let wait =
                self.with_store(device, |store, _| store.documents_wait(Timestamp(0)))?.unwrap_or(true);
            let (now, random) = (self.time_of(device), self.rng.next_u32());
            let Some(process) = &mut self.devices[device].process else { return Ok(()) };
            process.lane_busy = false;
            if errand.has_documents() && wait {
                process.pushes.postpone(now.plus(pause_after(process.lane_failures, random)));
                process.lane_failures += 1;
            } else if errand.has_documents() {
                process.lane_failures = 0;
            }
        }
        self.wake_at(device, 0);
        Ok(())
    }
}

/// A request in a story.
fn told(request: &Request) -> String {
    let short = |hash: &MessageHash| hash.as_str().get(..6).unwrap_or_default().to_owned();
    let list = |hashes: &[MessageHash]| hashes.iter().map(short).collect::<Vec<_>>().join(" ");
    match request {
        Request::Store(store) => {
            let hash = MessageHash::of(&store.account, store.namespace, &store.data);
            format!("store {} in {}", short(&hash), store.namespace)
        }
        Request::Delete(delete) => format!("delete {}", list(&delete.messages)),
        Request::Expire(expire) => format!("shorten {}", list(&expire.messages)),
        _ => "something else".to_owned(),
    }
}
