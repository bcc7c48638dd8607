//! An echo bot: answers every message with the same text.
//!
//! `cargo run --example echo_bot DATA_DIR PROFILE`

use conclave_client::profile::{DataDir, ProfileName, Unlock};
use conclave_client::types::{Event, MessageKind};
use conclave_client::{Account, ClientOptions, Error};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let mut arguments = std::env::args().skip(1);
    let data_dir = DataDir::new(arguments.next().unwrap_or_else(|| ".".to_owned()));
    let profile = ProfileName::new(&arguments.next().unwrap_or_else(|| "default".to_owned()))?;
    let account = Account::open(&data_dir, &profile, &Unlock::KeyFile, &ClientOptions::default()).await?;

    let me = account.info().await?.account_id;
    println!("running as {me}");
    let mut events = account.events().await?;
    while let Some(event) = events.next().await {
        let Event::Message(message) = event else { continue };
        if message.from == me || message.kind != MessageKind::Text {
            continue;
        }
        let conversation = account.conversation(&message.chat);
        if message.request {
            conversation.accept().await?;
        }
        conversation.mark_read(&message).await?;
        conversation.reply(&message, &message.text).await?;
    }
    Ok(())
}
