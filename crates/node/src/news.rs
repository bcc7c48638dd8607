//! Who is told when something new lies in a mailbox: requests that wait for an account, and push servers that watch it.
//!
//! Knows accounts and mailboxes, not who may read them: that is checked before anybody gets here.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use conclave_crypto::AccountId;
use conclave_proto::monitor::Notification;
use conclave_proto::{Namespace, Timestamp};
use conclave_transport::quic::Notifier;
use tokio::sync::{Notify, mpsc};

use crate::store::NewMessage;

/// How long a push server's subscription lives. (storage-and-onion 8.2)
const SUBSCRIPTION_LIFE: Duration = Duration::from_secs(65 * 60);
/// Subscriptions of all push servers; each takes some hundred bytes.
const MAX_SUBSCRIPTIONS: usize = 500_000;
/// Notifications that wait for a push server which reads slowly. One that falls further behind has to subscribe anew.
const QUEUE: usize = 4_096;

/// Everybody who wants to know.
#[derive(Default)]
pub(crate) struct News {
    waiting: Mutex<HashMap<AccountId, Arc<Notify>>>,
    watching: Mutex<Watching>,
}

#[derive(Default)]
struct Watching {
    by_account: HashMap<AccountId, Vec<Subscription>>,
    count: usize,
    /// Of each connection with subscriptions; there are few.
    queues: Vec<(Notifier, Queue)>,
}

type Queue = mpsc::Sender<(&'static str, Bytes)>;

struct Subscription {
    connection: Notifier,
    queue: Queue,
    namespaces: BTreeSet<i16>,
    with_data: bool,
    until: Timestamp,
}

/// A wait for news of one account. Forgotten when dropped.
pub(crate) struct Waiting<'a> {
    of: &'a News,
    account: AccountId,
    news: Arc<Notify>,
}

impl Waiting<'_> {
    /// Wakes when something may have come. Call `enable` on it before looking, so that nothing is missed in between.
    pub(crate) fn news(&self) -> tokio::sync::futures::Notified<'_> {
        self.news.notified()
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut waiting = self.of.waiting();
        // The table's and this one.
        if Arc::strong_count(&self.news) <= 2 {
            waiting.remove(&self.account);
        }
    }
}

/// Why there is no subscription: too many already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooMany;

impl News {
    /// Begins to wait for news of an account.
    pub(crate) fn wait(&self, account: AccountId) -> Waiting<'_> {
        let news = Arc::clone(self.waiting().entry(account).or_default());
        Waiting { of: self, account, news }
    }

    /// A client has stored something that was not here before.
    pub(crate) fn stored(&self, message: &NewMessage, now: Timestamp) {
        self.arrived(&message.owner);
        self.watching().stored(message, now);
    }

    /// Something has come by any way: from a client, or from another member.
    pub(crate) fn arrived(&self, account: &AccountId) {
        if let Some(news) = self.waiting().get(account) {
            news.notify_waiters();
        }
    }

    /// Subscribes a push server's connection to mailboxes of an account, or prolongs and widens what it has.
    pub(crate) fn watch(
        &self,
        account: AccountId,
        namespaces: &[Namespace],
        with_data: bool,
        connection: &Notifier,
        now: Timestamp,
    ) -> Result<(), TooMany> {
        let until = now.plus(SUBSCRIPTION_LIFE);
        let mut watching = self.watching();
        let subscriptions = watching.by_account.entry(account).or_default();
        let namespaces = namespaces.iter().map(|namespace| namespace.0);
        if let Some(known) = subscriptions.iter_mut().find(|known| known.connection.is_same(connection)) {
            known.namespaces.extend(namespaces);
            known.with_data |= with_data;
            known.until = until;
            return Ok(());
        }
        let queue = watching.queue_of(connection);
        if watching.count >= MAX_SUBSCRIPTIONS {
            watching.forget_if_empty(&account);
            return Err(TooMany);
        }
        let namespaces = namespaces.collect();
        let subscription =
            Subscription { connection: connection.clone(), queue, namespaces, with_data, until };
        watching.by_account.entry(account).or_default().push(subscription);
        watching.count += 1;
        Ok(())
    }

    /// Ends subscriptions whose time is over or whose connection has gone.
    pub(crate) fn sweep(&self, now: Timestamp) {
        let mut watching = self.watching();
        watching.retain(|_, subscription| subscription.until > now && !subscription.queue.is_closed());
        watching.queues.retain(|(_, queue)| !queue.is_closed());
    }

    /// Ends the subscriptions to accounts that are not kept here any more, and says so with what `goodbye` gives.
    pub(crate) fn moved(&self, is_ours: impl Fn(&AccountId) -> bool, goodbye: impl Fn(&AccountId) -> Bytes) {
        self.watching().retain(|account, subscription| {
            let stays = is_ours(account);
            if !stays {
                // One that does not read learns it from the error when it renews.
                let _ = subscription.queue.try_send(("monitor_ended", goodbye(account)));
            }
            stays
        });
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<AccountId, Arc<Notify>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn watching(&self) -> MutexGuard<'_, Watching> {
        self.watching.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watching {
    fn stored(&mut self, message: &NewMessage, now: Timestamp) {
        let Some(subscriptions) = self.by_account.get_mut(&message.owner) else { return };
        let (mut bare, mut full) = (None, None);
        let encode = |with_data: bool| {
            let notification = Notification {
                account: message.owner,
                hash: message.hash.to_string(),
                namespace: message.namespace,
                timestamp: message.timestamp,
                expiry: message.expiry,
                data: with_data.then(|| message.data.clone()),
            };
            Bytes::from(notification.encode())
        };
        let before = subscriptions.len();
        subscriptions.retain(|subscription| {
            if subscription.until <= now {
                return false;
            }
            if !subscription.namespaces.contains(&message.namespace.0) {
                return true;
            }
            let encoded = if subscription.with_data { &mut full } else { &mut bare };
            let body = encoded.get_or_insert_with(|| encode(subscription.with_data)).clone();
            subscription.queue.try_send(("notify", body)).is_ok()
        });
        self.count -= before - subscriptions.len();
        self.forget_if_empty(&message.owner);
    }

    fn retain(&mut self, keep: impl Fn(&AccountId, &Subscription) -> bool) {
        let mut count = 0;
        self.by_account.retain(|account, subscriptions| {
            subscriptions.retain(|subscription| keep(account, subscription));
            count += subscriptions.len();
            !subscriptions.is_empty()
        });
        self.count = count;
    }

    fn forget_if_empty(&mut self, account: &AccountId) {
        if self.by_account.get(account).is_some_and(Vec::is_empty) {
            self.by_account.remove(account);
        }
    }

    /// The queue of a connection: that of its other subscriptions, or a new one with a task that sends from it.
    fn queue_of(&mut self, connection: &Notifier) -> Queue {
        self.queues.retain(|(_, queue)| !queue.is_closed());
        if let Some((_, queue)) = self.queues.iter().find(|(known, _)| known.is_same(connection)) {
            return queue.clone();
        }
        let (queue, mut waiting) = mpsc::channel::<(&'static str, Bytes)>(QUEUE);
        self.queues.push((connection.clone(), queue.clone()));
        let connection = connection.clone();
        tokio::spawn(async move {
            let sending = async {
                while let Some((endpoint, body)) = waiting.recv().await {
                    if connection.notify(endpoint, body).await.is_err() {
                        return;
                    }
                }
            };
            tokio::select! {
                () = sending => {}
                () = connection.gone() => {}
            }
        });
        queue
    }
}
