//! What befalls nodes: crashes, lost disks, partitions, joining and leaving, time.

use std::sync::Arc;

use conclave_proto::{SwarmId, Timestamp};
use rand_core::RngCore as _;

use super::Bug;
use super::coverage::Kind;
use super::process::{Purpose, Timer};
use super::world::{Event, MOST_NODES, Outcome, Violation, World, steady};
use crate::registry::NetworkView;
use crate::swarm;

const SECOND: u64 = 1_000;
const HOUR: u64 = 3_600 * SECOND;
const DAY: u64 = 24 * HOUR;
/// How far a clock may be off.
const SKEW: u64 = 30 * SECOND;
/// Writes of clients in each world.
const OPERATIONS: u64 = 200;
/// How long members may take to come to the same, once nothing bad happens any more.
const SETTLE_MINUTES: u64 = 45;
/// Far enough away to never come.
const NEVER: u64 = 1 << 40;

impl World {
    /// Everything that happens in this world.
    pub(super) fn takes_its_course(&mut self) -> Outcome {
        for node in 0..MOST_NODES {
            self.set_skew(node);
        }
        let first = 3 + self.below(4);
        let keys: Vec<_> = self.nodes[..first].iter().map(|node| node.key).collect();
        let seed = self.rng.next_u64();
        let params = self.membership.params;
        self.membership.map.update(&params, &keys, seed);
        self.membership.publish();
        for node in 0..first {
            self.start(node)?;
        }
        self.run_until(self.elapsed() + 2 * SECOND)?;
        let mut scanned = 0;
        while self.operations < OPERATIONS {
            self.something_happens()?;
            let pause = match self.below(10) {
                0 => self.between(3 * SECOND, 20 * SECOND),
                1..4 => self.between(0, 50),
                _ => self.between(50, 2 * SECOND),
            };
            self.run_until(self.elapsed() + pause)?;
            if self.operations >= scanned + 40 {
                scanned = self.operations;
                self.scan()?;
            }
        }
        self.settle()?;
        self.everything_is_read()
    }

    fn something_happens(&mut self) -> Outcome {
        match self.below(1_000) {
            0..60 => self.somebody_reads(),
            60..80 => self.crash(),
            80..105 => {
                if let Some(node) = self.some_running() {
                    let writes = self.between(1, 40);
                    self.nodes[node].disk.kill_at_write(writes);
                }
                Ok(())
            }
            105..120 => self.lose_disk(),
            120..135 => {
                self.partition();
                Ok(())
            }
            135..150 => self.join(),
            150..165 => self.leave(),
            165..172 => {
                let hours = self.between(HOUR / 4, 6 * HOUR);
                self.happened.note(Kind::Hours);
                self.say(|_| format!("{} minutes pass", hours / 60_000));
                self.time_passes(hours)
            }
            172..174 => self.long_time_passes(DAY, 9 * DAY, Kind::Days),
            174 => self.long_time_passes(32 * DAY, 45 * DAY, Kind::Month),
            175..180 => {
                let node = self.below(MOST_NODES);
                self.happened.note(Kind::ClockSet);
                self.set_skew(node);
                Ok(())
            }
            _ => self.somebody_writes(),
        }
    }

    fn set_skew(&mut self, node: usize) {
        self.nodes[node].skew = self.between(0, 2 * SKEW) as i64 - SKEW as i64;
    }

    fn some_running(&mut self) -> Option<usize> {
        let running: Vec<usize> =
            (0..self.nodes.len()).filter(|node| self.nodes[*node].process.is_some()).collect();
        (!running.is_empty()).then(|| running[self.below(running.len())])
    }

    fn crash(&mut self) -> Outcome {
        if let Some(node) = self.some_running() {
            self.happened.note(Kind::Crash);
            self.nodes[node].disk.crash();
            self.dies(node);
        }
        Ok(())
    }

    fn lose_disk(&mut self) -> Outcome {
        let Some(node) = self.some_running() else { return Ok(()) };
        if !self.is_spare(node) {
            return Ok(());
        }
        self.happened.note(Kind::LostDisk);
        self.say(|_| format!("node {node} loses its disk"));
        self.nodes[node].disk.crash();
        self.dies(node);
        self.new_disk(node);
        Ok(())
    }

    fn new_disk(&mut self, node: usize) {
        let seed = self.rng.next_u64();
        self.nodes[node].disk = conclave_testkit::crashfs::CrashFs::new(seed);
        self.nodes[node].view = None;
    }

    fn partition(&mut self) {
        if self.network.parts.is_some() {
            return;
        }
        self.happened.note(Kind::Partition);
        let parts: Vec<u8> = (0..MOST_NODES).map(|_| (self.rng.next_u32() % 2) as u8).collect();
        self.say(|_| format!("the network is partitioned: {parts:?}"));
        self.network.parts = Some(parts);
        let heals = self.between(5 * SECOND, 120 * SECOND);
        self.after(heals, Event::Heal);
    }

    fn join(&mut self) -> Outcome {
        let listed = self.listed();
        let free: Vec<usize> = (0..MOST_NODES).filter(|node| !listed.contains(node)).collect();
        if free.is_empty() {
            return Ok(());
        }
        let node = free[self.below(free.len())];
        if self.nodes[node].life > 0 && self.chance(500) {
            self.happened.note(Kind::Rejoin);
        } else {
            self.new_disk(node);
            self.happened.note(Kind::Join);
        }
        self.say(|_| format!("node {node} joins"));
        let key = self.nodes[node].key;
        self.membership_changes(&[key], &[])?;
        let starts = self.between(0, 5 * SECOND);
        self.after(starts, Event::Start { node });
        Ok(())
    }

    fn leave(&mut self) -> Outcome {
        let Some(node) = self.some_running() else { return Ok(()) };
        if self.listed().len() <= 2 || !self.is_spare(node) {
            return Ok(());
        }
        self.happened.note(Kind::Leave);
        self.say(|_| format!("node {node} leaves"));
        let key = self.nodes[node].key;
        self.nodes[node].process = None;
        self.nodes[node].life += 1;
        self.membership_changes(&[], &[key])
    }

    fn membership_changes(
        &mut self,
        joining: &[conclave_crypto::Ed25519Public],
        leaving: &[conclave_crypto::Ed25519Public],
    ) -> Outcome {
        if self.chance(300) {
            // What is taken on now is committed when everybody knows better.
            self.network.disks_slow_until = self.elapsed() + 8 * SECOND;
            for _ in 0..3 {
                self.somebody_writes()?;
            }
        }
        let before = self.membership.map.clone();
        let seed = self.rng.next_u64();
        let params = self.membership.params;
        self.membership.map.remove(leaving);
        self.membership.map.update(&params, joining, seed);
        self.membership.publish();
        let now = self.membership.map.swarms();
        let swarms = |swarm: &SwarmId| before.swarms().contains_key(swarm);
        let created = now.keys().any(|swarm| !swarms(swarm));
        let dissolved = before.swarms().keys().any(|swarm| !now.contains_key(swarm));
        let assigned = self.membership.map.assignment();
        let is_moved = |(node, swarm): &(conclave_crypto::Ed25519Public, SwarmId)| {
            assigned.get(node).is_some_and(|now| now != swarm)
        };
        let moved = before.assignment().into_iter().any(|entry| is_moved(&entry));
        let kinds =
            [(created, Kind::SwarmCreated), (dissolved, Kind::SwarmDissolved), (moved, Kind::NodeMoved)];
        kinds.iter().filter(|(is, _)| *is).for_each(|(_, kind)| self.happened.note(*kind));
        self.say(|world| {
            let swarms = world.membership.directory.swarms().iter();
            let swarms: Vec<_> = swarms.map(|swarm| (swarm.to_hex(), world.members(*swarm))).collect();
            format!("the directory of height {}: {swarms:?}", world.membership.directory.height)
        });
        for node in self.listed() {
            let delay = if self.chance(60) {
                self.happened.note(Kind::LateDirectory);
                self.between(30 * SECOND, 200 * SECOND)
            } else {
                self.between(0, 8 * SECOND)
            };
            self.after(delay, Event::Directory { node });
        }
        Ok(())
    }

    /// What a node sees in the newest directory, if it is in it.
    fn newest_view(&self, node: usize) -> Option<Arc<NetworkView>> {
        let membership = &self.membership;
        let (directory, signed) = (membership.directory.clone(), membership.signed.clone());
        NetworkView::of(directory, signed, self.nodes[node].key, None).map(Arc::new)
    }

    pub(super) fn start(&mut self, node: usize) -> Outcome {
        let Some(newest) = self.newest_view(node) else { return Ok(()) };
        if self.nodes[node].process.is_some() {
            return Ok(());
        }
        if self.nodes[node].disk.is_down() {
            self.nodes[node].disk.crash();
        }
        if !self.network.perfect && self.chance(40) {
            let writes = self.between(1, 12);
            self.nodes[node].disk.kill_at_write(writes);
        }
        let process = match self.nodes[node].open(self.bug != Some(Bug::NotDurable)) {
            _ if self.nodes[node].disk.is_down() => {
                self.happened.note(Kind::CrashInStart);
                self.after(5 * SECOND, Event::Start { node });
                return Ok(());
            }
            Ok(process) => process,
            Err(error) => return Err(Violation(format!("node {node} does not start: {error}"))),
        };
        // It may be that the directory's file is not newer yet than what the node knew.
        let listed = self.nodes[node].view.is_some();
        if !listed || self.network.perfect || self.chance(800) {
            self.nodes[node].view = Some(newest);
        } else {
            let delay = self.between(SECOND, 60 * SECOND);
            self.after(delay, Event::Directory { node });
        }
        self.nodes[node].life += 1;
        self.nodes[node].process = Some(process);
        self.say(|world| {
            let view = world.nodes[node].view();
            format!(
                "node {node} runs, in swarm {} of height {}",
                view.own().swarm.to_hex(),
                view.directory().height
            )
        });
        self.start_timers(node);
        self.greet(node);
        Ok(())
    }

    pub(super) fn sees_directory(&mut self, node: usize) -> Outcome {
        let Some(newest) = self.newest_view(node) else { return Ok(()) };
        if self.nodes[node].process.is_none()
            || self.nodes[node].view().directory().height == newest.directory().height
        {
            return Ok(());
        }
        self.say(|_| format!("node {node} sees the directory"));
        let gone: Vec<usize> = (0..MOST_NODES)
            .filter(|other| newest.directory().node(&self.nodes[*other].key).is_none())
            .collect();
        let before = self.others(node);
        self.nodes[node].view = Some(newest);
        let others = self.others(node);
        let is_changed = before != others;
        let elapsed = Timestamp(self.elapsed());
        let process = self.nodes[node].process();
        process.peers.retain(|other, _| !gone.contains(other));
        let under_write = is_changed && process.coordinator.running() > 0;
        process.coordinator.handle(elapsed, swarm::Event::SwarmChanged { others });
        process.rota.swarm_changed(steady());
        if under_write {
            self.happened.note(Kind::ChangedUnderWrite);
        }
        self.carry_out(node)?;
        if self.nodes[node].process.is_some() {
            self.compare_now(node);
            self.timer(node, 0, Timer::Move);
            self.greet(node);
        }
        Ok(())
    }

    fn greet(&mut self, node: usize) {
        let others: Vec<_> = self.nodes[node].view().others().map(|other| other.ed25519).collect();
        for other in others.iter().filter_map(|key| self.numbered(key)).collect::<Vec<_>>() {
            self.ask(node, other, ("snode_ping", Arc::default()), Purpose::Greet, 5 * SECOND);
        }
    }

    fn long_time_passes(&mut self, least: u64, most: u64, kind: Kind) -> Outcome {
        // Who is away for weeks comes back to people who have forgotten; that is said in docs/decisions/0007.
        self.settle()?;
        let time = self.between(least, most);
        self.happened.note(kind);
        self.say(|_| format!("{} days pass", time / DAY));
        self.time_passes(time)
    }

    /// Everything heals, and members come to the same.
    pub(super) fn settle(&mut self) -> Outcome {
        self.say(|_| "everything heals".to_owned());
        self.network.perfect = true;
        self.network.parts = None;
        for node in self.listed() {
            self.nodes[node].disk.kill_at_write(NEVER);
            self.start(node)?;
            self.nodes[node].disk.kill_at_write(NEVER);
            self.sees_directory(node)?;
        }
        let mut settled = Ok(());
        for _ in 0..SETTLE_MINUTES {
            self.run_until(self.elapsed() + 60 * SECOND)?;
            settled = self.is_settled();
            if settled.is_ok() {
                break;
            }
        }
        settled.map_err(Violation)?;
        self.scan()?;
        self.network.perfect = false;
        Ok(())
    }
}
