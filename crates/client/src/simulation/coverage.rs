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
    Text = "a message is written",
    Reply = "a reply is written",
    NoteToSelf = "a note to oneself is written",
    TimedMessage = "a message that disappears is written",
    Edit = "a message is edited",
    Unsend = "a message is deleted everywhere",
    DeletedOnMyDevices = "a message is deleted on one's own devices",
    DeletedHere = "a message is deleted on one device",
    Reaction = "somebody reacts",
    ReactionTakenBack = "a reaction is taken back",
    Read = "a chat is read",
    MarkedUnread = "a chat is marked as unread",
    Typing = "somebody types",
    TimerChanged = "a timer is changed",
    Settings = "a device's settings are changed",
    Nickname = "a nickname is given",
    Blocked = "somebody is blocked",
    Unblocked = "somebody is unblocked",
    Hidden = "a chat is hidden",
    Pinned = "a chat is pinned",
    Muted = "a chat is muted",
    Erased = "a contact is erased",
    ErasedForGood = "a contact is erased and silent since",
    SpokeAgain = "somebody who was erased writes again",
    Accepted = "a request is accepted",
    Renamed = "somebody changes their name",
    Saved = "a file is saved",
    StoredWeakly = "a message is stored by a minority",
    Delivered = "a message is delivered",
    ReadByPeer = "a message is read by the other side",
    Restored = "a device begins with the phrase",
    LinkedLater = "a device is linked later",
    SettingsFirst = "settings are found before messages are read",
    Restart = "a device restarts",
    KilledInWrite = "a device is killed in the middle of a write",
    DiskFull = "something is not done because the disk is full",
    Offline = "a device has no network for a while",
    Days = "a device is off for days",
    WithoutTime = "somebody acts without knowing the network's time",
    WrongTime = "a member refuses a wrong time",
    Partition = "the network is partitioned",
    MemberDown = "a member goes down",
    LateMember = "a member hears of a write late",
    RequestLost = "a request is lost",
    AnswerLost = "an answer is lost",
    Refused = "a member refuses",
    Duplicate = "something comes again",
    MorePages = "a mailbox has more than a page",
    ReadFromWithholding = "a member that withholds is read",
    ReadFromReplaying = "a member that replays is read",
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
