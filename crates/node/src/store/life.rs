//! How long a message lives, as something any number of nodes can learn in any order.
//!
//! A life is the set of its *raises* (a store, an extension: "at least until …") and *cuts* (a shortened expiry, a
//! deletion: "at most until …"), each with the time of the write that made it. The expiry is what comes out when all are
//! applied in order of time. Lives are joined by uniting the sets, so joining is commutative, associative and idempotent by
//! construction. What can never matter again, whatever is still learnt, is forgotten: nearly always one raise is left.
//!
//! Knows neither messages nor databases.

use std::time::Duration;

use conclave_proto::Timestamp;

/// How long after the fact a deletion or a cut is remembered: no copy of a message can outlive it, since no write
/// makes a message live for more than thirty days from then. (storage-and-onion 2.7, 2.12)
pub const MEMORY: Duration = Duration::from_secs(31 * 24 * 60 * 60);

/// Most raises, and most cuts, of one life. Beyond the first few only somebody who tries makes more: each has to reach less
/// far than all before it.
const MOST: usize = 16;

/// "Keep it at least until `expiry`", said at `at`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Raise {
    /// When.
    pub at: Timestamp,
    /// Until when.
    pub expiry: Timestamp,
}

/// "Keep it at most until `expiry`", said at `at`; [`Timestamp`] 0 is a deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Cut {
    pub(super) at: Timestamp,
    pub(super) expiry: Timestamp,
}

impl Cut {
    pub(super) const fn deletion(at: Timestamp) -> Self {
        Self { at, expiry: Timestamp(0) }
    }
}

/// The raises and cuts of one message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Life {
    /// By time, each reaching less far than the one before it: a later one that reaches as far makes it superfluous.
    raises: Vec<Raise>,
    /// By time, each lowering less than the one before it.
    cuts: Vec<Cut>,
}

impl Life {
    pub(super) fn of(raises: &[Raise], cuts: &[Cut]) -> Self {
        let mut life = Self::default();
        raises.iter().for_each(|raise| life.raise(*raise));
        cuts.iter().for_each(|cut| life.cut(*cut));
        life
    }

    pub(super) fn raises(&self) -> &[Raise] {
        &self.raises
    }

    pub(super) fn cuts(&self) -> &[Cut] {
        &self.cuts
    }

    /// Learns of a raise.
    pub(super) fn raise(&mut self, new: Raise) {
        let superfluous = |one: &Raise, other: &Raise| other.at >= one.at && other.expiry >= one.expiry;
        if self.raises.iter().any(|known| superfluous(&new, known)) {
            return;
        }
        self.raises.retain(|known| !superfluous(known, &new));
        self.raises.push(new);
        self.raises.sort_unstable();
        self.forget_the_deleted();
        if self.raises.len() > MOST {
            // The furthest and the latest stay.
            self.raises.remove(1);
        }
    }

    /// Learns of a cut.
    pub(super) fn cut(&mut self, new: Cut) {
        let superfluous = |one: &Cut, other: &Cut| other.at >= one.at && other.expiry <= one.expiry;
        if self.cuts.iter().any(|known| superfluous(&new, known)) {
            return;
        }
        self.cuts.retain(|known| !superfluous(known, &new));
        self.cuts.push(new);
        self.cuts.sort_unstable();
        self.forget_the_deleted();
        if self.cuts.len() > MOST {
            // The lowest, a deletion perhaps, and the latest stay.
            self.cuts.remove(1);
        }
    }

    /// When the message was last deleted by name.
    pub(super) fn deleted_at(&self) -> Option<Timestamp> {
        self.cuts.first().filter(|cut| cut.expiry == Timestamp(0)).map(|cut| cut.at)
    }

    /// Until when the message is kept: all raises and cuts in order of time. At the same time a raise comes last: what is in
    /// doubt is kept.
    pub(super) fn expiry(&self) -> Timestamp {
        let mut cuts = self.cuts.iter().peekable();
        let mut expiry = Timestamp(0);
        for raise in &self.raises {
            while let Some(cut) = cuts.next_if(|cut| cut.at <= raise.at) {
                expiry = expiry.min(cut.expiry);
            }
            expiry = expiry.max(raise.expiry);
        }
        cuts.fold(expiry, |expiry, cut| expiry.min(cut.expiry))
    }

    /// Until when the cuts have to be remembered when the message is gone.
    pub(super) fn remembered_until(&self) -> Option<Timestamp> {
        self.cuts.last().map(|cut| cut.at.plus(MEMORY))
    }

    fn forget_the_deleted(&mut self) {
        if let Some(deleted_at) = self.deleted_at() {
            self.raises.retain(|raise| raise.at >= deleted_at);
        }
    }

    /// For the database: of each raise and cut a letter and two numbers.
    pub(super) fn encode(&self) -> Vec<u8> {
        let raises = self.raises.iter().map(|raise| (b'r', raise.at, raise.expiry));
        let cuts = self.cuts.iter().map(|cut| (b'c', cut.at, cut.expiry));
        let mut out = Vec::new();
        for (kind, at, expiry) in raises.chain(cuts) {
            out.push(kind);
            out.extend(at.0.to_be_bytes());
            out.extend(expiry.0.to_be_bytes());
        }
        out
    }

    /// Reads [`Self::encode`]. `None` if it is none.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut life = Self::default();
        let (entries, rest) = bytes.as_chunks::<17>();
        for [kind, numbers @ ..] in entries {
            let (at, expiry) = numbers.split_first_chunk::<8>()?;
            let at = Timestamp(u64::from_be_bytes(*at));
            let expiry = Timestamp(u64::from_be_bytes(expiry.try_into().ok()?));
            match kind {
                b'r' => life.raise(Raise { at, expiry }),
                b'c' => life.cut(Cut { at, expiry }),
                _ => return None,
            }
        }
        rest.is_empty().then_some(life)
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Copy, Debug)]
    enum Event {
        Raise(Raise),
        Cut(Cut),
    }

    fn raise(at: u64, expiry: u64) -> Event {
        Event::Raise(Raise { at: Timestamp(at), expiry: Timestamp(expiry) })
    }

    fn cut(at: u64, expiry: u64) -> Event {
        Event::Cut(Cut { at: Timestamp(at), expiry: Timestamp(expiry) })
    }

    fn life(events: &[Event]) -> Life {
        let mut life = Life::default();
        for event in events {
            match event {
                Event::Raise(raise) => life.raise(*raise),
                Event::Cut(cut) => life.cut(*cut),
            }
        }
        life
    }

    /// What the events mean, with nothing forgotten.
    fn in_order_of_time(events: &[Event]) -> Timestamp {
        let mut events = events.to_vec();
        events.sort_by_key(|event| match event {
            Event::Cut(cut) => (cut.at, 0),
            Event::Raise(raise) => (raise.at, 1),
        });
        events.iter().fold(Timestamp(0), |expiry, event| match event {
            Event::Raise(raise) => expiry.max(raise.expiry),
            Event::Cut(cut) => expiry.min(cut.expiry),
        })
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            (0u64..12, 1u64..12).prop_map(|(at, expiry)| raise(at, expiry)),
            (0u64..12, 0u64..12).prop_map(|(at, expiry)| cut(at, expiry)),
        ]
    }

    #[test]
    fn a_life_is_what_its_raises_and_cuts_say_in_order_of_time() {
        let cases = [
            (vec![raise(1, 100)], 100),
            (vec![raise(1, 100), raise(7, 80)], 100),
            (vec![raise(1, 100), cut(5, 60)], 60),
            (vec![raise(1, 100), cut(5, 60), raise(7, 80)], 80),
            (vec![cut(5, 60), raise(7, 80), raise(1, 100)], 80),
            (vec![raise(1, 30), cut(5, 60)], 30),
            (vec![cut(5, 60), cut(6, 90), raise(1, 100)], 60),
            (vec![raise(1, 100), cut(5, 0)], 0),
            (vec![raise(1, 100), cut(5, 0), raise(9, 50)], 50),
        ];
        for (events, expiry) in cases {
            assert_eq!(life(&events).expiry(), Timestamp(expiry), "{events:?}");
        }
        let renewed: Vec<Event> = (1..100).map(|n| raise(n, 100 + n)).collect();
        assert_eq!(life(&renewed).raises().len(), 1, "renewing does not pile up");
    }

    #[test]
    fn a_life_stays_small_and_keeps_its_ends() {
        let sinking: Vec<Event> = (1..200).flat_map(|n| [raise(n, 1_000 - n), cut(n, n)]).collect();
        let life = life(&sinking);
        assert_eq!((life.raises().len(), life.cuts().len()), (MOST, MOST));
        assert_eq!(life.raises().first().unwrap().expiry, Timestamp(999));
        assert_eq!(life.raises().last().unwrap().at, Timestamp(199));
        assert_eq!(life.cuts().first().unwrap().expiry, Timestamp(1));
        assert_eq!(life.cuts().last().unwrap().at, Timestamp(199));
    }

    proptest! {
        #[test]
        fn the_order_of_learning_changes_nothing(events in vec(event(), 1..12).prop_shuffle(), cut in any::<prop::sample::Index>()) {
            let whole = life(&events);
            prop_assert_eq!(whole.expiry(), in_order_of_time(&events));
            // In two parts, learnt by two nodes that then tell each other, one of them twice.
            let (one, other) = events.split_at(cut.index(events.len()));
            let (one, other) = (life(one), life(other));
            let joined = |a: &Life, b: &Life| {
                let (raises, cuts) = ([a.raises(), b.raises(), b.raises()].concat(), [a.cuts(), b.cuts()].concat());
                Life::of(&raises, &cuts)
            };
            prop_assert_eq!(&joined(&one, &other), &whole);
            prop_assert_eq!(&joined(&other, &one), &whole);
            prop_assert_eq!(joined(&whole, &one), whole);
        }

        #[test]
        fn a_life_is_read_as_it_was_written(events in vec(event(), 0..12)) {
            let life = life(&events);
            prop_assert_eq!(Life::decode(&life.encode()), Some(life.clone()));
            prop_assert_eq!(Life::decode(&[life.encode(), vec![0]].concat()), None);
        }
    }
}
