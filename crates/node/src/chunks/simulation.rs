//! A swarm's chunks, simulated: the real store, rules and comparing, under a clock and losses that one number decides.
//!
//! Five members, of which one may lie. People store pieces of files, renew and delete them; requests reach some members and
//! not others; members restart, die in the middle of a write, and find files damaged or gone; days pass. What must hold:
//!
//! 1. What a majority has signed for can be had from an honest member as long as it was promised, unless its file key has
//!    deleted it.
//! 2. What a majority has deleted is had under that key from no honest member, when all have compared, and never after that.
//! 3. When all have compared, honest members keep the same.
//!
//! Some worlds in an ordinary run, a thousand with `CONCLAVE_LONG=1`, one with `CONCLAVE_SEED=n`. Only transports are not the real
//! ones, and the members of the swarm stay the same.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use conclave_crypto::{Ed25519Public, Ed25519Secret};
use conclave_proto::Timestamp;
use conclave_proto::chunk::ChunkHash;
use conclave_proto::chunk_sync::{self as wire, Digests, DigestsRequest, FetchRequest, Names, NamesRequest};
use conclave_proto::rpc::chunk::ChunkChange;
use conclave_proto::rpc::{ChunkRequest, Request};
use conclave_testkit::{SeededRng, rng, seeds};
use rand_core::RngCore as _;

use super::agree::{Keeper, Other, compare};
use super::rules::Claim;
use super::store::{ChunkStore, Dies, Found, Options};
use super::{Chunk, ChunkStoreError};

const START: Timestamp = Timestamp(1_800_000_000_000);
const MEMBERS: usize = 5;
const MAJORITY: usize = MEMBERS / 2 + 1;
/// Things that happen in a world.
const STEPS: usize = 120;
/// Worlds of an ordinary run, and of a long one.
const WORLDS: (u64, u64) = (12, 1_000);
const HOUR: Duration = Duration::from_secs(3_600);

/// How a member lies, if it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lie {
    /// It signs and keeps nothing.
    Forgets,
    /// It gives other bytes, and says that everything was deleted and lives for ever.
    Invents,
}

/// A mistake that is made on purpose, to see that it is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bug {
    /// Members hand nobody the proof of a deletion.
    ProofsAreKeptBack,
    /// Members that lack something do not fetch it.
    NothingIsFetched,
}

struct Member {
    dir: PathBuf,
    open: Option<ChunkStore>,
    /// How far its clock is off, in milliseconds.
    skew: i64,
    lie: Option<Lie>,
    /// It dies in the middle of its next write.
    dying: bool,
}

impl Member {
    fn store(&self) -> &ChunkStore {
        self.open.as_ref().unwrap()
    }

    fn open(dir: &Path, dies: Option<Dies>) -> ChunkStore {
        ChunkStore::open(dir, &Options { dies, ..Options::new(1 << 30) }).unwrap()
    }
}

/// A member as it compares.
struct Comparing<'a> {
    member: &'a Member,
    now: Timestamp,
}

impl Keeper for Comparing<'_> {
    fn store(&self) -> &ChunkStore {
        self.member.store()
    }

    async fn digests(&self, cutoff: Timestamp) -> Result<Digests, ChunkStoreError> {
        self.member.store().digests(cutoff).await
    }

    fn now(&self) -> Timestamp {
        self.now
    }

    fn is_ours(&self, _: &ChunkHash) -> bool {
        true
    }
}

/// A member as it is compared with. Every so many answers are lost.
struct Compared<'a> {
    member: &'a Member,
    now: Timestamp,
    lost: u64,
    bug: Option<Bug>,
}

impl Compared<'_> {
    fn is_lost(&self, what: &[u8]) -> bool {
        let [first, ..] = ChunkHash::of(&[what, &self.now.0.to_be_bytes()].concat()).0;
        self.lost > 0 && u64::from(first) % self.lost == 0
    }
}

impl Other for Compared<'_> {
    fn name(&self) -> String {
        "a simulated member".to_owned()
    }

    async fn ask(&self, endpoint: &'static str, body: &[u8]) -> Result<Bytes, String> {
        let text = |error: ChunkStoreError| error.to_string();
        let (store, lies) = (self.member.store(), self.member.lie == Some(Lie::Invents));
        if self.is_lost(body) {
            return Err("lost".to_owned());
        }
        Ok(match endpoint {
            wire::DIGESTS if lies => {
                let request = DigestsRequest::decode(body).unwrap();
                let mut bytes = store.digests(request.cutoff).await.map_err(text)?.encode();
                bytes.iter_mut().rev().for_each(|byte| *byte = !*byte);
                bytes.into()
            }
            wire::DIGESTS => {
                let request = DigestsRequest::decode(body).unwrap();
                store.digests(request.cutoff).await.map_err(text)?.encode().into()
            }
            wire::NAMES => {
                let NamesRequest { after, bucket, cutoff } = NamesRequest::decode(body).unwrap();
                let mut names = store.names(bucket, cutoff, after).await.map_err(text)?;
                if lies {
                    for name in &mut names.names {
                        match name.hash.0[1] % 3 {
                            0 => name.deleted = !name.deleted,
                            1 => name.expiry = name.expiry.plus(HOUR * 24 * 365),
                            _ => name.first = name.first.plus(HOUR * 24 * 80),
                        }
                    }
                }
                Names { ..names }.encode().into()
            }
            _ if self.bug == Some(Bug::ProofsAreKeptBack) => return Err("none".to_owned()),
            _ => {
                let FetchRequest { hash, deleted_by } = FetchRequest::decode(body).unwrap();
                let proof = store.proof(hash, deleted_by.unwrap()).await.map_err(text)?;
                if lies { Bytes::from_static(b"de") } else { proof.ok_or("none")?.into() }
            }
        })
    }

    async fn fetch(&self, hash: &ChunkHash) -> Option<Chunk> {
        if self.is_lost(&hash.0) || self.bug == Some(Bug::NothingIsFetched) {
            return None;
        }
        match self.member.store().get(*hash, self.now).await {
            Ok(Found::Here(chunk, _)) if self.member.lie == Some(Lie::Invents) => {
                let data = chunk.data().iter().map(|byte| !byte).collect();
                Chunk::check(*hash, Arc::new(data))
            }
            Ok(Found::Here(chunk, _)) => Some(chunk),
            _ => None,
        }
    }
}

/// What people were told of a chunk under a file key.
#[derive(Clone, Copy, Debug, Default)]
struct Promise {
    /// A majority keeps it until then.
    until: Option<Timestamp>,
    /// Somebody asked for its deletion: it may be gone.
    asked_away: bool,
    /// A majority has deleted it.
    is_away: bool,
}

struct World {
    rng: SeededRng,
    now: Timestamp,
    members: Vec<Member>,
    files: Vec<Ed25519Secret>,
    promises: BTreeMap<(ChunkHash, [u8; 32]), (Chunk, Promise)>,
    story: Vec<String>,
    bug: Option<Bug>,
    _dir: tempfile::TempDir,
}

impl World {
    fn new(seed: u64, bug: Option<Bug>) -> Self {
        let mut rng = rng(seed);
        // In memory where that is a folder: processes die here, machines do not.
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let liar = (!rng.next_u32().is_multiple_of(3)).then(|| rng.next_u32() as usize % MEMBERS);
        let members = (0..MEMBERS)
            .map(|number| {
                let dir = dir.path().join(number.to_string());
                std::fs::create_dir(&dir).unwrap();
                let skew = i64::from(rng.next_u32() % 40_000) - 20_000;
                let lie = if rng.next_u32().is_multiple_of(2) { Lie::Forgets } else { Lie::Invents };
                let lie = (liar == Some(number)).then_some(lie);
                Member { open: Some(Member::open(&dir, None)), dir, skew, lie, dying: false }
            })
            .collect();
        Self {
            rng,
            now: START,
            members,
            files: Vec::new(),
            promises: BTreeMap::new(),
            story: Vec::new(),
            bug,
            _dir: dir,
        }
    }

    fn below(&mut self, bound: usize) -> usize {
        self.rng.next_u32() as usize % bound
    }

    fn one_in(&mut self, number: usize) -> bool {
        self.below(number) == 0
    }

    fn clock(&self, member: usize) -> Timestamp {
        Timestamp(self.now.0.saturating_add_signed(self.members[member].skew))
    }

    fn honest(&self) -> impl Iterator<Item = usize> + '_ {
        (0..MEMBERS).filter(|member| self.members[*member].lie.is_none())
    }

    /// Restarts a member, which dies in the middle of its next write if it is told to.
    fn restart(&mut self, member: usize, dies: Option<Dies>) {
        let dir = self.members[member].dir.clone();
        // The old one ends before the new one opens its files.
        self.members[member].open = None;
        self.members[member].open = Some(Member::open(&dir, dies));
        self.members[member].dying = dies.is_some();
    }

    /// Some content is the same in several files.
    fn chunk(&mut self) -> Chunk {
        let (n, size) = (self.below(12), 1 + self.below(2_000));
        let data = vec![n as u8; if n < 6 { 1_000 } else { size }];
        Chunk::check(ChunkHash::of(&data), Arc::new(data)).unwrap()
    }

    async fn step(&mut self) {
        match self.below(20) {
            0..=6 => self.store().await,
            7..=8 => self.change(true).await,
            9..=10 => self.change(false).await,
            11..=14 => {
                let (one, other) = (self.below(MEMBERS), self.below(MEMBERS));
                let lost = self.below(4) as u64 * 3;
                self.compare(one, other, lost).await;
            }
            15 => {
                let (member, dies) = (self.below(MEMBERS), self.below(6));
                let dies = [Dies::Named, Dies::Synced, Dies::Committed].get(dies).copied();
                self.story.push(format!("{member} restarts, {dies:?}"));
                self.restart(member, dies);
            }
            16 => self.damage().await,
            17 => {
                for member in 0..MEMBERS {
                    let _ = self.members[member].store().sweep(self.clock(member)).await;
                }
            }
            _ => {
                let minutes = [1, 10, 60, 600, 3_000][self.below(5)];
                self.now = self.now.plus(Duration::from_secs(minutes * 60));
                self.story.push(format!("{minutes} minutes pass"));
            }
        }
    }

    async fn store(&mut self) {
        let chunk = self.chunk();
        let old = self.one_in(3) && !self.files.is_empty();
        let file = if old { self.below(self.files.len()) } else { self.files.len() };
        if !old {
            let mut seed = [0; 32];
            self.rng.fill_bytes(&mut seed);
            self.files.push(Ed25519Secret::from_seed(&seed));
        }
        let key = self.files[file].public();
        let place = (chunk.hash(), *key.as_bytes());
        if self.promises.get(&place).is_some_and(|(_, promise)| promise.asked_away) {
            // Nobody stores again under a key that has deleted.
            return;
        }
        let expiry = self.now.plus(HOUR * (1 + self.below(29 * 24) as u32));
        let mut signed = 0;
        for member in 0..MEMBERS {
            if self.one_in(4) {
                continue;
            }
            let (now, claim) = (self.clock(member), Claim::Client(expiry));
            signed += usize::from(match self.members[member].lie {
                Some(Lie::Forgets) => true,
                _ => self.members[member].store().put(&chunk, key, claim, now).await.is_ok(),
            });
            self.revive(member);
        }
        let (_, promise) = self.promises.entry(place).or_insert((chunk.clone(), Promise::default()));
        if signed >= MAJORITY {
            promise.until = promise.until.max(Some(expiry));
        }
        self.story.push(format!("{:?} of file {file} until {expiry:?}: {signed} signed", chunk.hash()));
    }

    /// A member that died in the middle of a write starts anew.
    fn revive(&mut self, member: usize) {
        if self.members[member].dying {
            self.restart(member, None);
        }
    }

    /// Somebody renews a chunk, or deletes it.
    async fn change(&mut self, renews: bool) {
        if self.promises.is_empty() {
            return;
        }
        let at = self.below(self.promises.len());
        let place = *self.promises.keys().nth(at).unwrap();
        let (hash, key) = place;
        let file = self.files.iter().position(|file| *file.public().as_bytes() == key).unwrap();
        let expiry = renews.then(|| self.now.plus(HOUR * 24 * 29));
        let change = ChunkChange::signed(vec![hash], &self.files[file], expiry, self.now);
        let proof = Request::ConclaveChunk(ChunkRequest::Change(change.clone())).to_bt();
        let (mut done, mut least) = (0, expiry);
        for member in 0..MEMBERS {
            if self.one_in(4) {
                continue;
            }
            let now = self.clock(member);
            if self.members[member].lie == Some(Lie::Forgets) {
                done += 1;
                continue;
            }
            let answer = self.members[member].store().change(change.clone(), proof.clone(), now).await;
            if let Ok((hashes, end)) = answer
                && !hashes.is_empty()
            {
                done += 1;
                least = least.min(end.or(least));
            }
            self.revive(member);
        }
        let (_, promise) = self.promises.get_mut(&place).unwrap();
        if renews {
            if done >= MAJORITY && !promise.asked_away {
                promise.until = promise.until.max(least);
            }
        } else {
            promise.asked_away = true;
            promise.is_away |= done >= MAJORITY;
        }
        let what = if renews { "renewed" } else { "deleted" };
        self.story.push(format!("{hash:?} of file {file} {what}: {done} did"));
    }

    async fn compare(&mut self, one: usize, other: usize, lost: u64) {
        if one == other || self.members[one].lie.is_some() {
            return;
        }
        let own = Comparing { member: &self.members[one], now: self.clock(one) };
        let (now, bug) = (self.clock(other), self.bug);
        let member = Compared { member: &self.members[other], now, lost, bug };
        let found = compare(&own, &member).await.map(|found| found.taken);
        self.story.push(format!("{one} compares with {other}: {found:?}"));
        self.revive(one);
    }

    /// A file on some honest member's disk is gone or damaged, if it is on a majority of honest disks.
    async fn damage(&mut self) {
        let member = self.below(MEMBERS);
        let Some(place) = self.promises.keys().nth(self.promises.len() / 2).copied() else { return };
        let mut others = 0;
        for other in self.honest().filter(|other| *other != member).collect::<Vec<_>>() {
            let found = self.members[other].store().get(place.0, self.clock(other)).await;
            others += usize::from(matches!(found, Ok(Found::Here(..))));
        }
        if others < 2 {
            return;
        }
        let name = place.0.to_hex();
        let path = self.members[member].dir.join("chunks").join(&name[..2]).join(&name);
        if self.one_in(2) {
            let _ = std::fs::remove_file(path);
        } else if path.exists() {
            std::fs::write(path, b"damaged").unwrap();
        }
        // It is found out when somebody looks.
        let _ = self.members[member].store().get(place.0, self.clock(member)).await;
        self.story.push(format!("{member} loses the file of {:?}", place.0));
    }

    /// All compare with all; then the honest among themselves, a while later, until nothing changes. (Whoever lies about the end
    /// of a life lengthens it as far as each member's own clock allows: what that comes to differs by the clocks until then.)
    async fn heal(&mut self) {
        for member in 0..MEMBERS {
            self.restart(member, None);
        }
        self.now = self.now.plus(HOUR / 10);
        for (one, other) in (0..MEMBERS).flat_map(|one| (0..MEMBERS).map(move |other| (one, other))) {
            self.compare(one, other, 0).await;
        }
        self.now = self.now.plus(HOUR / 10);
        let honest: Vec<usize> = self.honest().collect();
        for _ in 0..MEMBERS {
            let before = self.story.len();
            for (one, other) in honest.iter().flat_map(|one| honest.iter().map(move |other| (*one, *other))) {
                self.compare(one, other, 0).await;
            }
            if self.story[before..].iter().all(|line| line.ends_with("Ok(0)")) {
                return;
            }
        }
        panic!("members never come to keep the same");
    }

    async fn check(&self) {
        let soon = self.now.plus(HOUR);
        let honest: Vec<usize> = self.honest().collect();
        for ((hash, key), (chunk, promise)) in &self.promises {
            let key = Ed25519Public::from_bytes(*key).unwrap();
            let lives = promise.until.filter(|until| *until > soon && !promise.asked_away);
            for member in &honest {
                let store = self.members[*member].store();
                let kept = store.commitment(*hash, key).await.unwrap();
                let kept = kept.filter(|kept| !kept.deleted && kept.expiry > self.now);
                if let Some(until) = lives {
                    assert!(
                        kept.is_some_and(|kept| kept.expiry >= until),
                        "{hash:?} is promised until {until:?} and {member} has {kept:?}"
                    );
                    let found = store.get(*hash, self.clock(*member)).await.unwrap();
                    assert!(
                        matches!(&found, Found::Here(found, _) if found == chunk),
                        "{member} has lost {hash:?}: {found:?}"
                    );
                }
                if promise.is_away {
                    assert!(kept.is_none(), "{hash:?} was deleted and {member} has {kept:?}");
                }
            }
        }
        let cutoff = Timestamp((soon.0 / 60_000) * 60_000);
        let first = self.members[honest[0]].store().digests(cutoff).await.unwrap();
        for member in &honest {
            let digests = self.members[*member].store().digests(cutoff).await.unwrap();
            assert_eq!(digests.differing(&first), Vec::<u8>::new(), "{member} keeps other things");
        }
    }

    async fn live(&mut self) {
        for round in 0..3 {
            for _ in 0..STEPS / 3 {
                self.step().await;
            }
            self.heal().await;
            self.story.push(format!("round {round} is looked at"));
            self.check().await;
        }
    }
}

/// Lives a world; what went wrong in it, after its story is told if that is wanted.
fn live(seed: u64, bug: Option<Bug>, tells: bool) -> std::thread::Result<(usize, usize)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut world = World::new(seed, bug);
    let living = std::panic::AssertUnwindSafe(|| runtime.block_on(world.live()));
    if let Err(why) = std::panic::catch_unwind(living) {
        if tells {
            let last = world.story.len().saturating_sub(60);
            println!("{}\nCONCLAVE_SEED={seed}", world.story[last..].join("\n"));
        }
        return Err(why);
    }
    let promises = || world.promises.values().map(|(_, promise)| promise);
    let promised = promises().filter(|promise| promise.until.is_some()).count();
    Ok((promised, promises().filter(|promise| promise.is_away).count()))
}

#[test]
fn what_a_swarm_has_promised_is_found_and_what_was_deleted_never_returns() {
    let (mut promised, mut deleted, mut worlds) = (0, 0, 0);
    seeds::go_through(
        seeds::of_run(WORLDS.0, WORLDS.1),
        |seed| live(seed, None, true).unwrap_or_else(|why| std::panic::resume_unwind(why)),
        |_, (more_promised, more_deleted)| {
            (promised, deleted, worlds) = (promised + more_promised, deleted + more_deleted, worlds + 1);
        },
    );
    println!("{worlds} worlds, {promised} promises, {deleted} deletions");
    assert!(promised > 5 * worlds && deleted >= worlds, "nothing is tested");
}

#[test]
fn mistakes_made_on_purpose_are_found() {
    for bug in [Bug::ProofsAreKeptBack, Bug::NothingIsFetched] {
        assert!((0..10).any(|seed| live(seed, Some(bug), false).is_err()), "{bug:?}");
    }
}
