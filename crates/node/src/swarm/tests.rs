use conclave_crypto::Ed25519Secret;
use proptest::prelude::*;

use super::*;

fn key(number: u8) -> Ed25519Public {
    Ed25519Secret::from_seed(&[number; 32]).public()
}

fn member(number: u8, down: bool) -> Member {
    Member { key: key(number), down }
}

/// Results are handed through, so any that can be told apart will do.
fn result(text: &str) -> MemberResult {
    MemberResult::Failed(Failure { reason: Some(text.into()), ..Failure::default() })
}

fn drain(coordinator: &mut Coordinator) -> Vec<Effect> {
    std::iter::from_fn(|| coordinator.poll_effect()).collect()
}

const W: WriteId = WriteId(7);

#[test]
fn everybody_is_asked_at_once_and_the_answer_waits_for_all() {
    let mut c = Coordinator::new();
    c.handle(Timestamp(0), Event::Begin { write: W, others: vec![member(1, false), member(2, false)] });
    let asked = drain(&mut c);
    assert_eq!(asked.len(), 3, "{asked:?}");
    assert_eq!(asked[0], Effect::Persist(W));
    c.handle(Timestamp(1), Event::Answered { write: W, member: key(1), result: result("one") });
    c.handle(Timestamp(2), Event::Local { write: W, result: result("own") });
    assert_eq!(drain(&mut c), [], "a member is still to answer");
    c.handle(Timestamp(3), Event::Answered { write: W, member: key(2), result: result("two") });
    let others = BTreeMap::from([(key(1), result("one")), (key(2), result("two"))]);
    assert_eq!(drain(&mut c), [Effect::Answer { write: W, local: result("own"), others }]);
    assert_eq!(c.next_wakeup(), None);
}

#[test]
fn a_silent_member_is_given_up_after_five_seconds() {
    let mut c = Coordinator::new();
    c.handle(Timestamp(100), Event::Begin { write: W, others: vec![member(1, false)] });
    c.handle(Timestamp(100), Event::Local { write: W, result: result("own") });
    drain(&mut c);
    assert_eq!(c.next_wakeup(), Some(Timestamp(5_100)));
    c.tick(Timestamp(5_099));
    assert_eq!(drain(&mut c), []);
    c.tick(Timestamp(5_100));
    let others = BTreeMap::from([(key(1), timed_out())]);
    assert_eq!(drain(&mut c), [Effect::Answer { write: W, local: result("own"), others }]);
    c.handle(Timestamp(5_200), Event::Answered { write: W, member: key(1), result: result("late") });
    assert_eq!(drain(&mut c), [], "too late");
}

#[test]
fn a_member_known_to_be_down_is_neither_asked_nor_waited_for() {
    let mut c = Coordinator::new();
    c.handle(Timestamp(0), Event::Begin { write: W, others: vec![member(1, true)] });
    assert_eq!(drain(&mut c), [Effect::Persist(W)]);
    c.handle(Timestamp(1), Event::Local { write: W, result: result("own") });
    assert!(matches!(&drain(&mut c)[..], [Effect::Answer { .. }]));
}

#[test]
fn whoever_joins_is_asked_too_and_whoever_leaves_is_not_waited_for() {
    let mut c = Coordinator::new();
    c.handle(Timestamp(0), Event::Begin { write: W, others: vec![member(1, false), member(2, false)] });
    c.handle(Timestamp(0), Event::Local { write: W, result: result("own") });
    drain(&mut c);
    c.handle(Timestamp(1), Event::Answered { write: W, member: key(1), result: result("one") });
    let now = vec![member(1, false), member(3, false), member(4, true)];
    c.handle(Timestamp(2), Event::SwarmChanged { others: now });
    assert_eq!(drain(&mut c), [Effect::Forward { write: W, to: key(3) }], "1 has answered, 4 is down");
    c.handle(Timestamp(3), Event::Answered { write: W, member: key(2), result: result("of old") });
    assert_eq!(drain(&mut c), []);
    c.handle(Timestamp(4), Event::Answered { write: W, member: key(3), result: result("three") });
    let others = BTreeMap::from([(key(1), result("one")), (key(3), result("three")), (key(4), known_down())]);
    assert_eq!(drain(&mut c), [Effect::Answer { write: W, local: result("own"), others }]);
}

#[test]
fn a_write_ends_when_the_last_one_it_waits_for_leaves() {
    let mut c = Coordinator::new();
    c.handle(Timestamp(0), Event::Begin { write: W, others: vec![member(1, false)] });
    c.handle(Timestamp(0), Event::Local { write: W, result: result("own") });
    drain(&mut c);
    c.handle(Timestamp(1), Event::SwarmChanged { others: Vec::new() });
    assert_eq!(drain(&mut c), [Effect::Answer { write: W, local: result("own"), others: BTreeMap::new() }]);
    assert_eq!(c.next_wakeup(), None);
}

#[test]
fn nothing_is_answered_before_the_local_commit() {
    let mut c = Coordinator::new();
    c.handle(Timestamp(0), Event::Begin { write: W, others: vec![member(1, false)] });
    drain(&mut c);
    c.tick(Timestamp(60_000));
    assert_eq!(drain(&mut c), []);
    assert_eq!(c.next_wakeup(), None, "a tick would change nothing");
    c.handle(Timestamp(60_001), Event::Local { write: W, result: result("own") });
    assert!(matches!(&drain(&mut c)[..], [Effect::Answer { .. }]));
}

#[test]
fn too_many_writes_are_refused_politely() {
    let mut c = Coordinator::new();
    for number in 0..MAX_RUNNING as u64 {
        c.handle(Timestamp(0), Event::Begin { write: WriteId(number), others: Vec::new() });
    }
    drain(&mut c);
    c.handle(Timestamp(0), Event::Begin { write: WriteId(u64::MAX), others: Vec::new() });
    assert_eq!(drain(&mut c), [Effect::Refuse(WriteId(u64::MAX))]);
}

/// What a run has seen so far, to judge the answers by.
#[derive(Default)]
struct Witness {
    /// Who has been asked, and is still a member since.
    waited_for: std::collections::BTreeSet<(WriteId, u8)>,
    asked: std::collections::BTreeSet<(WriteId, u8)>,
    given: std::collections::BTreeSet<(WriteId, u8, String)>,
    answers: BTreeMap<WriteId, BTreeMap<Ed25519Public, MemberResult>>,
    /// The members when each write was answered.
    named: BTreeMap<WriteId, std::collections::BTreeSet<Ed25519Public>>,
}

impl Witness {
    fn collect(&mut self, c: &mut Coordinator, members: &[Member]) {
        for effect in drain(c) {
            match effect {
                Effect::Forward { write, to } => {
                    let number = (0..8).find(|number| key(*number) == to).unwrap();
                    assert!(self.waited_for.insert((write, number)), "asked twice");
                    self.asked.insert((write, number));
                }
                Effect::Answer { write, others, .. } => {
                    assert!(self.answers.insert(write, others).is_none(), "answered twice");
                    self.named.insert(write, members.iter().map(|member| member.key).collect());
                }
                Effect::Persist(_) | Effect::Refuse(_) => {}
            }
        }
    }
}

/// Members of a swarm: bits say which of eight, and which of those are down.
fn members(present: u8, down: u8) -> Vec<Member> {
    (0..8).filter(|n| present >> n & 1 == 1).map(|n| member(n, down >> n & 1 == 1)).collect()
}

proptest! {
    /// Any order of answers, losses, repetitions, answers of strangers and changes of the swarm: every write is answered
    /// exactly once, names every member once, asks nobody twice, and never claims an answer nobody gave.
    #[test]
    fn every_write_is_answered_once_and_truthfully(
        writes in prop::collection::vec((any::<u8>(), any::<u8>()), 1..6),
        steps in prop::collection::vec((0usize..6, 0u8..8, 0u64..3_000, 0u8..16, any::<u8>()), 0..80),
    ) {
        let mut c = Coordinator::new();
        let mut now = Timestamp(0);
        let mut seen = Witness::default();
        // One swarm at a time, as it is when the writes begin.
        let mut swarm = members(writes[0].0, writes[0].1);
        for (write, (_, down)) in writes.iter().enumerate() {
            let others = members(writes[0].0, *down);
            c.handle(now, Event::Begin { write: WriteId(write as u64), others });
            seen.collect(&mut c, &swarm);
        }
        for (step, (write, from, pause, kind, bits)) in steps.into_iter().enumerate() {
            now = now.plus(Duration::from_millis(pause));
            let write = WriteId((write % writes.len()) as u64);
            let text = format!("{step}");
            // Time alone may end writes, before anything else happens.
            c.tick(now);
            seen.collect(&mut c, &swarm);
            match kind {
                0 => {
                    swarm = members(bits, from);
                    seen.waited_for.retain(|(_, number)| bits >> number & 1 == 1);
                    c.handle(now, Event::SwarmChanged { others: swarm.clone() });
                }
                1..4 => c.handle(now, Event::Local { write, result: result(&text) }),
                _ => {
                    seen.given.insert((write, from, text.clone()));
                    c.handle(now, Event::Answered { write, member: key(from), result: result(&text) });
                }
            }
            seen.collect(&mut c, &swarm);
        }
        // All commits come in the end, and time passes.
        for write in 0..writes.len() as u64 {
            c.handle(now, Event::Local { write: WriteId(write), result: result("own") });
        }
        c.tick(now.plus(MEMBER_TIMEOUT));
        seen.collect(&mut c, &swarm);
        prop_assert_eq!((c.running(), c.next_wakeup()), (0, None));
        prop_assert_eq!(seen.answers.len(), writes.len());
        for (write, others) in &seen.answers {
            let named: std::collections::BTreeSet<_> = others.keys().copied().collect();
            prop_assert_eq!(&named, &seen.named[write]);
            for number in 0..8 {
                let Some(said) = others.get(&key(number)) else { continue };
                let honest = *said == known_down()
                    || *said == timed_out() && seen.asked.contains(&(*write, number))
                    || seen.given.iter().any(|(w, n, text)| (w, *n) == (write, number) && *said == result(text));
                prop_assert!(honest, "{said:?}");
            }
        }
    }
}
