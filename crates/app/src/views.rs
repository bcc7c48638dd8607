//! The screens one page has open: each is followed, and what changes is told as patches.
//!
//! A patch leads from what the page was last told to what is shown now, and is only made when there is room for it. So a page that
//! reads slowly gets fewer and larger patches, and nothing is kept for it.

use std::collections::BTreeMap;
use std::sync::Arc;

use conclave_client::types::MessageId;
use conclave_view::chats::{self, Chats, NoAct, Requests};
use conclave_view::composer::{self, Composer, ComposerAct};
use conclave_view::contacts::{self, Contacts};
use conclave_view::network::{self, NetworkScreen};
use conclave_view::settings::{self, SettingsAct, SettingsScreen};
use conclave_view::timeline::{self, Timeline, TimelineAct};
use conclave_view::{Answer, Live, Opened};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};

use crate::diff;
use crate::files::Trays;
use crate::profiles::OpenProfile;
use crate::rpc::{Problem, answer, notification};

/// Screens one page has open at a time.
pub(crate) const MAX_VIEWS: usize = 32;
/// The longest name a page gives to a screen.
const MAX_ID: usize = 64;

/// The parameters of `view.open`.
#[derive(Debug, Deserialize)]
pub(crate) struct Open {
    view: Kind,
    id: String,
    chat: Option<String>,
    around: Option<MessageId>,
    #[serde(default)]
    utc_offset_minutes: i32,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Chats,
    Requests,
    Timeline,
    Composer,
    Contacts,
    Settings,
    Network,
}

enum View {
    Chats(Opened<Chats, NoAct>),
    Requests(Opened<Requests, NoAct>),
    Timeline(Opened<Timeline, TimelineAct>),
    Composer(Opened<Composer, ComposerAct>),
    Contacts(Opened<Contacts, NoAct>),
    Settings(Opened<SettingsScreen, SettingsAct>),
    Network(Opened<NetworkScreen, NoAct>),
}

struct Followed {
    view: View,
    following: tokio::task::JoinHandle<()>,
}

impl Drop for Followed {
    fn drop(&mut self) {
        self.following.abort();
    }
}

/// The screens of one page.
#[derive(Default)]
pub(crate) struct Views {
    open: BTreeMap<String, Followed>,
}

/// A screen that has been read and is not shown yet.
pub(crate) struct Ready {
    id: String,
    view: View,
}

/// Reads a screen. Apart from [`Views`], so that the page can do other things meanwhile.
pub(crate) async fn prepare(profile: &Arc<OpenProfile>, trays: &Trays, open: Open) -> Result<Ready, Problem> {
    if open.id.is_empty() || open.id.len() > MAX_ID {
        let message = format!("the id of a view has 1 to {MAX_ID} bytes");
        return Err(Problem::refused("bad_view", message, "choose a shorter one"));
    }
    let session = || Arc::clone(&profile.session);
    let chat = || {
        let missing = || Problem::refused("bad_view", "this view is of a chat", "name it with `chat`");
        open.chat.clone().ok_or_else(missing)
    };
    let view = match open.view {
        Kind::Chats => View::Chats(chats::open_chats(session()).await?),
        Kind::Requests => View::Requests(chats::open_requests(session()).await?),
        Kind::Timeline => {
            let (chat, offset) = (chat()?, open.utc_offset_minutes);
            View::Timeline(timeline::open(session(), chat, open.around, offset).await?)
        }
        Kind::Composer => View::Composer(composer::open(session(), chat()?, |chat| trays.of(chat)).await?),
        Kind::Contacts => View::Contacts(contacts::open(session()).await?),
        Kind::Settings => {
            let profile = Arc::clone(profile);
            View::Settings(settings::open(session(), move || profile.has_passphrase()).await?)
        }
        Kind::Network => View::Network(network::open(session()).await?),
    };
    Ok(Ready { id: open.id, view })
}

impl Views {
    /// Answers the request for a screen with its first state, and tells what changes from then on. One of the same name is
    /// closed.
    pub(crate) fn show(
        &mut self,
        ready: Ready,
        request: &Value,
        out: &mpsc::Sender<Value>,
        gone: &watch::Sender<bool>,
    ) -> Result<(), Problem> {
        let Ready { id, view } = ready;
        if self.open.len() >= MAX_VIEWS && !self.open.contains_key(&id) {
            let message = format!("a page has at most {MAX_VIEWS} views open");
            return Err(Problem::refused("too_many_views", message, "close one"));
        }
        let to = Told { id: id.clone(), request: request.clone(), out: out.clone(), gone: gone.clone() };
        let following = match &view {
            View::Chats(opened) => tokio::spawn(follow(to, watching(&opened.live))),
            View::Requests(opened) => tokio::spawn(follow(to, watching(&opened.live))),
            View::Timeline(opened) => tokio::spawn(follow(to, watching(&opened.live))),
            View::Composer(opened) => tokio::spawn(follow(to, watching(&opened.live))),
            View::Contacts(opened) => tokio::spawn(follow(to, watching(&opened.live))),
            View::Settings(opened) => tokio::spawn(follow(to, watching(&opened.live))),
            View::Network(opened) => tokio::spawn(follow(to, watching(&opened.live))),
        };
        self.open.insert(id, Followed { view, following });
        Ok(())
    }

    /// Has the timeline of this name do something.
    pub(crate) async fn timeline(&self, id: &str, act: TimelineAct) -> Result<Answer, Problem> {
        match self.find(id)? {
            View::Timeline(opened) => Ok(opened.ask(act).await?),
            _ => Err(Problem::refused("bad_view", "this view has no window that moves", "open a timeline")),
        }
    }

    /// Has the composer of this name do something.
    pub(crate) async fn composer(&self, id: &str, act: ComposerAct) -> Result<Answer, Problem> {
        match self.find(id)? {
            View::Composer(opened) => Ok(opened.ask(act).await?),
            _ => Err(Problem::refused("bad_view", "nothing is written in this view", "open a composer")),
        }
    }

    /// Has screens of the settings read them again: they were changed through this page.
    pub(crate) async fn settings_changed(&self) {
        for followed in self.open.values() {
            if let View::Settings(opened) = &followed.view {
                // Its answer is nobody's; what it shows is.
                let _ = opened.ask(SettingsAct::Reread).await;
            }
        }
    }

    /// Has the composers of a conversation show what is in its tray now.
    pub(crate) fn tray_changed(&self, chat: &str) {
        for followed in self.open.values() {
            if let View::Composer(opened) = &followed.view
                && opened.live.state().chat == chat
            {
                opened.nudge(ComposerAct::Look);
            }
        }
    }

    /// Closes a screen; what was being written there is kept. Nothing, if there is none of this name.
    pub(crate) async fn close(&mut self, id: &str) {
        if let Some(followed) = self.open.remove(id) {
            keep_draft(&followed).await;
        }
    }

    /// Closes all.
    pub(crate) async fn close_all(&mut self) {
        for followed in std::mem::take(&mut self.open).into_values() {
            keep_draft(&followed).await;
        }
    }

    fn find(&self, id: &str) -> Result<&View, Problem> {
        let missing =
            || Problem::refused("no_view", "no view of this id is open", "open it with `view.open`");
        self.open.get(id).map(|followed| &followed.view).ok_or_else(missing)
    }
}

async fn keep_draft(followed: &Followed) {
    if let View::Composer(opened) = &followed.view
        && let Err(error) = opened.act(ComposerAct::Save).await
    {
        tracing::debug!(kind = error.kind(), "a draft could not be kept");
    }
}

/// Whom a screen is shown to.
struct Told {
    id: String,
    request: Value,
    out: mpsc::Sender<Value>,
    /// The owner of the profile has ended.
    gone: watch::Sender<bool>,
}

/// A snapshot as data, now and later.
struct Watching<S> {
    state: watch::Receiver<Arc<S>>,
}

fn watching<S>(live: &Live<S>) -> Watching<S> {
    Watching { state: live.watch() }
}

impl<S: Serialize> Watching<S> {
    fn now(&mut self) -> Value {
        let state = Arc::clone(&self.state.borrow_and_update());
        // Our own types have string keys and no failing serializers.
        serde_json::to_value(&*state).unwrap_or_default()
    }
}

async fn follow<S: Serialize>(to: Told, mut watching: Watching<S>) {
    let mut shown = watching.now();
    if to.out.send(answer(&to.request, Ok(shown.clone()))).await.is_err() {
        return;
    }
    loop {
        if watching.state.changed().await.is_err() {
            to.gone.send_replace(true);
            return;
        }
        // First the room, then the newest state.
        let Ok(room) = to.out.reserve().await else { return };
        let state = watching.now();
        if let Some(patch) = diff::patch(&shown, &state) {
            room.send(notification("view", json!({"id": to.id, "patch": patch})));
            shown = state;
        }
    }
}
