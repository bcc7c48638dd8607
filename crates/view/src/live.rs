//! The task behind a screen: reads, listens, publishes.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use conclave_client::session::Events;
use conclave_client::types::Event;
use conclave_client::{Account, Error};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};

use crate::sdk;

/// A screen is not read more often than this. A single change is shown at once; of many, each of these once.
const READ_EVERY: Duration = Duration::from_millis(100);
/// Acts that wait for a screen that is reading.
const ACTS: usize = 16;
/// Nothing is further away than this, so that a clock that is put back is noticed.
const LOOK: Duration = Duration::from_secs(60);

/// What a screen shows now, and whenever that is different. Dropping it ends the screen.
#[derive(Debug)]
pub struct Live<S> {
    state: watch::Receiver<Arc<S>>,
    task: tokio::task::JoinHandle<()>,
}

impl<S> Live<S> {
    /// The newest snapshot.
    pub fn state(&self) -> Arc<S> {
        Arc::clone(&self.state.borrow())
    }

    /// Tells of each further snapshot, the newest only; ends when the owner of the profile does.
    pub fn watch(&self) -> watch::Receiver<Arc<S>> {
        self.state.clone()
    }
}

impl<S> Drop for Live<S> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A screen and the way acts reach it.
#[derive(Debug)]
pub struct Opened<S, A> {
    /// What it shows.
    pub live: Live<S>,
    acts: mpsc::Sender<Asked<A>>,
}

struct Asked<A> {
    act: A,
    done: oneshot::Sender<Result<serde_json::Value, Error>>,
}

impl<S, A> Opened<S, A> {
    /// Has the screen do something, and waits until it shows. What the act gives is data: most give nothing (`null`).
    ///
    /// # Errors
    /// What the SDK says; or that the owner of the profile is gone.
    pub async fn act(&self, act: A) -> Result<serde_json::Value, Error> {
        self.ask(act).await?.wait().await
    }

    /// Has the screen do something some time, unless it has much to do already: whatever it does, it shows itself afterwards.
    pub fn nudge(&self, act: A) {
        let (done, _) = oneshot::channel();
        let _ = self.acts.try_send(Asked { act, done });
    }

    /// As [`Self::act`], in two steps: when the first is done, whatever is asked afterwards is done afterwards.
    ///
    /// # Errors
    /// If the owner of the profile is gone.
    pub async fn ask(&self, act: A) -> Result<Answer, Error> {
        let (done, answered) = oneshot::channel();
        self.acts.send(Asked { act, done }).await.map_err(|_| gone())?;
        Ok(Answer(answered))
    }
}

/// What a screen will answer.
#[derive(Debug)]
pub struct Answer(oneshot::Receiver<Result<serde_json::Value, Error>>);

impl Answer {
    /// Waits for it.
    ///
    /// # Errors
    /// As [`Opened::act`].
    pub async fn wait(self) -> Result<serde_json::Value, Error> {
        self.0.await.map_err(|_| gone())?
    }
}

fn gone() -> Error {
    Error::Owner { profile: String::new(), problem: "went away".to_owned() }
}

/// What an event is to a screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// It shows the same.
    Nothing,
    /// It shows something else.
    Shown,
    /// It has to be read again.
    Stale,
}

/// What a screen is, apart from time, events and who looks at it.
pub(crate) trait Screen: Send + 'static {
    type State: PartialEq + Send + Sync + 'static;
    type Act: Send + 'static;

    /// Reads everything anew.
    fn read(&mut self, session: &Account) -> impl Future<Output = Result<(), Error>> + Send;
    /// Everything may be different.
    fn missed(&mut self) {}
    /// Something happened.
    fn hear(&mut self, event: &Event, now: u64) -> Heard;
    /// Does what is asked.
    fn act(
        &mut self,
        session: &Arc<Account>,
        act: Self::Act,
    ) -> impl Future<Output = Result<serde_json::Value, Error>> + Send;
    /// What it shows.
    fn state(&self, now: u64) -> Self::State;
    /// When it shows something else although nothing happens, or has something to do.
    fn next_change(&self, now: u64) -> Option<u64>;
    /// That time has come: whether it is to be read again.
    fn due(&mut self, session: &Account, now: u64) -> impl Future<Output = Heard> + Send;
    /// The profile is locked: whatever was read of it is forgotten.
    fn forget(&mut self);
    /// Network time minus the machine's, milliseconds.
    fn clock_offset(&self) -> i64 {
        0
    }
}

/// Opens a screen: it has been read once when this returns.
pub(crate) async fn open<S: Screen>(
    session: Arc<Account>,
    mut screen: S,
) -> Result<Opened<S::State, S::Act>, Error> {
    // Before reading, so that nothing that happens in between is missed.
    let events = session.events().await?;
    screen.read(&session).await?;
    let now = sdk::now(screen.clock_offset());
    let (publish, state) = watch::channel(Arc::new(screen.state(now)));
    let (acts, asked) = mpsc::channel(ACTS);
    let running = Running { session, screen, publish, stale: false, last_read: Instant::now() };
    let task = tokio::spawn(running.run(events, asked));
    Ok(Opened { live: Live { state, task }, acts })
}

struct Running<S: Screen> {
    session: Arc<Account>,
    screen: S,
    publish: watch::Sender<Arc<S::State>>,
    stale: bool,
    last_read: Instant,
}

impl<S: Screen> Running<S> {
    async fn run(mut self, mut events: Events, mut asked: mpsc::Receiver<Asked<S::Act>>) {
        loop {
            let wake: Pin<Box<tokio::time::Sleep>> = Box::pin(sleep_until(self.wake()));
            tokio::select! {
                event = events.next() => match event {
                    Some(event) => self.hear(&event),
                    None => return,
                },
                act = asked.recv() => match act {
                    Some(Asked { act, done }) => {
                        let result = self.screen.act(&self.session, act).await;
                        self.show();
                        // Whoever asked may have gone.
                        let _ = done.send(result);
                    }
                    None => return,
                },
                () = wake => self.wake_up().await,
            }
        }
    }

    fn now(&self) -> u64 {
        sdk::now(self.screen.clock_offset())
    }

    fn wake(&self) -> Instant {
        let now = self.now();
        let change = self.screen.next_change(now).map(|at| Duration::from_millis(at.saturating_sub(now)));
        let change = Instant::now() + change.unwrap_or(LOOK).min(LOOK);
        if self.stale { change.min(self.last_read + READ_EVERY) } else { change }
    }

    fn hear(&mut self, event: &Event) {
        match event {
            Event::Locked => {
                self.stale = false;
                self.screen.forget();
                self.show();
            }
            Event::Unlocked | Event::Missed => {
                self.screen.missed();
                self.stale = true;
            }
            event => {
                let now = self.now();
                let heard = self.screen.hear(event, now);
                self.take(heard);
            }
        }
    }

    fn take(&mut self, heard: Heard) {
        match heard {
            Heard::Nothing => {}
            Heard::Shown => self.show(),
            Heard::Stale => self.stale = true,
        }
    }

    async fn wake_up(&mut self) {
        let now = self.now();
        if self.screen.next_change(now.saturating_sub(1)).is_some_and(|at| at <= now) {
            let heard = self.screen.due(&self.session, now).await;
            self.take(heard);
        }
        if self.stale && self.last_read.elapsed() >= READ_EVERY {
            self.last_read = Instant::now();
            self.stale = false;
            if let Err(error) = self.screen.read(&self.session).await {
                // Locked meanwhile: it is read when it is unlocked. Anything else shows at the next change.
                tracing::debug!(kind = error.kind(), "a screen could not be read");
            }
        }
        self.show();
    }

    fn show(&self) {
        let state = self.screen.state(self.now());
        self.publish.send_if_modified(|shown| {
            let different = **shown != state;
            if different {
                *shown = Arc::new(state);
            }
            different
        });
    }
}
