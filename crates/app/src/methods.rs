//! What a page can ask: the SDK's calls for its profile, `app.*` for profiles, `view.*` and `composer.*` for screens.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use conclave_client::Error;
use conclave_client::profile::{OpenError, ProfileName, Unlock};
use conclave_client::session::{Call, rpc};
use conclave_client::types::LinkPreview;
use conclave_client::types::MessageId;
use conclave_view::Answer;
use conclave_view::composer::ComposerAct;
use conclave_view::timeline::TimelineAct;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use zeroize::Zeroizing;

use crate::files::{Kept, Trays};
use crate::profiles::{Listing, OpenProfile, Profiles};
use crate::rpc::{NO_METHOD, Problem, Request, notification};
use crate::views::{self, Views};

/// One page: its profile, its screens, and the way to it.
pub(crate) struct Page {
    profiles: Arc<Profiles>,
    out: mpsc::Sender<Value>,
    /// The owner of its profile has ended: the page has to begin anew.
    gone: watch::Sender<bool>,
    profile: tokio::sync::Mutex<Option<Arc<OpenProfile>>>,
    views: tokio::sync::Mutex<Views>,
    /// What lies ready to be sent.
    trays: Trays,
    /// What was made of its files.
    made: Kept,
    left: AtomicBool,
    /// Tells the page what happens, if it asked for that.
    telling: Mutex<Option<tokio::task::JoinHandle<()>>>,
}

/// What a request came to.
pub(crate) enum Taken {
    /// Answered already.
    Done(Result<Value, Problem>),
    /// A screen does it, in the order it was asked.
    Asked(Answer),
    /// It has to be worked on, beside others.
    Work(Request),
}

/// A secret in parameters: wiped when it is of no use any more.
struct Hidden(Zeroizing<String>);

impl<'de> Deserialize<'de> for Hidden {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from).map(|text| Self(Zeroizing::new(text)))
    }
}

#[derive(Deserialize)]
struct OpenParams {
    profile: String,
    passphrase: Option<Hidden>,
}

#[derive(Deserialize)]
struct CreateParams {
    profile: Option<String>,
    name: String,
    passphrase: Option<Hidden>,
}

#[derive(Deserialize)]
struct RestoreParams {
    profile: Option<String>,
    phrase: Hidden,
    name: Option<String>,
    passphrase: Option<Hidden>,
}

#[derive(Deserialize)]
struct PhraseParams {
    passphrase: Option<Hidden>,
}

#[derive(Deserialize)]
struct ViewParams {
    id: String,
}

#[derive(Deserialize)]
struct JumpParams {
    id: String,
    /// A message, or `newest`.
    message: String,
}

#[derive(Deserialize)]
struct TextParams {
    id: String,
    text: String,
}

#[derive(Deserialize)]
struct MessageParams {
    id: String,
    message: Option<MessageId>,
}

#[derive(Deserialize)]
struct FileParams {
    id: String,
    /// Of the tray.
    file: String,
}

#[derive(Deserialize)]
struct PreviewParams {
    id: String,
    preview: Option<LinkPreview>,
}

fn params<T: serde::de::DeserializeOwned>(params: Value) -> Result<T, Problem> {
    let params = if params.is_null() { json!({}) } else { params };
    serde_json::from_value(params).map_err(|error| Problem::params(&error))
}

impl Page {
    pub(crate) fn new(profiles: Arc<Profiles>, out: mpsc::Sender<Value>) -> Self {
        Self {
            profiles,
            out,
            gone: watch::channel(false).0,
            profile: tokio::sync::Mutex::default(),
            views: tokio::sync::Mutex::default(),
            trays: Trays::default(),
            made: Kept::default(),
            left: AtomicBool::new(false),
            telling: Mutex::default(),
        }
    }

    /// Ends when the owner of the page's profile does.
    pub(crate) async fn owner_gone(&self) {
        // The sender is ours, so the channel does not close.
        let _ = self.gone.subscribe().wait_for(|gone| *gone).await;
    }

    /// Takes a request in. What is asked of screens is asked here, in the order it came; the rest is left to be worked on.
    pub(crate) async fn take(&self, request: Request) -> Taken {
        match self.take_act(&request).await {
            Ok(Some(answer)) => Taken::Asked(answer),
            Ok(None) if request.method == "view.close" => Taken::Done(self.close_view(request.params).await),
            Ok(None) => Taken::Work(request),
            Err(problem) => Taken::Done(Err(problem)),
        }
    }

    async fn take_act(&self, request: &Request) -> Result<Option<Answer>, Problem> {
        let given = || request.params.clone();
        let timeline = match request.method.as_str() {
            "view.older" => Some((params::<ViewParams>(given())?.id, TimelineAct::Older)),
            "view.newer" => Some((params::<ViewParams>(given())?.id, TimelineAct::Newer)),
            "view.jump" => {
                let JumpParams { id, message } = params(given())?;
                Some((id, TimelineAct::Jump(jump_target(&message)?)))
            }
            _ => None,
        };
        if let Some((id, act)) = timeline {
            return self.views.lock().await.timeline(&id, act).await.map(Some);
        }
        let (id, act) = match request.method.as_str() {
            "composer.set" => {
                let TextParams { id, text } = params(given())?;
                (id, ComposerAct::Set(text))
            }
            "composer.reply" => {
                let MessageParams { id, message } = params(given())?;
                (id, ComposerAct::Reply(message))
            }
            "composer.edit" => {
                let MessageParams { id, message } = params(given())?;
                (id, ComposerAct::Edit(message))
            }
            "composer.preview" => {
                let PreviewParams { id, preview } = params(given())?;
                (id, ComposerAct::Preview(preview))
            }
            "composer.detach" => {
                let FileParams { id, file } = params(given())?;
                (id, ComposerAct::Detach(file))
            }
            "composer.as_file" => {
                let FileParams { id, file } = params(given())?;
                (id, ComposerAct::AsFile(file))
            }
            "composer.send_file" => {
                let FileParams { id, file } = params(given())?;
                (id, ComposerAct::SendFile(file))
            }
            "composer.send" => (params::<ViewParams>(given())?.id, ComposerAct::Send),
            _ => return Ok(None),
        };
        self.views.lock().await.composer(&id, act).await.map(Some)
    }

    async fn close_view(&self, given: Value) -> Result<Value, Problem> {
        let ViewParams { id } = params(given)?;
        self.views.lock().await.close(&id).await;
        Ok(Value::Null)
    }

    /// Works on a request. `None` if it is answered by a screen.
    pub(crate) async fn work(&self, request: Request) -> Option<Result<Value, Problem>> {
        if request.method == "view.open" {
            return self.open_view(&request.id, request.params).await.err().map(Err);
        }
        Some(match request.method.strip_prefix("app.") {
            Some(method) => self.app(method, request.params).await,
            None => self.call(&request.method, request.params).await,
        })
    }

    async fn open_view(&self, request: &Value, given: Value) -> Result<(), Problem> {
        let open = params(given)?;
        let profile = self.profile().await?;
        let ready = views::prepare(&profile, &self.trays, open).await?;
        let mut views = self.views.lock().await;
        // The page may have opened another profile while this was read.
        if !self.shows(&profile).await {
            return Err(no_profile());
        }
        views.show(ready, request, &self.out, &self.gone)
    }

    async fn app(&self, method: &str, given: Value) -> Result<Value, Problem> {
        let secret = |hidden: Option<Hidden>| hidden.map(|hidden| hidden.0).filter(|text| !text.is_empty());
        match method {
            "profiles" => {
                let profiles = self.profiles.list().await?;
                let network_id = self.profiles.network_id().map(str::to_owned);
                Ok(json!(Listing { profiles, network_id, version: env!("CARGO_PKG_VERSION") }))
            }
            "open" => {
                let OpenParams { profile, passphrase } = params(given)?;
                let name = ProfileName::new(&profile).map_err(Error::from)?;
                let passphrase = secret(passphrase);
                let open = self.profiles.open(&name, passphrase.as_ref().map(|it| it.as_str())).await?;
                let account = open.session.info().await?;
                self.show_profile(open).await;
                Ok(json!(account))
            }
            "create" => {
                let CreateParams { profile, name, passphrase } = params(given)?;
                let (open, account) =
                    self.profiles.create(profile.as_deref(), &name, secret(passphrase)).await?;
                self.show_profile(open).await;
                Ok(json!({ "account": account }))
            }
            "restore" => {
                let RestoreParams { profile, phrase, name, passphrase } = params(given)?;
                let name = name.as_deref().filter(|name| conclave_client::is_visible(name));
                let (open, account) =
                    self.profiles.restore(profile.as_deref(), phrase.0, name, secret(passphrase)).await?;
                self.show_profile(open).await;
                Ok(json!({ "account": account }))
            }
            "phrase" => {
                let PhraseParams { passphrase } = params(given)?;
                let profile = self.profile().await?;
                let passphrase = secret(passphrase);
                let unlock = match &passphrase {
                    Some(passphrase) => Unlock::Passphrase(passphrase),
                    None if profile.has_passphrase() => {
                        let name = profile.name.to_string();
                        return Err(Error::from(OpenError::PassphraseNeeded { name }).into());
                    }
                    None => Unlock::KeyFile,
                };
                Ok(json!(profile.session.phrase(&unlock).await?))
            }
            other => Err(no_method(&format!("app.{other}"))),
        }
    }

    async fn call(&self, method: &str, given: Value) -> Result<Value, Problem> {
        let call = read_call(method, given)?;
        if names_a_path(&call) {
            return Err(no_path());
        }
        let profile = self.profile().await?;
        if matches!(call, Call::Subscribe) {
            return self.subscribe(&profile).await.map(|()| Value::Null);
        }
        let sets = matches!(call, Call::SetSettings(_));
        let answer = match profile.session.answer(call).await {
            Err(error) if error.kind() == "owner_unreachable" => {
                self.gone.send_replace(true);
                return Err(error.into());
            }
            answer => answer?,
        };
        if sets {
            self.views.lock().await.settings_changed().await;
        }
        Ok(answer)
    }

    /// From now on the page is told what happens; once, however often it asks.
    async fn subscribe(&self, profile: &OpenProfile) -> Result<(), Problem> {
        let mut events = profile.session.events().await?;
        let (out, gone) = (self.out.clone(), self.gone.clone());
        let telling = tokio::spawn(async move {
            // A page that reads slowly misses events, and is told so.
            while let Some(event) = events.next().await {
                let event = serde_json::to_value(&event).unwrap_or_default();
                if out.send(notification("event", event)).await.is_err() {
                    return;
                }
            }
            gone.send_replace(true);
        });
        self.tell(Some(telling));
        Ok(())
    }

    fn tell(&self, telling: Option<tokio::task::JoinHandle<()>>) {
        let mut present = self.telling.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(former) = std::mem::replace(&mut *present, telling) {
            former.abort();
        }
    }

    pub(crate) const fn trays(&self) -> &Trays {
        &self.trays
    }

    pub(crate) const fn made(&self) -> &Kept {
        &self.made
    }

    /// The tray of a conversation is different: its composers show it.
    pub(crate) async fn tray_changed(&self, chat: &str) {
        self.views.lock().await.tray_changed(chat);
    }

    /// Whether this is the profile it shows.
    pub(crate) async fn shows(&self, profile: &Arc<OpenProfile>) -> bool {
        self.profile.lock().await.as_ref().is_some_and(|present| Arc::ptr_eq(present, profile))
    }

    /// Whether it is gone.
    pub(crate) fn has_left(&self) -> bool {
        self.left.load(Ordering::Acquire)
    }

    pub(crate) async fn profile(&self) -> Result<Arc<OpenProfile>, Problem> {
        self.profile.lock().await.clone().ok_or_else(no_profile)
    }

    /// Makes a profile the page's. Whatever screens it had are closed: whoever opens a profile begins anew, also after a time
    /// of being locked, and may have forgotten the old ones.
    async fn show_profile(&self, open: Arc<OpenProfile>) {
        let mut views = self.views.lock().await;
        let former = self.profile.lock().await.replace(Arc::clone(&open));
        if former.is_some_and(|former| !Arc::ptr_eq(&former, &open)) {
            self.tell(None);
        }
        views.close_all().await;
        self.trays.clear();
        self.made.clear();
    }

    /// The page is gone: what was being written is kept, and the profile let go of. Files that were not sent are not kept.
    pub(crate) async fn leave(&self) {
        self.left.store(true, Ordering::Release);
        self.tell(None);
        self.views.lock().await.close_all().await;
        *self.profile.lock().await = None;
        self.trays.clear();
        self.made.clear();
    }
}

/// Whether it would read or write a file of this machine that the page names. A page is shown in a browser, where other pages and
/// extensions are: if one of them found a way into it, that way must not lead to every file of its user.
fn names_a_path(call: &Call) -> bool {
    match call {
        // What is sent goes through the tray, what is shown through its own door, which looks at it first.
        Call::Send(new) => !new.attachments.is_empty(),
        Call::OpenFile { .. } | Call::SetPicture(_) => true,
        Call::SaveFile { to, .. } => to.is_some(),
        _ => false,
    }
}

fn no_path() -> Problem {
    Problem::refused(
        "not_allowed",
        "a page names no files of this machine",
        "use the command line, or `conclave rpc`",
    )
}

fn no_profile() -> Problem {
    Problem::refused("no_profile", "no profile is open here", "open one with `app.open`")
}

fn no_method(method: &str) -> Problem {
    let shown: String = method.chars().take(64).collect();
    Problem::Wrong { code: NO_METHOD, message: format!("there is no method {shown:?}") }
}

fn jump_target(text: &str) -> Result<Option<MessageId>, Problem> {
    if text == "newest" {
        return Ok(None);
    }
    let wrong = || Problem::refused("unknown_message", "this is no message id", "give an id, or `newest`");
    MessageId::parse(text).map(Some).ok_or_else(wrong)
}

fn read_call(method: &str, given: Value) -> Result<Call, Problem> {
    rpc::call(method, given).map_err(|(code, message)| Problem::Wrong { code, message })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpc::BAD_PARAMS;

    #[test]
    fn calls_are_read_with_and_without_parameters() {
        for (method, given) in [
            ("status", Value::Null),
            ("status", json!({})),
            ("contacts", Value::Null),
            ("contacts", json!({"blocked": true})),
            ("send", json!({"to": "me", "text": "x"})),
            ("history", json!({"chat": "me", "limit": 5})),
            ("set_draft", json!({"chat": "me", "text": "x"})),
        ] {
            assert!(read_call(method, given.clone()).is_ok(), "{method} {given}");
        }
        for (method, given, code) in [
            ("nothing", Value::Null, NO_METHOD),
            ("send", json!({"to": 5}), BAD_PARAMS),
            ("send", Value::Null, BAD_PARAMS),
        ] {
            match read_call(method, given) {
                Err(Problem::Wrong { code: found, .. }) => assert_eq!(found, code, "{method}"),
                other => panic!("{other:?}"),
            }
        }
    }
}
