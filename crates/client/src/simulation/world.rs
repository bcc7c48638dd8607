//! One world: its clock, its network, its queue of what happens next. The seed decides everything.
//!
//! Time stands still while something happens. The swarms are in [`super::swarm`], the devices in [`super::device`], what
//! they send and fetch in [`super::sending`] and [`super::receiving`], what people do in [`super::acts`] and what befalls
//! them in [`super::fate`].

use std::collections::{BTreeMap, BTreeSet};

use conclave_crypto::{Account, AccountId, RecoveryPhrase, RngCore as _};
use conclave_proto::rpc::Request;
use conclave_proto::rpc::answers::RetrieveAnswer;
use conclave_proto::{Namespace, SnodeRecord, Timestamp};
use conclave_testkit::SeededRng;
use conclave_testkit::worlds::{self, Happened};
pub(super) use conclave_testkit::worlds::{Outcome, Violation};
use serde_json::Value;

use super::Bug;
use super::coverage::Kind;
use super::device::Device;
use super::ledger::Ledger;
use super::swarm::{self, Member, Mood, Op};

/// When every world begins.
const BEGINNING: u64 = 1_700_000_000_000;
const NAMES: [&str; 6] = ["Alice", "Bob", "Carol", "Dave", "Eve", "Frank"];

/// Somebody with an account, and its swarm.
pub(super) struct Person {
    pub(super) name: &'static str,
    pub(super) phrase: RecoveryPhrase,
    pub(super) keys: Account,
    /// All that are or were members of its swarm. Who is one by now, [`World::lists`] say.
    pub(super) members: Vec<Member>,
    /// What node lists say of each of them.
    pub(super) records: Vec<SnodeRecord>,
    pub(super) devices: Vec<usize>,
}

/// What happens at some time. What belongs to a process names its life: after a restart nobody waits for it.
#[derive(Debug)]
pub(super) enum Event {
    /// A device looks what is due.
    Wake { device: usize, life: u64 },
    /// A member has been silent for long: another one is asked beside it.
    Impatience { device: usize, life: u64, flight: u64 },
    /// A request arrives at a member.
    Arrives { asked: Asked, requests: Vec<Request> },
    /// Its answer arrives at the device.
    Answered { asked: Asked, requests: Vec<Request>, answers: Vec<(u16, Value)>, time: Timestamp },
    /// No answer comes any more.
    Silence { asked: Asked },
    /// A device asks all members.
    Sweep { device: usize, life: u64 },
    /// A device's question for what is new arrives at a member.
    Reads { read: Read },
    /// The pages arrive.
    Pages { read: Read, pages: Vec<(Namespace, RetrieveAnswer)>, time: Timestamp },
    /// They do not.
    Unread { read: Read },
    /// A member says that it does not keep the mailbox.
    Misdirected { read: Read },
    /// A device asks for a newer node list.
    Refreshes { device: usize, life: u64 },
    /// A device has waited long enough for the members of a round.
    RoundEnds { device: usize, life: u64, round: u64 },
    /// A member hears of a write from the others.
    Replicates { person: usize, member: usize, op: Op },
    /// A node hears of a newer node list.
    HearsOfList { person: usize, member: usize },
    /// A former member brings what it has to those that keep it now.
    HandsOver { person: usize, member: usize },
    /// A member looks at what the others have.
    Compares { person: usize, member: usize },
    /// A member comes back.
    Up { person: usize, member: usize },
    /// A device is switched on.
    Start { device: usize },
    /// A device has a network again.
    Online { device: usize },
    /// A device has room on its disk again.
    Room { device: usize },
    /// The network is whole again.
    Heal,
}

/// A request of a device, in one attempt.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) device: usize,
    pub(super) life: u64,
    pub(super) flight: u64,
    /// Whose swarm.
    pub(super) person: usize,
    pub(super) member: usize,
    /// When, by the device's clock.
    pub(super) at: Timestamp,
}

/// A device reading a member.
#[derive(Clone, Debug)]
pub(super) struct Read {
    pub(super) device: usize,
    pub(super) life: u64,
    pub(super) member: usize,
    pub(super) mailboxes: Vec<Namespace>,
    pub(super) round: Option<u64>,
    pub(super) pages: usize,
    pub(super) at: Timestamp,
}

/// How requests fare.
#[derive(Debug, Default)]
pub(super) struct Network {
    /// Of a thousand.
    pub(super) lost: u64,
    pub(super) slow: u64,
    /// A write reaches a member only later.
    pub(super) late: u64,
    /// Devices and members that do not reach each other: (device, whose swarm, member).
    pub(super) cut: BTreeSet<(usize, usize, usize)>,
    /// Nothing bad happens any more.
    pub(super) perfect: bool,
    /// Days pass: nobody asks every minute.
    pub(super) slow_pace: bool,
}

pub(super) struct World {
    pub(super) seed: u64,
    pub(super) rng: SeededRng,
    /// The true time.
    now: u64,
    queue: BTreeMap<(u64, u64), Event>,
    numbers: u64,
    pub(super) people: Vec<Person>,
    /// All node lists so far: in each, the members of everybody's swarm.
    pub(super) lists: Vec<Vec<Vec<usize>>>,
    pub(super) devices: Vec<Device>,
    pub(super) ledger: Ledger,
    pub(super) happened: Happened<Kind>,
    pub(super) network: Network,
    /// Requests that members were asked to do: once all is said, there are none.
    pub(super) writes: u64,
    pub(super) acts: u64,
    pub(super) bug: Option<Bug>,
    trace: Option<Vec<String>>,
}

impl worlds::World for World {
    type Kind = Kind;
    type Bug = Bug;

    fn new(seed: u64, bug: Option<Bug>, traced: bool) -> Self {
        let mut world = Self {
            seed,
            rng: conclave_testkit::rng(seed),
            now: 0,
            queue: BTreeMap::new(),
            numbers: 0,
            people: Vec::new(),
            lists: vec![Vec::new()],
            devices: Vec::new(),
            ledger: Ledger::default(),
            happened: Happened::default(),
            network: Network::default(),
            writes: 0,
            acts: 0,
            bug,
            trace: traced.then(Vec::new),
        };
        world.network.lost = [0, 10, 60, 150][world.below(4)];
        world.network.slow = [0, 20, 100][world.below(3)];
        world.network.late = [0, 50, 300][world.below(3)];
        let people = [2, 2, 2, 3, 3, 4, 6][world.below(7)];
        for number in 0..people {
            world.is_born(number);
        }
        world
    }

    fn run(&mut self) -> Outcome {
        self.takes_its_course()
    }

    fn happened(&self) -> &Happened<Kind> {
        &self.happened
    }

    fn acts(&self) -> u64 {
        self.acts
    }

    fn into_trace(self) -> Vec<String> {
        self.trace.unwrap_or_default()
    }
}

impl World {
    fn is_born(&mut self, number: usize) {
        let phrase = RecoveryPhrase::from_seed16(&[0x11 * (number as u8 + 1); 16]);
        let size = 3 + self.below(3);
        let bad = if self.chance(600) { 1 + self.below((size - 1) / 2) } else { 0 };
        let keys = Account::from_phrase(&phrase);
        let name = NAMES[number];
        let (members, records, devices) = Default::default();
        self.people.push(Person { name, phrase, keys, members, records, devices });
        let mut swarm = Vec::new();
        for at in 0..size {
            let mood = if at < bad { self.some_mood() } else { Mood::Honest };
            swarm.push(self.new_member(number, mood));
        }
        self.lists[0].push(swarm);
    }

    /// Says what happens, if anybody reads it.
    pub(super) fn say(&mut self, what: impl FnOnce(&Self) -> String) {
        if self.trace.is_some() {
            let line = format!("{:>10.3} {}", self.now as f64 / 1_000.0, what(self));
            self.trace.iter_mut().for_each(|trace| trace.push(line.clone()));
        }
    }

    /// Milliseconds since the beginning.
    pub(super) const fn elapsed(&self) -> u64 {
        self.now
    }

    /// The time of a clock that is right.
    pub(super) const fn true_time(&self) -> Timestamp {
        Timestamp(BEGINNING + self.now)
    }

    pub(super) fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    pub(super) fn below(&mut self, n: usize) -> usize {
        (self.rng.next_u64() % n.max(1) as u64) as usize
    }

    pub(super) fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.rng.next_u64() % (to - from).max(1)
    }

    /// True in so many of a thousand cases.
    pub(super) fn chance(&mut self, of_thousand: u64) -> bool {
        self.rng.next_u64() % 1_000 < of_thousand
    }

    pub(super) fn note(&mut self, kind: Kind) {
        self.happened.note(kind);
    }

    pub(super) fn after(&mut self, milliseconds: u64, event: Event) {
        let number = self.number();
        self.queue.insert((self.now + milliseconds, number), event);
    }

    /// What a request or an answer takes.
    pub(super) fn latency(&mut self) -> u64 {
        if !self.network.perfect && self.chance(self.network.slow) {
            return self.between(1_000, 12_000);
        }
        self.between(5, 250)
    }

    pub(super) fn is_lost(&mut self) -> bool {
        !self.network.perfect && self.chance(self.network.lost)
    }

    /// Whether a device and a member reach each other now.
    pub(super) fn reaches(&self, device: usize, person: usize, member: usize) -> bool {
        self.devices[device].online
            && self.people[person].members[member].up
            && !self.people[person].members[member].lost
            && !self.network.cut.contains(&(device, person, member))
    }

    pub(super) fn person_of(&self, account: &AccountId) -> Option<usize> {
        self.people.iter().position(|person| person.keys.id() == account)
    }

    /// How a device is called in stories.
    pub(super) fn name(&self, device: usize) -> String {
        let person = self.devices[device].person;
        let at = self.people[person].devices.iter().position(|known| *known == device).unwrap_or(9);
        format!("{}{}", self.people[person].name, at + 1)
    }

    /// Lets everything happen that happens until then.
    pub(super) fn run_until(&mut self, then: u64) -> Outcome {
        while let Some(next) = self.queue.first_entry() {
            let at = next.key().0;
            if at > then {
                break;
            }
            let event = next.remove();
            self.now = at.max(self.now);
            self.happens(event)?;
        }
        self.now = then.max(self.now);
        Ok(())
    }

    fn happens(&mut self, event: Event) -> Outcome {
        match event {
            Event::Wake { device, life } if self.lives(device, life) => self.wakes(device),
            Event::Impatience { device, life, flight } if self.lives(device, life) => {
                self.asks_next(device, flight)
            }
            Event::Arrives { asked, requests } => {
                self.arrives(asked, requests);
                Ok(())
            }
            Event::Answered { asked, requests, answers, time } if self.lives(asked.device, asked.life) => {
                self.answered(asked, &requests, &answers, time)
            }
            Event::Silence { asked } if self.lives(asked.device, asked.life) => self.silence(asked),
            Event::Sweep { device, life } if self.lives(device, life) => self.sweeps(device),
            Event::Reads { read } => {
                self.reads(read);
                Ok(())
            }
            Event::Pages { read, pages, time } if self.lives(read.device, read.life) => {
                self.takes_pages(read, pages, time)
            }
            Event::Unread { read } if self.lives(read.device, read.life) => {
                self.has_read(&read, false);
                Ok(())
            }
            Event::RoundEnds { device, life, round } if self.lives(device, life) => {
                self.round_ends(device, round)
            }
            Event::Misdirected { read } if self.lives(read.device, read.life) => self.is_misdirected(&read),
            Event::Refreshes { device, life } if self.lives(device, life) => self.refreshes_list(device),
            Event::HearsOfList { person, member } => {
                self.hears_of_list(person, member);
                Ok(())
            }
            Event::HandsOver { person, member } => {
                self.hands_over(person, member);
                Ok(())
            }
            Event::Compares { person, member } => {
                self.compares(person, member);
                Ok(())
            }
            Event::Replicates { person, member, op } => {
                self.replicates(person, member, op);
                Ok(())
            }
            Event::Up { person, member } => {
                self.comes_up(person, member);
                Ok(())
            }
            Event::Start { device } => self.starts(device),
            Event::Online { device } => self.goes_online(device),
            Event::Room { device } => {
                self.has_room(device);
                Ok(())
            }
            Event::Heal => {
                if !self.network.cut.is_empty() {
                    self.network.cut.clear();
                    self.say(|_| "the network is whole again".to_owned());
                }
                Ok(())
            }
            // Of a process that is gone.
            _ => Ok(()),
        }
    }

    fn lives(&self, device: usize, life: u64) -> bool {
        self.devices[device].life == life && self.devices[device].process.is_some()
    }

    /// A member is asked, does it with the others it reaches, and answers.
    fn arrives(&mut self, asked: Asked, requests: Vec<Request>) {
        let Asked { person, member, .. } = asked;
        let clock = self.people[person].members[member].clock(self.true_time());
        let mut answers = Vec::new();
        for request in &requests {
            let answer = self.does(person, member, request, clock);
            let failed = answer.0 != 200;
            answers.push(answer);
            if failed {
                break;
            }
        }
        let latency = self.latency();
        if self.is_lost() || !self.reaches(asked.device, person, member) {
            self.note(Kind::AnswerLost);
            self.say(|world| format!("an answer to {} is lost", world.name(asked.device)));
            self.after(10_000, Event::Silence { asked });
        } else {
            self.after(latency, Event::Answered { asked, requests, answers, time: clock });
        }
    }

    fn does(&mut self, person: usize, entry: usize, request: &Request, clock: Timestamp) -> (u16, Value) {
        self.writes += 1;
        if !swarm::is_for(request, self.people[person].keys.id()) || !self.keeps(person, entry) {
            self.note(Kind::Misdirected);
            return (421, Value::from("not mine"));
        }
        if self.people[person].members[entry].mood == Mood::Refuses && !matches!(request, Request::Delete(_))
        {
            self.note(Kind::Refused);
            return (403, Value::from("I do not like it"));
        }
        if !swarm::admits(request, clock) {
            self.note(Kind::WrongTime);
            return (406, Value::from("your clock is wrong"));
        }
        let number = self.number();
        let Some(op) = swarm::operation(request, number) else { return (400, Value::from("what?")) };
        let mut did = Vec::new();
        let mut signers = BTreeSet::new();
        let swarm = self.swarm_by_member(person, entry);
        for &member in &swarm {
            let late = member != entry && !self.network.perfect && self.chance(self.network.late);
            if member != entry && !self.keeps(person, member) {
                // It is lost, has left and knows that, or has joined and does not know that.
                did.push(None);
            } else if late || !self.people[person].members[member].up {
                self.note(Kind::LateMember);
                let delay = self.between(500, 60_000);
                self.after(delay, Event::Replicates { person, member, op: op.clone() });
                did.push(None);
            } else {
                did.push(self.applies(person, member, &op));
                signers.insert(member);
            }
        }
        if let Request::Store(store) = request {
            let hash = conclave_proto::MessageHash::of(&store.account, store.namespace, &store.data);
            self.ledger.signed(hash, signers);
        }
        swarm::answer(&self.people[person].members, &swarm, entry, request, did, clock)
    }

    fn applies(
        &mut self,
        person: usize,
        member: usize,
        op: &Op,
    ) -> Option<conclave_proto::rpc::results::Outcome> {
        let now = self.true_time();
        let at = &mut self.people[person].members[member];
        let clock = at.clock(now);
        let (done, news) = at.apply(op, clock);
        if !news.is_empty() {
            for device in self.people[person].devices.clone() {
                self.hears_of_news(device, member);
            }
        }
        done
    }

    fn replicates(&mut self, person: usize, member: usize, op: Op) {
        if !self.keeps(person, member) {
            return;
        }
        if self.people[person].members[member].up {
            self.applies(person, member, &op);
        } else {
            self.people[person].members[member].backlog.push(op);
        }
    }

    pub(super) fn comes_up(&mut self, person: usize, member: usize) {
        let at = &mut self.people[person].members[member];
        if !at.up && !at.lost {
            at.up = true;
            let backlog = std::mem::take(&mut at.backlog);
            self.say(|world| format!("member {member} of {}'s swarm is back", world.people[person].name));
            for op in backlog {
                self.applies(person, member, &op);
            }
            self.will_hear_of_list(person, member);
            if !self.keeps(person, member) {
                self.after(0, Event::HandsOver { person, member });
            }
            self.all_will_compare(person);
        }
    }
}
