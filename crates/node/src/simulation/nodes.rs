//! What nodes do when they are asked: the shell around the real rules, as [`crate::rpc`], [`crate::writes`] and
//! [`crate::peer`] are.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use conclave_proto::rpc::answers::{MemberResult, Stamp};
use conclave_proto::rpc::{Answer, ExpireMode, Forwarded, Request};
use conclave_proto::sync::Copies;
use conclave_proto::{MessageHash, Timestamp};
use conclave_transport::quic::RequestError;

use super::Bug;
use super::coverage::Kind;
use super::process::{Asked, Call, Known, Parcel, Pending, Purpose, Refusal, Timer, Waiting};
use super::world::{Event, Outcome, Violation, World, done, steady};
use crate::authorise::From;
use crate::hooks::Misbehave;
use crate::node::HARDFORK;
use crate::replication::debts;
use crate::replication::serve;
use crate::replication::{Here, Taken};
use crate::store::{MessageStore, Operation, StoreError};
use crate::swarm::{self, Effect, MEMBER_TIMEOUT, Member, WriteId};
use crate::{local, order, peer, rpc, writes};

/// Until a write that has been taken on is committed.
const COMMIT: (u64, u64) = (1, 40);
/// And at most, when the disk is slow.
const SLOW_COMMIT: u64 = 4_000;
/// A peer that was not reached is left alone, at first and at most.
const BACK_OFF: (u64, u64) = (1_000, 15_000);

impl World {
    pub(super) fn store_of(&self, node: usize) -> MessageStore {
        self.nodes[node].store().expect("it runs").clone()
    }

    /// What came of using a store. `None` if the node crashed over it: whatever it says then, nobody hears.
    pub(super) fn survived<T>(&mut self, node: usize, result: Result<T, StoreError>) -> Outcome<Option<T>> {
        if self.nodes[node].disk.is_down() {
            self.happened.note(Kind::CrashInWrite);
            self.dies(node);
            return Ok(None);
        }
        result.map(Some).map_err(|error| Violation(format!("the store of node {node} fails: {error}")))
    }

    /// The process is gone; it is started again some time.
    pub(super) fn dies(&mut self, node: usize) {
        self.say(|_| format!("node {node} crashes"));
        self.nodes[node].process = None;
        self.nodes[node].life += 1;
        let away = match self.below(4) {
            0 => self.between(30_000, 400_000),
            _ => self.between(200, 15_000),
        };
        self.after(away, Event::Start { node });
    }

    /// Whether the node has to do it; the answer if not.
    pub(super) fn admits(&self, node: usize, request: &Request, from: From) -> Result<(), Answer> {
        let store = self.store_of(node);
        let stamp = Stamp { t: self.time_of(node), hf: HARDFORK };
        let revoked_since = |account, token| {
            let since = store.revoked_since(&account, &token);
            std::future::ready(since.map_err(|error| Answer::error(500, error.to_string())))
        };
        done(rpc::admit(&self.nodes[node].view(), stamp, request, from, revoked_since))
    }

    /// A client asks for a write.
    pub(super) fn asked_to_write(&mut self, node: usize, request: &Request) -> Result<(), Answer> {
        self.admits(node, request, From::Client)?;
        let now = self.time_of(node);
        let write = WriteId(self.number());
        let others = self.others(node);
        let elapsed = Timestamp(self.elapsed());
        let before = self.known(node, request);
        let store = self.store_of(node);
        let last_addition = match Operation::of(request, now) {
            Some(operation) if !order::adds(request) => store.last_addition(&operation).ok().flatten(),
            _ => None,
        };
        let process = self.nodes[node].process();
        let at = process.order.new_time(request, last_addition, now);
        let forwarded = peer::forwarded(&Forwarded { request: request.clone(), at: Some(at) });
        let forwarded = Arc::new(forwarded);
        let waiting = Waiting { request: Arc::new(request.clone()), at, forwarded, before };
        process.writes.insert(write, waiting);
        process.coordinator.handle(elapsed, swarm::Event::Begin { write, others });
        self.timer(node, 0, Timer::GiveUp);
        Ok(())
    }

    pub(super) fn others(&self, node: usize) -> Vec<Member> {
        let now = self.elapsed();
        let process = self.nodes[node].process.as_ref().expect("it runs");
        let is_down = |other: usize| {
            process.peers.get(&other).is_some_and(|peer| !peer.connected && peer.down_until > now)
        };
        let member = |key| Member { key, down: self.numbered(&key).is_some_and(is_down) };
        self.nodes[node].view().others().map(|other| member(other.ed25519)).collect()
    }

    /// Lets the coordinator give up on those who are late, and does what it says.
    pub(super) fn carry_out(&mut self, node: usize) -> Outcome {
        let elapsed = Timestamp(self.elapsed());
        self.nodes[node].process().coordinator.tick(elapsed);
        while let Some(process) = &mut self.nodes[node].process {
            let Some(effect) = process.coordinator.poll_effect() else {
                if let Some(at) = process.coordinator.next_wakeup() {
                    self.timer(node, at.0.saturating_sub(elapsed.0), Timer::GiveUp);
                }
                break;
            };
            match effect {
                Effect::Persist(write) => {
                    self.commit_soon(node, Pending::OwnPart(write));
                }
                Effect::Forward { write, to } => {
                    let Some(waiting) = process.writes.get(&write) else { continue };
                    let body = Arc::clone(&waiting.forwarded);
                    let Some(to) = self.numbered(&to) else { continue };
                    let patience = swarm::MEMBER_TIMEOUT.as_millis() as u64;
                    self.ask(node, to, ("storage_cc", body), Purpose::Forward(write), patience);
                }
                Effect::Answer { write, local, others } => {
                    let Some(waiting) = process.writes.remove(&write) else { continue };
                    self.count_signatures(&local, &others);
                    self.say(|_| format!("node {node} has written {}", outcome(&local, &others)));
                    let missed = writes::missed(&others);
                    if matches!(local, MemberResult::Done(_)) && !missed.is_empty() {
                        self.owe(node, &waiting, missed)?;
                    }
                }
                Effect::Refuse(write) => {
                    return Err(Violation(format!("node {node} refuses {write:?}: never so much at once")));
                }
            }
        }
        Ok(())
    }

    fn count_signatures(
        &mut self,
        local: &MemberResult,
        others: &BTreeMap<conclave_crypto::Ed25519Public, MemberResult>,
    ) {
        let results = || std::iter::once(local).chain(others.values());
        let signed = results().filter(|result| matches!(result, MemberResult::Done(_))).count();
        self.happened.note(match signed {
            all if all == others.len() + 1 => Kind::AllSigned,
            1 => Kind::OneSigned,
            _ => Kind::SomeSigned,
        });
        for result in results() {
            if let MemberResult::Failed(failure) = result
                && failure.timeout
            {
                self.happened.note(if failure.reason.is_some() { Kind::KnownDown } else { Kind::TimedOut });
            }
        }
    }

    fn owe(
        &mut self,
        node: usize,
        waiting: &Waiting,
        missed: Vec<conclave_crypto::Ed25519Public>,
    ) -> Outcome {
        if self.bug == Some(Bug::DebtsAreForgotten) {
            return Ok(());
        }
        let process = self.nodes[node].process();
        let Some(owed) = debts::owed_for(&waiting.request, waiting.at) else { return Ok(()) };
        let patient = process.debts.worth_noting(missed, steady());
        if patient.is_empty() {
            return Ok(());
        }
        self.happened.note(Kind::Owed);
        let owing = done(self.store_of(node).owe(patient, owed));
        self.survived(node, owing).map(drop)
    }

    fn commit_soon(&mut self, node: usize, pending: Pending) {
        let id = self.number();
        self.nodes[node].process().pending.insert(id, pending);
        let mut soon = self.between(COMMIT.0, COMMIT.1);
        let slow = if self.elapsed() < self.network.disks_slow_until { 500 } else { 10 };
        if !self.network.perfect && self.chance(slow) {
            self.happened.note(Kind::SlowCommit);
            soon = self.between(COMMIT.1, SLOW_COMMIT);
        }
        self.timer(node, soon, Timer::Commit(id));
    }

    pub(super) fn commit(&mut self, node: usize, id: u64) -> Outcome {
        let Some(pending) = self.nodes[node].process().pending.remove(&id) else { return Ok(()) };
        match pending {
            Pending::OwnPart(write) => {
                let Some(waiting) = self.nodes[node].process().writes.get(&write) else { return Ok(()) };
                let (request, at, before) =
                    (Arc::clone(&waiting.request), waiting.at, waiting.before.clone());
                let Some(result) = self.perform(node, &request, at)? else { return Ok(()) };
                self.is_obeyed(node, &request, at, &before)?;
                let elapsed = Timestamp(self.elapsed());
                let process = self.nodes[node].process();
                process.coordinator.handle(elapsed, swarm::Event::Local { write, result });
                self.carry_out(node)
            }
            Pending::Forwarded { request, at, asked } => {
                let Some(result) = self.perform(node, &request, at)? else { return Ok(()) };
                let answer = rpc::answer_of_member(result).map_err(|answer| peer::error_body(&answer));
                self.answer(node, asked, answer.map_err(|text| Refusal::Said(text.to_vec())));
                Ok(())
            }
            Pending::TakeIn { copies, asked } => {
                if let Some(taken) = self.take_in(node, copies)? {
                    let answer = taken.answer().map(|ok| ok.to_vec());
                    self.answer(node, asked, answer.map_err(|text| Refusal::Said(text.to_vec())));
                }
                Ok(())
            }
        }
    }

    fn known(&self, node: usize, request: &Request) -> Known {
        let (account, hashes) = match request {
            Request::Store(store) => {
                let hash = MessageHash::of(&store.account, store.namespace, &store.data);
                (store.account, vec![hash])
            }
            Request::Delete(delete) => (delete.account, delete.messages.clone()),
            _ => return Known::default(),
        };
        let store = self.store_of(node);
        let copies = store.copies(&account, &hashes).expect("it can be read");
        Known {
            stored: copies.into_iter().map(|copy| (copy.hash(), copy.stored_at)).collect(),
            log: store.operation_keys(&account).expect("it can be read"),
        }
    }

    /// Who deletes what a node has, or stores what it knows to be deleted, is obeyed there, whatever the clocks of other
    /// members say.
    fn is_obeyed(&self, node: usize, request: &Request, at: Timestamp, before: &Known) -> Outcome {
        let now = self.known(node, request);
        match request {
            Request::Delete(_) => {
                match now.stored.iter().find(|entry| before.stored.get(entry.0) == Some(entry.1)) {
                    Some((hash, _)) => {
                        Err(Violation(format!("node {node} still has {hash:?}, which was deleted there")))
                    }
                    None => Ok(()),
                }
            }
            Request::Store(store) => {
                let dies = store.expiry() <= at.max(self.time_of(node)).plus(MEMBER_TIMEOUT);
                let is_there = !now.stored.is_empty() || now.log != before.log;
                if is_there || dies || store.namespace.is_public_outbox() {
                    return Ok(());
                }
                let hash = MessageHash::of(&store.account, store.namespace, &store.data);
                Err(Violation(format!("node {node} does not have {hash:?}, which was stored there")))
            }
            _ => Ok(()),
        }
    }

    /// The node's own part of a write. `None` if it crashed over it.
    fn perform(&mut self, node: usize, request: &Request, at: Timestamp) -> Outcome<Option<MemberResult>> {
        let store = self.store_of(node);
        let before = match request {
            Request::Expire(expire) => store.expiries(&expire.account, &expire.messages).unwrap_or_default(),
            _ => BTreeMap::new(),
        };
        self.ledger.attempted(request, at);
        let (result, _) =
            done(local::perform(&store, &self.nodes[node].secret, Misbehave::Honest, request, at));
        drop(store);
        if self.survived(node, Ok(()))?.is_none() {
            return Ok(None);
        }
        let MemberResult::Done(signed) = &result else {
            return Err(Violation(format!("node {node} does not do what it should: {result:?}")));
        };
        signed
            .verify(request, &self.nodes[node].key)
            .map_err(|error| Violation(format!("node {node} signs what nobody accepts: {error}")))?;
        self.say(|_| format!("node {node} commits {} at {at}: {:?}", request.method(), signed.outcome));
        if let Request::Expire(expire) = request
            && expire.mode == ExpireMode::Set
            && before.values().any(|was| expire.expiry.iter().any(|expiry| was > expiry))
        {
            self.happened.note(Kind::ExpireSetCuts);
        }
        self.ledger.done(request, at, &before);
        Ok(Some(result))
    }

    /// Takes in what another node gives. `None` if the node crashed over it.
    pub(super) fn take_in(&mut self, node: usize, mut copies: Copies) -> Outcome<Option<Taken>> {
        let (store, view, now) = (self.store_of(node), self.nodes[node].view(), self.time_of(node));
        self.say(|_| {
            let named = |copy: &conclave_proto::sync::Copy| {
                let hash = MessageHash::of(&copy.account, copy.namespace, &copy.data);
                format!("{hash:?} stored at {} with {:?}", copy.stored_at, copy.raises)
            };
            let messages: Vec<String> = copies.messages.iter().map(named).collect();
            format!("node {node} takes in {messages:?} and {} operations", copies.operations.len())
        });
        if self.bug == Some(Bug::CopyBeatsTombstone) {
            for copy in &mut copies.messages {
                let hash = MessageHash::of(&copy.account, copy.namespace, &copy.data);
                if store.copies(&copy.account, &[hash]).is_ok_and(|known| known.is_empty()) {
                    copy.stored_at = now;
                    copy.raises.iter_mut().for_each(|(at, _)| *at = now);
                }
            }
        }
        if copies.more {
            self.happened.note(Kind::Parts);
        }
        let order = &self.nodes[node].process().order;
        let taken = done(Here { store: &store, view: &view, order, now }.take_in(copies));
        drop(store);
        let taken = self.survived(node, taken)?;
        if taken.as_ref().is_some_and(|taken| taken.new > 0) {
            self.nodes[node].process().digests.forget();
        }
        Ok(taken)
    }

    /// Asks another node; it is answered to [`Self::answered`], at the latest when patience ends.
    pub(super) fn ask(
        &mut self,
        node: usize,
        to: usize,
        (endpoint, body): (&'static str, Arc<Vec<u8>>),
        purpose: Purpose,
        patience: u64,
    ) {
        let (call, now, life) = (self.number(), self.elapsed(), self.nodes[node].life);
        let process = self.nodes[node].process();
        process.calls.insert(call, Call { to, purpose });
        let peer = process.peers.entry(to).or_default();
        if peer.down_until > now {
            self.timer(node, 1, Timer::CallOver(call));
            return;
        }
        self.timer(node, patience, Timer::CallOver(call));
        self.send(node, to, Parcel::Ask { life, call, endpoint, body });
    }

    /// Nobody has answered.
    pub(super) fn call_over(&mut self, node: usize, call: u64) -> Outcome {
        let now = self.elapsed();
        let process = self.nodes[node].process();
        let Some(Call { to, .. }) = process.calls.get(&call).copied() else { return Ok(()) };
        let peer = process.peers.entry(to).or_default();
        if peer.down_until <= now {
            let back_off = (BACK_OFF.0 << peer.failures.min(4)).min(BACK_OFF.1);
            (peer.connected, peer.failures, peer.down_until) = (false, peer.failures + 1, now + back_off);
        }
        self.answered(node, call, Err(RequestError::Timeout))
    }

    pub(super) fn arrives(&mut self, from: usize, to: usize, parcel: Parcel) -> Outcome {
        if self.is_cut(from, to) || self.nodes[to].process.is_none() {
            return Ok(());
        }
        self.say(|_| format!("from {from} to {to}: {parcel:?}"));
        match parcel {
            Parcel::Ask { life, call, endpoint, body } => {
                let asked = Asked { by: from, life, call };
                let view = self.nodes[to].view();
                if view.directory().node(&self.nodes[from].key).is_none() {
                    self.answer(to, asked, Err(Refusal::Stranger));
                    return Ok(());
                }
                self.is_there(to, from);
                self.asked(to, asked, endpoint, &body)
            }
            Parcel::Answer { life, call, answer } => {
                if life != self.nodes[to].life {
                    return Ok(());
                }
                let answer = match answer {
                    Ok(body) => {
                        let process = self.nodes[to].process();
                        let peer = process.peers.entry(from).or_default();
                        (peer.connected, peer.failures, peer.down_until) = (true, 0, 0);
                        Ok(Bytes::from(body))
                    }
                    Err(Refusal::Said(text)) => Err(RequestError::Remote(text.into())),
                    Err(Refusal::Stranger) => Err(RequestError::Refused),
                };
                self.answered(to, call, answer)
            }
        }
    }

    /// Another node has been heard of; when it has connected anew, it is told what it missed, and compared with.
    fn is_there(&mut self, node: usize, other: usize) {
        let key = self.nodes[other].key;
        let process = self.nodes[node].process();
        let peer = process.peers.entry(other).or_default();
        let was_there = std::mem::replace(&mut peer.connected, true);
        (peer.failures, peer.down_until) = (0, 0);
        if !was_there {
            process.debts.is_back(&key, steady());
            process.rota.soon(steady());
            self.compare_now(node);
            self.timer(node, 0, Timer::MemberIsBack);
        }
    }

    fn answer(&mut self, node: usize, asked: Asked, answer: Result<Vec<u8>, Refusal>) {
        let Asked { by, life, call } = asked;
        self.send(node, by, Parcel::Answer { life, call, answer });
    }

    fn asked(&mut self, node: usize, asked: Asked, endpoint: &str, body: &[u8]) -> Outcome {
        let answer = match endpoint {
            "snode_ping" => Ok(b"pong".to_vec()),
            "storage_cc" => {
                let admitted = peer::read_forwarded(body).map_err(Answer::from).and_then(|forwarded| {
                    self.admits(node, &forwarded.request, From::Member).map(|()| forwarded)
                });
                match admitted {
                    Ok(Forwarded { request, at }) => {
                        let request = Box::new(request);
                        let now = self.time_of(node);
                        let at = self.nodes[node].process().order.time_of(&request, at, now);
                        self.commit_soon(node, Pending::Forwarded { request, at, asked });
                        return Ok(());
                    }
                    Err(answer) => Err(Refusal::Said(peer::error_body(&answer).to_vec())),
                }
            }
            _ => match serve::Asked::read(endpoint, body) {
                Some(Ok(serve::Asked::TakeIn(copies))) => {
                    self.commit_soon(node, Pending::TakeIn { copies, asked });
                    return Ok(());
                }
                Some(Ok(serve::Asked::Question(question))) => {
                    let (store, view) = (self.store_of(node), self.nodes[node].view());
                    let process = self.nodes[node].process();
                    let answer = question.answer(&store, &view, &process.digests, steady);
                    match self.survived(node, answer)? {
                        Some(answer) => {
                            let answer = answer.ok_or_else(serve::misdirected).map(|answer| answer.to_vec());
                            answer.map_err(|text| Refusal::Said(text.to_vec()))
                        }
                        None => return Ok(()),
                    }
                }
                Some(Ok(serve::Asked::Nothing)) => Ok(b"OK".to_vec()),
                Some(Err(text)) => {
                    return Err(Violation(format!(
                        "{endpoint} is refused: {}",
                        String::from_utf8_lossy(&text)
                    )));
                }
                None => return Err(Violation(format!("there is no {endpoint}"))),
            },
        };
        self.answer(node, asked, answer);
        Ok(())
    }

    /// What another node answered, or did not.
    fn answered(&mut self, node: usize, call: u64, answer: Result<Bytes, RequestError>) -> Outcome {
        let Some(Call { to, purpose }) = self.nodes[node].process().calls.remove(&call) else {
            return Ok(());
        };
        match purpose {
            Purpose::Greet => Ok(()),
            Purpose::Forward(write) => {
                let member = self.nodes[to].key;
                let elapsed = Timestamp(self.elapsed());
                let process = self.nodes[node].process();
                let Some(waiting) = process.writes.get(&write) else { return Ok(()) };
                let result = peer::member_result(&waiting.request, answer);
                process.coordinator.handle(elapsed, swarm::Event::Answered { write, member, result });
                self.carry_out(node)
            }
            Purpose::Compare => self.comparison_answered(node, answer),
            Purpose::Pay => self.payment_answered(node, answer),
            Purpose::Move => self.delivery_answered(node, answer),
        }
    }
}

fn outcome(local: &MemberResult, others: &BTreeMap<conclave_crypto::Ed25519Public, MemberResult>) -> String {
    let short = |result: &MemberResult| match result {
        MemberResult::Done(_) => "done".to_owned(),
        MemberResult::Failed(failure) => format!("{failure:?}"),
    };
    let others: Vec<String> = others.values().map(short).collect();
    format!("{}, others {others:?}", short(local))
}
