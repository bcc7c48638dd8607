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

proptest! {
    /// Any order of answers, losses, repetitions and answers of strangers: every write is answered exactly once, names
    /// every member once, and never claims an answer nobody gave.
    #[test]
    fn every_write_is_answered_once_and_truthfully(
        sizes in prop::collection::vec(0u8..6, 1..6),
        down in any::<u64>(),
        steps in prop::collection::vec((0usize..6, 0u8..8, 0u64..3_000, any::<bool>()), 0..80),
    ) {
        let mut c = Coordinator::new();
        let mut now = Timestamp(0);
        let mut given: BTreeMap<(WriteId, u8), String> = BTreeMap::new();
        let mut local = std::collections::BTreeSet::new();
        let mut answers: BTreeMap<WriteId, (MemberResult, BTreeMap<Ed25519Public, MemberResult>)> = BTreeMap::new();
        let collect = |c: &mut Coordinator, answers: &mut BTreeMap<_, _>| {
            for effect in drain(c) {
                if let Effect::Answer { write, local, others } = effect {
                    assert!(answers.insert(write, (local, others)).is_none(), "answered twice");
                }
            }
        };
        for (write, size) in sizes.iter().enumerate() {
            let others = (0..*size).map(|m| member(m, down >> (write * 8 + m as usize) & 1 == 1)).collect();
            c.handle(now, Event::Begin { write: WriteId(write as u64), others });
        }
        for (step, (write, from, pause, is_local)) in steps.into_iter().enumerate() {
            now = now.plus(Duration::from_millis(pause));
            let write = WriteId((write % sizes.len()) as u64);
            let text = format!("{step}");
            if is_local {
                local.insert(write);
                c.handle(now, Event::Local { write, result: result(&text) });
            } else {
                given.entry((write, from)).or_insert_with(|| text.clone());
                c.handle(now, Event::Answered { write, member: key(from), result: result(&text) });
            }
            collect(&mut c, &mut answers);
        }
        // All commits come in the end, and time passes.
        for write in 0..sizes.len() as u64 {
            c.handle(now, Event::Local { write: WriteId(write), result: result("own") });
        }
        c.tick(now.plus(MEMBER_TIMEOUT));
        collect(&mut c, &mut answers);
        prop_assert_eq!(c.running(), 0);
        prop_assert_eq!(answers.len(), sizes.len());
        for (write, size) in sizes.iter().enumerate() {
            let write_id = WriteId(write as u64);
            let (_, others) = &answers[&write_id];
            let asked: std::collections::BTreeSet<_> = (0..*size).map(key).collect();
            prop_assert_eq!(others.keys().copied().collect::<std::collections::BTreeSet<_>>(), asked);
            for m in 0..*size {
                let said = &others[&key(m)];
                let honest = *said == timed_out()
                    || *said == known_down()
                    || given.get(&(write_id, m)).is_some_and(|first| *said == result(first));
                prop_assert!(honest, "{said:?}");
            }
        }
    }
}
