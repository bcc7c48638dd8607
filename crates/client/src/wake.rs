//! Noticing that this machine reaches the network in another way: another Wi-Fi, a cable, or it was asleep.
//!
//! What waits is then tried at once, over new connections, instead of when its pause is over. The system's addresses are
//! compared once a second: that is soon enough for people, works the same everywhere, and costs a few microseconds.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use crate::client::Shared;

/// Between two looks.
const LOOK: Duration = Duration::from_secs(1);
/// The clock went on so much longer than this process: the machine slept. Far above what a busy machine keeps a task waiting.
const SLEPT: Duration = Duration::from_secs(10);

/// What is compared.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Look {
    addresses: BTreeSet<IpAddr>,
    at: Instant,
    clock: SystemTime,
}

impl Look {
    fn now() -> Self {
        let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
        let addresses = interfaces.into_iter().filter(|one| !one.is_loopback()).map(|one| one.ip()).collect();
        Self { addresses, at: Instant::now(), clock: SystemTime::now() }
    }

    /// Whether the way to the network is another one than at `before`. Addresses that only went away are no new way.
    fn differs(&self, before: &Self) -> bool {
        let ran = self.at.saturating_duration_since(before.at);
        let passed = self.clock.duration_since(before.clock).unwrap_or_default();
        !self.addresses.is_subset(&before.addresses) || passed > ran + SLEPT
    }
}

/// Looks again and again. Never ends.
pub(crate) async fn run(shared: &Arc<Shared>) {
    let mut before = Look::now();
    loop {
        tokio::time::sleep(LOOK).await;
        let now = Look::now();
        if now.differs(&before) {
            tracing::info!("this machine's way to the network has changed; what waits is tried at once");
            shared.begin_anew().await;
        }
        before = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(addresses: &[[u8; 4]], ran: u64, passed: u64, since: &Look) -> Look {
        Look {
            addresses: addresses.iter().map(|octets| IpAddr::from(*octets)).collect(),
            at: since.at + Duration::from_secs(ran),
            clock: since.clock + Duration::from_secs(passed),
        }
    }

    #[test]
    fn a_new_address_or_a_sleep_is_another_way() {
        let start = Look { addresses: BTreeSet::new(), at: Instant::now(), clock: SystemTime::now() };
        let home = look(&[[192, 0, 2, 1]], 1, 1, &start);
        assert!(home.differs(&start), "a network came");
        assert!(!look(&[[192, 0, 2, 1]], 2, 2, &start).differs(&home));
        assert!(!look(&[], 2, 2, &start).differs(&home), "there is nothing to try while there is no network");
        assert!(look(&[[192, 0, 2, 1], [198, 51, 100, 1]], 2, 2, &start).differs(&home));
        assert!(look(&[[192, 0, 2, 1]], 2, 3_600, &start).differs(&home), "it slept for an hour");
        let back = Look { clock: home.clock - Duration::from_secs(3_600), ..home.clone() };
        assert!(!back.differs(&home), "a clock that is put back is no sleep");
    }
}
