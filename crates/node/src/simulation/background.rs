//! What nodes do by themselves: the shells of [`crate::replication`]'s loops, under the world's clock.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use conclave_proto::SnodeRecord;
use conclave_proto::sync::{self, Copies};
use conclave_transport::quic::RequestError;
use rand_core::RngCore as _;

use super::Bug;
use super::coverage::Kind;
use super::process::{Moving, Paying, Purpose, Timer};
use super::world::{Outcome, Violation, World, done, steady};
use crate::replication::debts::{self, Due, Instalment};
use crate::replication::moving::{self, Delivery};
use crate::replication::pulling::{OwnStore, leave_unripe};
use crate::replication::{MINUTE, PATIENCE, cutoff};
use crate::swarm::reconcile::{Pull, Step};

const SWEEP: u64 = 10_000;

fn millis(duration: std::time::Duration) -> u64 {
    duration.as_millis() as u64
}

impl World {
    /// Everything that a node does from its start on.
    pub(super) fn start_timers(&mut self, node: usize) {
        for timer in [Timer::Sweep, Timer::LookForDebts, Timer::Move] {
            self.timer(node, 0, timer);
        }
        self.timer(node, self.until_minute(node), Timer::Minute);
        self.compare_now(node);
    }

    pub(super) fn goes_off(&mut self, node: usize, timer: Timer) -> Outcome {
        match timer {
            Timer::Commit(id) => self.commit(node, id),
            Timer::GiveUp => self.carry_out(node),
            Timer::CallOver(call) => self.call_over(node, call),
            Timer::Sweep => {
                self.timer(node, SWEEP, Timer::Sweep);
                let swept = done(self.store_of(node).sweep_expired(self.time_of(node)));
                if self.survived(node, swept)?.is_some_and(|gone| gone > 0) {
                    self.happened.note(Kind::Expired);
                }
                Ok(())
            }
            Timer::Minute => {
                self.timer(node, self.until_minute(node), Timer::Minute);
                let minute = (self.time_of(node).0 + MINUTE / 2) / MINUTE;
                let newest = self.store_of(node).newest();
                if let Some(newest) = self.survived(node, newest)? {
                    self.nodes[node].process().digests.mark(minute, newest);
                }
                Ok(())
            }
            Timer::LookForDebts => {
                self.timer(node, millis(debts::LOOK), Timer::LookForDebts);
                self.look_for_debts(node)
            }
            Timer::MemberIsBack => self.look_for_debts(node),
            Timer::Compare(number) => {
                let process = self.nodes[node].process();
                let begins = process.comparison == number && process.comparing.is_none();
                if begins { self.compare(node) } else { Ok(()) }
            }
            Timer::Move => self.move_accounts(node),
        }
    }

    fn until_minute(&self, node: usize) -> u64 {
        MINUTE - self.time_of(node).0 % MINUTE
    }

    // Comparing.

    /// Begins the next comparison at once, if none is under way.
    pub(super) fn compare_now(&mut self, node: usize) {
        let process = self.nodes[node].process();
        process.comparison += 1;
        let number = process.comparison;
        self.timer(node, 0, Timer::Compare(number));
    }

    fn compare(&mut self, node: usize) -> Outcome {
        if self.bug == Some(Bug::DebtsAreForgotten) {
            return Ok(());
        }
        let members: Vec<SnodeRecord> = self.nodes[node].view().others().copied().collect();
        let next = self.nodes[node].process().rota.next(&members).map(|member| member.ed25519);
        match next.and_then(|key| self.numbered(&key)) {
            Some(member) => {
                let (pull, step) = Pull::begin(cutoff(self.time_of(node)));
                self.nodes[node].process().comparing = Some((member, pull));
                self.comparison_step(node, step)
            }
            None => {
                self.compare_later(node);
                Ok(())
            }
        }
    }

    fn compare_later(&mut self, node: usize) {
        let random = self.rng.next_u32();
        let process = self.nodes[node].process();
        process.comparison += 1;
        let number = process.comparison;
        let pause = millis(process.rota.pause(steady(), random));
        self.timer(node, pause, Timer::Compare(number));
    }

    pub(super) fn comparison_answered(
        &mut self,
        node: usize,
        answer: Result<Bytes, RequestError>,
    ) -> Outcome {
        let (store, view) = (self.store_of(node), self.nodes[node].view());
        let process = self.nodes[node].process();
        let Some((_, pull)) = &mut process.comparing else { return Ok(()) };
        let Ok(answer) = answer else {
            process.comparing = None;
            process.rota.compared(true);
            self.compare_later(node);
            return Ok(());
        };
        let own = OwnStore { store: &store, view: &view, digests: &process.digests, clock: steady };
        let step = pull
            .answered(&answer, &own)
            .map_err(|error| Violation(format!("a comparison of node {node}: {error}")))?;
        drop(store);
        self.comparison_step(node, step)
    }

    fn comparison_step(&mut self, node: usize, mut step: Step) -> Outcome {
        loop {
            step = match step {
                Step::Ask { endpoint, body } => {
                    let Some((member, _)) = &self.nodes[node].process().comparing else { return Ok(()) };
                    let member = *member;
                    self.ask(node, member, (endpoint, Arc::new(body)), Purpose::Compare, millis(PATIENCE));
                    return Ok(());
                }
                Step::TakeIn(mut copies) => {
                    let now = self.time_of(node);
                    if leave_unripe(&mut copies, now) {
                        self.nodes[node].process().rota.soon(steady());
                    }
                    if !copies.operations.is_empty() {
                        self.happened.note(Kind::PulledOperations);
                    }
                    let Some(taken) = self.take_in(node, copies)? else { return Ok(()) };
                    if taken.new > 0 {
                        self.happened.note(Kind::PulledMessages);
                    }
                    let Some((_, pull)) = &mut self.nodes[node].process().comparing else { return Ok(()) };
                    pull.taken_in()
                }
                Step::Done => {
                    let process = self.nodes[node].process();
                    process.comparing = None;
                    process.rota.compared(false);
                    self.compare_later(node);
                    return Ok(());
                }
            };
        }
    }

    // Debts.

    fn look_for_debts(&mut self, node: usize) -> Outcome {
        if self.nodes[node].process().paying.is_some() {
            return Ok(());
        }
        let creditors = self.store_of(node).creditors();
        let Some(creditors) = self.survived(node, creditors)? else { return Ok(()) };
        let paying = Paying { creditors: creditors.into_iter().collect(), sent: Vec::new() };
        self.nodes[node].process().paying = Some(paying);
        self.next_creditor(node)
    }

    /// Goes through the creditors until one is asked.
    fn next_creditor(&mut self, node: usize) -> Outcome {
        loop {
            let view = self.nodes[node].view();
            let Some(process) = &mut self.nodes[node].process else { return Ok(()) };
            let Some(key) = process.paying.as_ref().and_then(|paying| paying.creditors.front().copied())
            else {
                process.paying = None;
                return Ok(());
            };
            let member = view.others().find(|member| *member.ed25519.as_bytes() == key);
            let due = member.map_or(Due::Never, |member| process.debts.due(&member.ed25519, steady()));
            match due {
                Due::Now => {
                    if self.pay(node)? {
                        return Ok(());
                    }
                }
                Due::Later => {}
                Due::Never => {
                    self.happened.note(Kind::WrittenOff);
                    let written_off = done(self.store_of(node).write_off(key));
                    if self.survived(node, written_off)?.is_none() {
                        return Ok(());
                    }
                }
            }
            if let Some(paying) = &mut self.nodes[node].process().paying {
                paying.creditors.pop_front();
            }
        }
    }

    /// Tells the first creditor what it is owed. Says whether it has been asked; if not, it is owed nothing, or the node has
    /// crashed.
    fn pay(&mut self, node: usize) -> Outcome<bool> {
        loop {
            let Some(process) = &mut self.nodes[node].process else { return Ok(true) };
            let Some(key) = process.paying.as_ref().and_then(|paying| paying.creditors.front().copied())
            else {
                return Ok(false);
            };
            let member = conclave_crypto::Ed25519Public::from_bytes(key).expect("a node's key");
            let next = debts::instalment(&process.store, &member);
            let Some(next) = self.survived(node, next)? else { return Ok(true) };
            let Some(Instalment { copies, paid }) = next else {
                self.nodes[node].process().debts.paid(&member);
                return Ok(false);
            };
            if copies.messages.is_empty() && copies.operations.is_empty() {
                let settled = done(self.store_of(node).settle(member, paid));
                if self.survived(node, settled)?.is_none() {
                    return Ok(true);
                }
                continue;
            }
            if let Some(paying) = &mut self.nodes[node].process().paying {
                paying.sent = paid;
            }
            let Some(to) = self.numbered(&member) else { return Ok(false) };
            let body = Arc::new(copies.encode());
            self.ask(node, to, (sync::COPIES, body), Purpose::Pay, millis(PATIENCE));
            return Ok(true);
        }
    }

    pub(super) fn payment_answered(&mut self, node: usize, answer: Result<Bytes, RequestError>) -> Outcome {
        let process = self.nodes[node].process();
        let Some(paying) = &mut process.paying else { return Ok(()) };
        let Some(key) = paying.creditors.front().copied() else { return Ok(()) };
        let member = conclave_crypto::Ed25519Public::from_bytes(key).expect("a node's key");
        let sent = std::mem::take(&mut paying.sent);
        if answer.is_err() {
            process.debts.failed(&member, steady());
            paying.creditors.pop_front();
            return self.next_creditor(node);
        }
        self.happened.note(Kind::Paid);
        let settled = done(self.store_of(node).settle(member, sent));
        if self.survived(node, settled)?.is_none() || self.pay(node)? {
            return Ok(());
        }
        if let Some(paying) = &mut self.nodes[node].process().paying {
            paying.creditors.pop_front();
        }
        self.next_creditor(node)
    }

    // Moving.

    /// Whether everything was brought where it belongs, for the directory the node knows.
    pub(super) fn has_moved(&self, node: usize) -> bool {
        let height = self.nodes[node].view().directory().height.to_string();
        let moved = self.store_of(node).meta(moving::META_MOVED).ok().flatten();
        moved.as_deref() == Some(height.as_bytes())
    }

    pub(super) fn move_accounts(&mut self, node: usize) -> Outcome {
        if self.nodes[node].process().moving.is_some() || self.has_moved(node) {
            return Ok(());
        }
        let (store, view) = (self.store_of(node), self.nodes[node].view());
        let mut groups = VecDeque::new();
        let mut after = None;
        loop {
            let accounts = store.accounts(after.as_ref(), moving::STEP);
            let Some(accounts) = self.survived(node, accounts)? else { return Ok(()) };
            let Some(last) = accounts.last() else { break };
            after = Some(*last);
            for (swarm, accounts) in moving::elsewhere(&view, &accounts) {
                let members = view.directory().members(swarm);
                let mut members: VecDeque<usize> =
                    members.filter_map(|member| self.numbered(&member.ed25519)).collect();
                let start = self.below(members.len());
                members.rotate_left(start);
                groups.push_back((members, accounts));
            }
        }
        drop(store);
        let height = view.directory().height;
        self.nodes[node].process().moving = Some(Moving { height, groups, delivery: None, failed: false });
        self.next_delivery(node)
    }

    /// Goes on where moving has come to.
    fn next_delivery(&mut self, node: usize) -> Outcome {
        loop {
            let now = self.time_of(node);
            let Some(process) = &mut self.nodes[node].process else { return Ok(()) };
            let Some(moving) = &mut process.moving else { return Ok(()) };
            let Some((members, accounts)) = moving.groups.front_mut() else { return self.moved(node) };
            let Some(member) = members.front().copied() else {
                moving.failed = true;
                moving.groups.pop_front();
                continue;
            };
            let delivery = moving.delivery.get_or_insert_with(|| Delivery::new(accounts.iter().copied()));
            let next = delivery.next(&process.store, cutoff(now));
            let Some(next) = self.survived(node, next)? else { return Ok(()) };
            match next {
                Some((endpoint, body)) => {
                    let body = self.on_the_way(endpoint, body);
                    self.ask(node, member, (endpoint, Arc::new(body)), Purpose::Move, millis(PATIENCE));
                    return Ok(());
                }
                None => {
                    if let Some(moving) = &mut self.nodes[node].process().moving {
                        moving.groups.pop_front();
                        moving.delivery = None;
                    }
                }
            }
        }
    }

    /// What is handed to another swarm, noted, and spoilt where that is asked for.
    fn on_the_way(&mut self, endpoint: &str, body: Vec<u8>) -> Vec<u8> {
        if endpoint != sync::COPIES {
            return body;
        }
        let Ok(mut copies) = Copies::decode(&body) else { return body };
        if !copies.messages.is_empty() {
            self.happened.note(Kind::MovedMessages);
        }
        if !copies.operations.is_empty() {
            self.happened.note(Kind::MovedOperations);
        }
        if self.bug == Some(Bug::MovingSkipsOperations) {
            copies.operations.clear();
        }
        copies.encode()
    }

    pub(super) fn delivery_answered(&mut self, node: usize, answer: Result<Bytes, RequestError>) -> Outcome {
        let Some(moving) = &mut self.nodes[node].process().moving else { return Ok(()) };
        let went_on = answer.ok().and_then(|answer| moving.delivery.as_mut()?.answered(&answer).ok());
        if went_on.is_none() {
            // The next member is tried, from the beginning.
            moving.delivery = None;
            if let Some((members, _)) = moving.groups.front_mut() {
                members.pop_front();
            }
        }
        self.next_delivery(node)
    }

    fn moved(&mut self, node: usize) -> Outcome {
        let Some(Moving { height, failed, .. }) = self.nodes[node].process().moving.take() else {
            return Ok(());
        };
        if failed {
            self.timer(node, millis(moving::AGAIN), Timer::Move);
            return Ok(());
        }
        let mark = height.to_string().into_bytes();
        let noted = done(self.store_of(node).set_meta(moving::META_MOVED, mark));
        if self.survived(node, noted)?.is_some() {
            // There may be a newer directory already.
            self.timer(node, 0, Timer::Move);
        }
        Ok(())
    }
}
