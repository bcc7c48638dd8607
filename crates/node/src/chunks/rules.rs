//! What a store, a renewal, a deletion and another member's word come to, and who gives way on a full disk
//! (docs/protocol/files). Performs no IO; time is an argument.
//!
//! Invariants: nothing but its file key's signed deletion, its own end, or a heavier file's having to give way ends a
//! commitment; no word of another member shortens one; a deleted one does not come back while any copy of it could live.

use std::time::Duration;

use conclave_crypto::Ed25519Public;
use conclave_proto::Timestamp;
use conclave_proto::chunk::{MAX_CHUNK_AGE_MS, MAX_CHUNK_LIFE_MS};

/// Commitments to one chunk that live. A seventeenth is refused, so that nobody's promise is pushed out by somebody else's.
pub(crate) const MAX_COMMITMENTS: usize = 16;
/// The longest life after a store or renewal.
const LIFE: Duration = Duration::from_millis(MAX_CHUNK_LIFE_MS);
/// The longest life after the first store.
const AGE: Duration = Duration::from_millis(MAX_CHUNK_AGE_MS);
/// How far clocks may be apart: of a client and a node, and of two nodes.
const CLOCKS: Duration = Duration::from_secs(60);

/// What a node has promised about a chunk to a file key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Commitment {
    /// When it was first stored under the key, as far as this node knows.
    pub(crate) first: Timestamp,
    /// When it ends. Of a deleted one: until when a copy elsewhere could live.
    pub(crate) expiry: Timestamp,
    /// Whether its file key has ended it.
    pub(crate) deleted: bool,
}

/// Why a chunk is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It would have ended already.
    Past,
    /// Too long a life.
    TooLong,
    /// Too long after the first store.
    TooOld,
    /// The file key has deleted this chunk.
    Deleted,
    /// There are [`MAX_COMMITMENTS`] already.
    TooMany,
    /// No room under the fairness rule.
    Full,
}

/// Who says until when a chunk is to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// A client, now.
    Client(Timestamp),
    /// Another member, with the time of the first store it knows of.
    Member {
        /// The first store.
        first: Timestamp,
        /// When it shall end.
        expiry: Timestamp,
    },
}

/// What storing comes to. `kept`: what there is of the same key; `others`: living commitments of other keys.
pub(crate) fn store(
    kept: Option<Commitment>,
    others: usize,
    claim: Claim,
    now: Timestamp,
) -> Result<Commitment, Refused> {
    let (first, expiry, most) = match claim {
        Claim::Client(expiry) => (now, expiry, now.plus(LIFE + CLOCKS)),
        // The entry node's clock may be ahead of this one's, and the client's ahead of that.
        Claim::Member { first, expiry } => (first.min(now), expiry, now.plus(LIFE + 2 * CLOCKS)),
    };
    if expiry <= now {
        return Err(Refused::Past);
    }
    if expiry > most {
        return Err(Refused::TooLong);
    }
    match kept.filter(|kept| kept.expiry > now) {
        Some(kept) if kept.deleted => Err(Refused::Deleted),
        // Its own word about when it began is the one a node goes by: a member that names an earlier time could
        // shorten lives, one that names a later time could lengthen them.
        Some(kept) if expiry > kept.first.plus(AGE) => Err(Refused::TooOld),
        Some(kept) => Ok(Commitment { expiry: expiry.max(kept.expiry), ..kept }),
        None if expiry > first.plus(AGE) => Err(Refused::TooOld),
        None if others >= MAX_COMMITMENTS => Err(Refused::TooMany),
        None => Ok(Commitment { first, expiry, deleted: false }),
    }
}

/// What a renewal comes to; `None` if there is nothing to be renewed.
pub(crate) fn renew(kept: Commitment, expiry: Timestamp, now: Timestamp) -> Option<Commitment> {
    let lives = !kept.deleted && kept.expiry > now;
    let most = kept.first.plus(AGE).min(now.plus(LIFE + CLOCKS));
    lives.then(|| Commitment { expiry: kept.expiry.max(expiry.min(most)), ..kept })
}

/// What a deletion comes to; `None` if there is nothing to be deleted.
pub(crate) fn delete(kept: Commitment, now: Timestamp) -> Option<Commitment> {
    (kept.expiry > now).then(|| deleted(kept.first))
}

/// A deleted commitment that began then.
pub(crate) fn deleted(first: Timestamp) -> Commitment {
    Commitment { first, expiry: first.plus(AGE), deleted: true }
}

/// What is to be done about another member's commitment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Take {
    /// Nothing.
    Nothing,
    /// Ask for the proof that it was deleted.
    Proof,
    /// It lives longer there: this is what the own one becomes.
    Lengthen(Commitment),
    /// It is not here: fetch the chunk, if it is not here either, and store it.
    Keep,
}

/// What a member's word comes to. Only what the rules of [`store`] allow at `now` is taken.
pub(crate) fn take(kept: Option<Commitment>, others: usize, told: Commitment, now: Timestamp) -> Take {
    let kept = kept.filter(|kept| kept.expiry > now);
    match (kept, told.deleted) {
        (Some(kept), true) if kept.deleted => Take::Nothing,
        // Not of the future, and not so old that nothing it could concern lives.
        (_, true) if told.first > now.plus(CLOCKS) || told.first.plus(AGE) <= now => Take::Nothing,
        (_, true) => Take::Proof,
        (Some(kept), false) => {
            let most = kept.first.plus(AGE).min(now.plus(LIFE + 2 * CLOCKS));
            let expiry = told.expiry.min(most);
            if kept.deleted || expiry <= kept.expiry {
                Take::Nothing
            } else {
                Take::Lengthen(Commitment { expiry, ..kept })
            }
        }
        (None, false) => {
            let claim = Claim::Member { first: told.first, expiry: told.expiry };
            if store(None, others, claim, now).is_ok() { Take::Keep } else { Take::Nothing }
        }
    }
}

/// What a chunk of so many bytes counts, in KiB; and one more for each of its commitments, which need room of their own.
pub(crate) fn units(bytes: u64) -> u64 {
    bytes.div_ceil(1024)
}

/// How heavy `units` are that are promised until `expiry`, in KiB × seconds.
pub(crate) fn weight(units: u64, expiry: Timestamp, now: Timestamp) -> u128 {
    u128::from(units) * u128::from(expiry.since(now).as_secs())
}

/// A full disk, as [`make_room`] sees it.
pub(crate) trait Shelf {
    /// What can go wrong with it.
    type Error;
    /// A commitment that may have to go.
    type Piece;

    /// What is free, in [`units`].
    fn free(&self) -> Result<u64, Self::Error>;
    /// The heaviest file and its weight.
    fn heaviest(&mut self) -> Result<Option<(Ed25519Public, u128)>, Self::Error>;
    /// One of its commitments, and what that weighs.
    fn piece_of(&mut self, file: &Ed25519Public) -> Result<Option<(Self::Piece, u128)>, Self::Error>;
    /// Ends it.
    fn push_out(&mut self, piece: Self::Piece) -> Result<(), Self::Error>;
}

/// Makes room for `needed` units of `newcomer`, which weighs `with_it` with what is added. `false` if nobody has to give
/// way; the caller takes back what was pushed out so far.
pub(crate) fn make_room<S: Shelf>(
    shelf: &mut S,
    needed: u64,
    newcomer: &Ed25519Public,
    with_it: u128,
) -> Result<bool, S::Error> {
    while shelf.free()? < needed {
        let Some((file, weight)) = shelf.heaviest()? else { return Ok(false) };
        if file == *newcomer {
            return Ok(false);
        }
        let Some((piece, lost)) = shelf.piece_of(&file)? else { return Ok(false) };
        if weight.saturating_sub(lost) < with_it {
            return Ok(false);
        }
        shelf.push_out(piece)?;
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::convert::Infallible;

    use conclave_crypto::Ed25519Secret;
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000_000);
    const DAY: Duration = Duration::from_secs(86_400);

    fn live(first: Timestamp, expiry: Timestamp) -> Commitment {
        Commitment { first, expiry, deleted: false }
    }

    #[test]
    fn a_store_lives_thirty_days_at_most_and_ninety_after_the_first() {
        let asked = |days: u32| Claim::Client(NOW.plus(DAY * days));
        assert_eq!(store(None, 0, asked(30), NOW), Ok(live(NOW, NOW.plus(DAY * 30))));
        assert_eq!(store(None, 0, asked(31), NOW), Err(Refused::TooLong));
        assert_eq!(store(None, 0, Claim::Client(NOW), NOW), Err(Refused::Past));
        let kept = live(NOW.minus(DAY * 80), NOW.plus(DAY));
        assert_eq!(
            store(Some(kept), 0, asked(10), NOW),
            Ok(Commitment { expiry: NOW.plus(DAY * 10), ..kept })
        );
        assert_eq!(store(Some(kept), 0, asked(11), NOW), Err(Refused::TooOld));
        let claim = Claim::Member { first: NOW.minus(DAY * 80), expiry: NOW.plus(DAY * 11) };
        assert_eq!(store(None, 0, claim, NOW), Err(Refused::TooOld));
    }

    #[test]
    fn a_seventeenth_key_is_refused_and_the_others_may_go_on() {
        let claim = Claim::Client(NOW.plus(DAY));
        assert!(store(None, MAX_COMMITMENTS - 1, claim, NOW).is_ok());
        assert_eq!(store(None, MAX_COMMITMENTS, claim, NOW), Err(Refused::TooMany));
        let kept = live(NOW.minus(DAY), NOW.plus(Duration::from_secs(1)));
        assert!(store(Some(kept), MAX_COMMITMENTS, claim, NOW).is_ok());
    }

    #[test]
    fn what_is_deleted_stays_so_until_no_copy_can_live() {
        let gone = delete(live(NOW, NOW.plus(DAY)), NOW).unwrap();
        assert_eq!(
            store(Some(gone), 0, Claim::Client(NOW.plus(DAY * 2)), NOW.plus(DAY)),
            Err(Refused::Deleted)
        );
        assert_eq!(renew(gone, NOW.plus(DAY * 3), NOW.plus(DAY)), None);
        let last = NOW.plus(DAY * 90).minus(Duration::from_millis(1));
        assert_eq!(store(Some(gone), 0, Claim::Client(last.plus(DAY)), last), Err(Refused::Deleted));
        assert_eq!(delete(gone, last), Some(gone), "again");
        let after = NOW.plus(DAY * 90);
        assert!(store(Some(gone), 0, Claim::Client(after.plus(DAY)), after).is_ok());
    }

    fn time() -> impl Strategy<Value = Timestamp> {
        (-100i64..100).prop_map(|days| Timestamp(NOW.0.saturating_add_signed(days * 43_200_000)))
    }

    fn commitment() -> impl Strategy<Value = Commitment> {
        (time(), time(), any::<bool>()).prop_map(|(first, expiry, gone)| {
            if gone { deleted(first) } else { live(first, expiry.min(first.plus(AGE))) }
        })
    }

    proptest! {
        /// Whatever is asked: a life is never shortened, never longer than the limits, and never begins again after a
        /// deletion.
        #[test]
        fn lives_are_never_shortened_nor_longer_than_allowed(
            kept in proptest::option::of(commitment()), asked in time(), told in commitment(), others in 0usize..20,
        ) {
            let was = kept.filter(|kept| kept.expiry > NOW);
            let mut after = Vec::new();
            for claim in [Claim::Client(asked), Claim::Member { first: told.first, expiry: told.expiry }] {
                after.extend(store(kept, others, claim, NOW).ok());
            }
            after.extend(was.and_then(|kept| renew(kept, asked, NOW)));
            if let Take::Lengthen(longer) = take(kept, others, told, NOW) {
                after.push(longer);
            }
            for now in after {
                prop_assert!(now.expiry > NOW && !now.deleted);
                prop_assert!(now.expiry <= now.first.plus(AGE));
                if let Some(was) = was {
                    prop_assert!(!was.deleted && now.expiry >= was.expiry && now.first == was.first);
                    prop_assert!(now.expiry <= was.expiry.max(NOW.plus(LIFE + 2 * CLOCKS)));
                } else {
                    prop_assert!(now.expiry <= NOW.plus(LIFE + 2 * CLOCKS) && others < MAX_COMMITMENTS);
                }
            }
        }

        /// Members that tell each other come to the same, whoever tells first: a deletion wherever there was one, else
        /// the longest life that each may take.
        #[test]
        fn two_members_that_tell_each_other_agree(
            first in 0u32..60, lives in (1u32..30, 1u32..30), gone in (any::<bool>(), any::<bool>()),
        ) {
            let first = NOW.minus(DAY * first);
            let of = |life: u32, gone: bool| if gone { deleted(first) } else { live(first, NOW.plus(DAY * life)) };
            let (one, other) = (of(lives.0, gone.0), of(lives.1, gone.1));
            let told = |kept: Commitment, told: Commitment| match take(Some(kept), 0, told, NOW) {
                Take::Nothing => kept,
                Take::Proof => deleted(kept.first),
                Take::Lengthen(longer) => longer,
                Take::Keep => unreachable!("it is here"),
            };
            prop_assert_eq!(told(one, other), told(other, one));
        }
    }

    /// A disk of 100 units in memory: pieces by file, all with the same life.
    struct Small {
        files: BTreeMap<[u8; 32], Vec<u64>>,
        life: u64,
    }

    impl Shelf for Small {
        type Error = Infallible;
        type Piece = [u8; 32];

        fn free(&self) -> Result<u64, Infallible> {
            Ok(100 - self.files.values().flatten().sum::<u64>())
        }

        fn heaviest(&mut self) -> Result<Option<(Ed25519Public, u128)>, Infallible> {
            let weigh = |pieces: &Vec<u64>| u128::from(pieces.iter().sum::<u64>() * self.life);
            let heaviest = self.files.iter().map(|(key, pieces)| (weigh(pieces), *key)).max();
            Ok(heaviest.map(|(weight, key)| (Ed25519Public::from_bytes(key).unwrap(), weight)))
        }

        fn piece_of(&mut self, file: &Ed25519Public) -> Result<Option<([u8; 32], u128)>, Infallible> {
            let last = self.files.get(file.as_bytes()).and_then(|pieces| pieces.last());
            Ok(last.map(|units| (*file.as_bytes(), u128::from(units * self.life))))
        }

        fn push_out(&mut self, piece: [u8; 32]) -> Result<(), Infallible> {
            self.files.get_mut(&piece).unwrap().pop();
            self.files.retain(|_, pieces| !pieces.is_empty());
            Ok(())
        }
    }

    fn key(n: u8) -> Ed25519Public {
        Ed25519Secret::from_seed(&[n; 32]).public()
    }

    proptest! {
        /// However a flood is spread over four keys and many pieces: a file that is lighter than the lightest the heaviest of
        /// them can be when the disk is full is let in, and loses nothing to it.
        #[test]
        fn who_asks_for_little_is_let_in_and_not_pushed_out_by_who_asks_for_much(
            own in 1u64..4, flood in proptest::collection::vec((10u8..14, 1u64..20), 1..200),
        ) {
            let mut shelf = Small { files: BTreeMap::new(), life: 10 };
            let add = |shelf: &mut Small, who: Ed25519Public, units: u64| {
                let has = shelf.files.get(who.as_bytes()).map_or(0, |pieces| pieces.iter().sum::<u64>());
                let before = shelf.files.clone();
                let weight = u128::from((has + units) * shelf.life);
                let Ok(room) = make_room(shelf, units, &who, weight);
                if room {
                    shelf.files.entry(*who.as_bytes()).or_default().push(units);
                } else {
                    shelf.files = before;
                }
                room
            };
            for (who, units) in &flood {
                add(&mut shelf, key(*who), *units);
            }
            // Four files of less than this and a piece besides leave room for it.
            for _ in 0..own {
                prop_assert!(add(&mut shelf, key(1), 1));
            }
            for (who, units) in &flood {
                add(&mut shelf, key(*who), *units);
            }
            let left: u64 = shelf.files.get(key(1).as_bytes()).map_or(0, |pieces| pieces.iter().sum());
            prop_assert_eq!(left, own);
        }
    }
}
