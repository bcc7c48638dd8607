//! `conclave chats`, `history` and `status`: looking at what is here, after asking what is new.

use conclave_client::Account;
use conclave_client::types::{self, SearchKind as Kind, Status};

use super::Context;
use super::mentions::Names;
use super::messages::{describe, in_short, short};
use crate::args::{Chats, History, Search, SearchKind};
use crate::failure::Failure;
use crate::output::{name_of, tame};

pub(super) async fn chats(context: &Context, args: &Chats) -> Result<(), Failure> {
    let session = context.open(!args.offline).await?;
    let result = chats_over(context, &session, args.offline).await;
    session.close().await;
    result
}

async fn chats_over(context: &Context, session: &Account, offline: bool) -> Result<(), Failure> {
    fetch_unless(context, session, offline).await?;
    let chats = session.chats().await?;
    let lasts: Vec<_> = chats.iter().filter_map(|chat| chat.last.clone()).collect();
    let names = Names::for_messages(session, &lasts).await?;
    for chat in &chats {
        context.output.line(chat, || {
            let name = match chat.title() {
                _ if chat.is_self => "Note to self".to_owned(),
                Some(name) => name_of(name, &short(&chat.chat)),
                None => short(&chat.chat),
            };
            let messages = if chat.messages == 1 { "message" } else { "messages" };
            let request = if chat.request { "  (message request)" } else { "" };
            let unread = match chat.unread {
                0 if chat.marked_unread => "  (marked as unread)".to_owned(),
                0 => String::new(),
                unread => format!("  ({unread} unread)"),
            };
            let pinned = if chat.pinned { "  (pinned)" } else { "" };
            let blocked = if chat.blocked { "  (blocked)" } else { "" };
            let last = chat.last.as_ref().map(|last| format!("\n    {}", in_short(last, &names)));
            format!(
                "{name}{request}{pinned}{blocked}  {} {messages}{unread}\n    {}{}",
                chat.messages,
                chat.chat,
                last.unwrap_or_default()
            )
        });
    }
    if chats.is_empty() {
        context.output.note("No conversations yet.");
    }
    Ok(())
}

pub(super) async fn history(context: &Context, args: &History) -> Result<(), Failure> {
    let session = context.open(!args.offline).await?;
    let result = history_over(context, &session, args).await;
    session.close().await;
    result
}

async fn history_over(context: &Context, session: &Account, args: &History) -> Result<(), Failure> {
    fetch_unless(context, session, args.offline).await?;
    let messages = session.history(&args.chat, args.limit).await?;
    let names = Names::for_messages(session, &messages).await?;
    for message in &messages {
        context.output.line(message, || describe(message, &names));
    }
    Ok(())
}

pub(super) async fn status(context: &Context) -> Result<(), Failure> {
    let session = context.open(true).await?;
    let result = status_over(context, &session).await;
    session.close().await;
    result
}

async fn status_over(context: &Context, session: &Account) -> Result<(), Failure> {
    // Asking the network is what tells whether it can be reached; its failure is part of the answer.
    let reached = session.fetch().await;
    let status = session.status().await?;
    context.output.line(&status, || describe_status(&status));
    if status.locked {
        return Ok(());
    }
    reached.map(|_| ()).map_err(Failure::from)
}

pub(super) async fn search(context: &Context, args: Search) -> Result<(), Failure> {
    if let (Some(since), Some(until)) = (args.since, args.until)
        && since > until
    {
        return Err(Failure::usage("days", "the days are the wrong way round", "--since is the earlier one"));
    }
    let session = context.open(args.online).await?;
    let result = search_over(context, &session, args).await;
    session.close().await;
    result
}

async fn search_over(context: &Context, session: &Account, args: Search) -> Result<(), Failure> {
    const DAY: u64 = 24 * 60 * 60 * 1_000;
    fetch_unless(context, session, !args.online).await?;
    let search = types::Search {
        text: args.words.join(" "),
        chat: args.chat,
        author: args.by,
        kind: args.kind.map(|kind| match kind {
            SearchKind::Text => Kind::Text,
            SearchKind::Link => Kind::Link,
            SearchKind::File => Kind::File,
            SearchKind::Picture => Kind::Picture,
            SearchKind::Video => Kind::Video,
            SearchKind::Voice => Kind::Voice,
            SearchKind::Invitation => Kind::Invitation,
        }),
        from: args.since,
        to: args.until.map(|day| day + DAY - 1),
        after: None,
        limit: args.limit,
    };
    let found = session.search(search).await?;
    let messages: Vec<_> = found.hits.into_iter().map(|hit| hit.message).collect();
    let names = Names::for_messages(session, &messages).await?;
    for message in &messages {
        context.output.line(message, || describe(message, &names));
    }
    if messages.is_empty() {
        context.output.note("Nothing was found.");
    }
    if found.next.is_some() {
        context.output.note("There is more; --limit shows more of it.");
    }
    if found.incomplete {
        context.output.note("Old messages are still being indexed; some may be missing.");
    }
    Ok(())
}

/// What is new is asked for first; without a network, what is here is still shown.
///
/// # Errors
/// If the profile is locked: then nothing of it can be shown.
pub(super) async fn fetch_unless(context: &Context, session: &Account, offline: bool) -> Result<(), Failure> {
    if offline {
        return Ok(());
    }
    context.output.progress("asking for what is new …");
    let fetched = session.fetch().await;
    context.output.progress_done();
    if let Err(error) = fetched {
        if error.kind() == "locked" {
            return Err(error.into());
        }
        let error = tame(&error.to_string());
        context.output.note(&format!("warning: {error}; this is what was known before"));
    }
    Ok(())
}

fn describe_status(status: &Status) -> String {
    if status.locked {
        return "locked: nothing is received or sent; `conclave unlock` asks for the passphrase".to_owned();
    }
    let key = |key: &str| key.get(..8).unwrap_or(key).to_owned();
    let mut lines = vec![
        format!("network      {}", status.network_id.as_deref().unwrap_or("none")),
        format!("nodes        {}", status.nodes),
        format!("guard        {}", status.guard.as_deref().map_or_else(|| "none".to_owned(), key)),
    ];
    for path in &status.paths {
        let hops: Vec<String> = path.iter().map(|hop| key(hop)).collect();
        lines.push(format!("path         you → {}", hops.join(" → ")));
    }
    lines.push(format!("clock        {:+} ms from the network's", -status.clock_offset_ms));
    lines.push(format!("queue        {} waiting", status.queued));
    lines.push(format!(
        "traffic      {} bytes sent, {} received since the profile was opened",
        status.bytes_sent, status.bytes_received
    ));
    if let Some(trouble) = &status.trouble {
        lines.push(format!("trouble      {}", tame(trouble)));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_is_printed_as_it_was_looked_at() {
        let key = |digit: &str| digit.repeat(64);
        let status = Status {
            network_id: Some("devnet-7a07f67c".to_owned()),
            nodes: 10,
            guard: Some(key("c")),
            paths: vec![vec![key("c"), key("d"), key("a")], vec![key("5"), key("1"), key("f")]],
            clock_offset_ms: 1_234,
            queued: 2,
            bytes_sent: 36_000,
            bytes_received: 8_000,
            trouble: Some("the guard did not answer".to_owned()),
            ..Status::default()
        };
        let locked = Status { locked: true, ..Status::default() };
        let shown = format!("{}\n\n{}", describe_status(&status), describe_status(&locked));
        insta::assert_snapshot!("status", shown);
    }
}
