//! Devices of people, each a client of its own in this process, on a real network.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

use std::time::Duration;

use conclave_client::profile::{DataDir, ProfileName, Protection, Unlock};
use conclave_client::types::{
    AttachmentState, ChatSummary, ContactInfo, Event, Message, MessageId, NewAttachment, NewMessage,
};
use conclave_client::{Client, ClientOptions, accounts, doors};
use conclave_crypto::{AccountId, RecoveryPhrase};
use conclave_testkit::personas::Persona;
use tokio::sync::broadcast::{Receiver, error::RecvError};

use super::in_process::InProcess;

/// Long enough for anything that is going to happen, also for what only the third round over all members brings (one a minute);
/// what is waited for ends the wait sooner.
const PATIENCE: Duration = Duration::from_secs(180);

/// One device.
pub struct Device {
    pub name: String,
    pub client: Client,
    pub id: AccountId,
    events: tokio::sync::Mutex<Receiver<Event>>,
}

impl Device {
    /// A device of a person, which finds what is there of their account.
    pub fn of(net: &InProcess, persona: Persona, person: &str, number: u32) -> Self {
        Self::started(net, persona, person, number, ClientOptions::default())
    }

    /// [`Self::of`], started in another way.
    pub fn started(
        net: &InProcess,
        persona: Persona,
        person: &str,
        number: u32,
        options: ClientOptions,
    ) -> Self {
        let name = format!("{person}{number}");
        let words = RecoveryPhrase::from_seed16(&persona.seed()).words();
        let dir = DataDir::new(net.dir.path().join("clients").join(&name));
        let profile = ProfileName::new(&name).unwrap();
        let network = Some(&net.network);
        let (owned, info) =
            accounts::restore(&dir, &profile, Some(person), &words, &Protection::KeyFile, network).unwrap();
        let client = Client::start(owned, options).unwrap();
        let events = tokio::sync::Mutex::new(client.events());
        Self { name, client, id: AccountId::from_hex(&info.account_id).unwrap(), events }
    }

    /// The same device after its program has ended and something has happened meanwhile.
    pub async fn restarted(self, net: &InProcess, meanwhile: impl FnOnce(), options: ClientOptions) -> Self {
        self.client.shutdown().await;
        drop(self.client);
        meanwhile();
        let dir = DataDir::new(net.dir.path().join("clients").join(&self.name));
        let owned = dir.profile(&ProfileName::new(&self.name).unwrap()).open(&Unlock::KeyFile).unwrap();
        let client = Client::start(owned, options).unwrap();
        let events = tokio::sync::Mutex::new(client.events());
        Self { name: self.name, client, id: self.id, events }
    }

    /// Sends a message with a file.
    pub async fn sends_file(&self, to: AccountId, text: &str, path: &std::path::Path) -> Message {
        let path = path.to_str().unwrap().to_owned();
        let attachments = vec![NewAttachment { path, ..NewAttachment::default() }];
        let new = NewMessage { attachments, ..NewMessage::text(to.to_hex(), text) };
        let message = doors::send_message(&self.client, &to, new).await.unwrap();
        self.sent().await;
        message
    }

    /// Fetches the first file of a message: what it is, or why there is none at the first attempt, and what becomes of it then.
    pub async fn fetches(&self, chat: AccountId, id: &MessageId) -> Result<Vec<u8>, String> {
        self.client.fetch_file(id, 0).await.unwrap();
        let message = self
            .finds(chat, id, "an end", |message| {
                let file = &message.attachments[0];
                file.state == AttachmentState::Here || file.reason.is_some()
            })
            .await;
        let file = &message.attachments[0];
        if let Some(reason) = file.reason.clone() {
            return Err(format!("{reason} ({:?})", file.state));
        }
        let saved = self.client.save_file(id, 0, None).await.unwrap();
        Ok(std::fs::read(saved.attachments[0].path.as_ref().unwrap()).unwrap())
    }

    /// Waits until `look` finds what it looks for.
    #[track_caller]
    pub fn until<T>(&self, what: &str, look: impl AsyncFn(&Client) -> Option<T>) -> impl Future<Output = T> {
        let caller = std::panic::Location::caller();
        async move {
            let waiting = async {
                loop {
                    if let Some(found) = look(&self.client).await {
                        return found;
                    }
                    match self.events.lock().await.recv().await {
                        Ok(_) | Err(RecvError::Lagged(_)) => {}
                        Err(RecvError::Closed) => panic!("{} has ended", self.name),
                    }
                }
            };
            match tokio::time::timeout(PATIENCE, waiting).await {
                Ok(found) => found,
                Err(_) => {
                    let late = if look(&self.client).await.is_some() {
                        " (it is so, but nothing was told)"
                    } else {
                        ""
                    };
                    panic!("{caller}: {} never came to see: {what}{late}", self.name)
                }
            }
        }
    }

    /// Waits for a message of a chat that is as wanted.
    #[track_caller]
    pub fn sees(
        &self,
        chat: AccountId,
        what: &str,
        wanted: impl Fn(&Message) -> bool,
    ) -> impl Future<Output = Message> {
        self.until(what, async move |client| {
            client.history(&chat, 100).await.unwrap().into_iter().find(|message| wanted(message))
        })
    }

    /// Waits for a text in a chat.
    #[track_caller]
    pub fn reads(&self, chat: AccountId, text: &str) -> impl Future<Output = Message> {
        self.sees(chat, text, move |message| message.text == text)
    }

    /// Waits until a message is as wanted.
    #[track_caller]
    pub fn finds(
        &self,
        chat: AccountId,
        id: &MessageId,
        what: &str,
        wanted: impl Fn(&Message) -> bool,
    ) -> impl Future<Output = Message> {
        self.sees(chat, what, move |message| message.id == *id && wanted(message))
    }

    /// Waits until a message is gone.
    #[track_caller]
    pub fn loses(&self, chat: AccountId, id: &MessageId) -> impl Future<Output = ()> {
        self.until("it is gone", async move |client| {
            let history = client.history(&chat, 100).await.unwrap();
            history.iter().all(|message| message.id != *id).then_some(())
        })
    }

    /// Waits for a typing notice.
    pub async fn types(&self, chat: AccountId, typing: bool) {
        let waiting = async {
            loop {
                match self.events.lock().await.recv().await {
                    Ok(Event::Typing(event)) if event.chat == chat.to_hex() && event.typing == typing => {
                        return;
                    }
                    Ok(_) | Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => panic!("{} has ended", self.name),
                }
            }
        };
        let waited = tokio::time::timeout(PATIENCE, waiting).await;
        assert!(waited.is_ok(), "{} never came to see: typing {typing}", self.name);
    }

    /// Waits until the line of a chat is as wanted.
    #[track_caller]
    pub fn lists(
        &self,
        chat: AccountId,
        what: &str,
        wanted: impl Fn(&ChatSummary) -> bool,
    ) -> impl Future<Output = ChatSummary> {
        self.until(what, async move |client| {
            let chats = client.chats().await.unwrap();
            chats.into_iter().find(|line| line.chat == chat.to_hex() && wanted(line))
        })
    }

    /// Waits until a contact is as wanted.
    #[track_caller]
    pub fn knows(
        &self,
        id: AccountId,
        what: &str,
        wanted: impl Fn(&ContactInfo) -> bool,
    ) -> impl Future<Output = ContactInfo> {
        self.until(what, async move |client| {
            let mut contacts = client.contacts(false).await.unwrap();
            contacts.extend(client.contacts(true).await.unwrap());
            contacts.into_iter().find(|contact| contact.account_id == id.to_hex() && wanted(contact))
        })
    }

    /// What a chat says, oldest first.
    pub async fn texts(&self, chat: AccountId) -> Vec<String> {
        let history = self.client.history(&chat, 1_000).await.unwrap();
        history.into_iter().map(|message| message.text).collect()
    }

    /// Sends a text, and waits until a majority has it.
    pub async fn says(&self, to: AccountId, text: &str) -> Message {
        let message = self.client.send_text(&to, text).await.unwrap();
        self.sent().await;
        message
    }

    /// Waits until everything this device has to send is sent.
    #[track_caller]
    pub fn sent(&self) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        async move {
            let waiting = self.client.wait_until_sent(PATIENCE).await.unwrap();
            assert_eq!(waiting, 0, "{caller}: {} cannot send everything", self.name);
        }
    }

    /// Waits until this device has been told everything that is in its swarm.
    pub async fn up_to_date(&self) {
        let report = self.client.fetch().await.unwrap();
        assert_eq!(report.answered, report.members);
    }

    /// What was said in a chat, oldest first, without notices.
    pub async fn said(&self, chat: AccountId) -> Vec<String> {
        self.texts(chat).await.into_iter().filter(|text| !text.is_empty()).collect()
    }

    pub async fn stop(self) {
        self.client.shutdown().await;
    }
}
