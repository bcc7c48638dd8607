//! What has happened in the worlds that were simulated: an event that never occurs is not tested.

use std::collections::BTreeMap;

/// Every kind of event must occur in at least so many of a hundred worlds.
const LEAST_PERCENT: usize = 5;

macro_rules! kinds {
    ($($kind:ident = $text:literal,)*) => {
        /// A kind of event.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub(super) enum Kind { $($kind,)* }

        impl Kind {
            const ALL: &'static [(Self, &'static str)] = &[$((Self::$kind, $text),)*];
        }
    };
}

kinds! {
    Store = "a message is stored",
    Restore = "the same message is stored again",
    RestoreDeleted = "a deleted message is stored again",
    Delete = "messages are deleted by hash",
    DeleteAll = "delete_all",
    DeleteBefore = "delete_before",
    ExpireSet = "an expiry is set",
    ExpireSetCuts = "an expiry is set earlier than it was",
    Extend = "an expiry is extended",
    Shorten = "an expiry is shortened",
    ExpireAll = "expire_all",
    Revoke = "a subaccount is revoked",
    Unrevoke = "a revocation is taken back",
    BySubaccount = "a subaccount writes",
    Repeated = "a client asks twice",
    AllSigned = "all members sign a write",
    SomeSigned = "only some members sign a write",
    OneSigned = "only one of several members signs a write",
    KnownDown = "a member is known to be down and not waited for",
    TimedOut = "a member does not answer in time",
    Read = "a mailbox is read",
    WrongSignature = "a wrong signature is refused",
    WrongSwarm = "a node of another swarm refuses",
    Revoked = "a revoked subaccount is refused",
    Crash = "a node crashes",
    CrashInWrite = "a node crashes in the middle of a write",
    SlowCommit = "a commit takes seconds",
    CrashInStart = "a node crashes while it starts",
    LostDisk = "a node loses its disk",
    ClockSet = "a clock is set",
    Partition = "the network is partitioned",
    Heal = "a partition heals",
    LostTraffic = "a message between nodes is lost",
    TwiceTraffic = "a message between nodes comes twice",
    SlowTraffic = "a message between nodes takes seconds",
    Join = "a node joins",
    Leave = "a node leaves",
    Rejoin = "a node that had left comes back with its old disk",
    SwarmCreated = "a swarm is created",
    SwarmDissolved = "a swarm is dissolved",
    NodeMoved = "a node is moved to another swarm",
    LateDirectory = "a node hears of a new directory late",
    ChangedUnderWrite = "the swarm changes under a running write",
    Hours = "hours pass",
    Days = "days pass",
    Month = "more than a month passes",
    Expired = "messages expire and are swept",
    Owed = "a debt is noted",
    Paid = "a debt is paid",
    WrittenOff = "a debt is written off",
    PulledMessages = "comparing brings messages",
    PulledOperations = "comparing brings operations",
    MovedMessages = "messages are moved to another swarm",
    MovedOperations = "operations are moved to another swarm",
    Parts = "what is handed over comes in parts",
}

/// How often what happened in one world.
#[derive(Clone, Debug, Default)]
pub(super) struct Happened(BTreeMap<Kind, u64>);

impl Happened {
    pub(super) fn note(&mut self, kind: Kind) {
        *self.0.entry(kind).or_default() += 1;
    }
}

/// Over many worlds.
#[derive(Debug, Default)]
pub(super) struct Coverage {
    worlds: usize,
    in_worlds: BTreeMap<Kind, usize>,
    times: BTreeMap<Kind, u64>,
}

impl Coverage {
    pub(super) fn add(&mut self, happened: &Happened) {
        self.worlds += 1;
        for (kind, times) in &happened.0 {
            *self.in_worlds.entry(*kind).or_default() += 1;
            *self.times.entry(*kind).or_default() += times;
        }
    }

    /// A line for each kind.
    pub(super) fn table(&self) -> String {
        let mut table = format!("{:55} {:>9} {:>10}\n", "event", "% worlds", "times");
        for (kind, text) in Kind::ALL {
            let times = self.times.get(kind).copied().unwrap_or(0);
            table += &format!("{text:55} {:>9} {times:>10}\n", self.percent(*kind));
        }
        table
    }

    /// The kinds that are too rare.
    pub(super) fn rare(&self) -> Vec<&'static str> {
        let rare = Kind::ALL.iter().filter(|(kind, _)| self.percent(*kind) < LEAST_PERCENT);
        rare.map(|(_, text)| *text).collect()
    }

    fn percent(&self, kind: Kind) -> usize {
        self.in_worlds.get(&kind).copied().unwrap_or(0) * 100 / self.worlds.max(1)
    }
}
