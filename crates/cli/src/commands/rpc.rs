//! `conclave rpc`: the door for bots, over standard input and output.

use std::sync::Arc;

use conclave_client::Account;
use conclave_client::session::rpc::{Connection, MAX_REQUEST, openrpc};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};

use super::Context;
use crate::args::Rpc;
use crate::failure::Failure;

pub(super) async fn run(context: &Context, args: &Rpc) -> Result<(), Failure> {
    if args.schema {
        let text = serde_json::to_string_pretty(&openrpc()).unwrap_or_default();
        context.output.text(text.as_bytes());
        return Ok(());
    }
    let session = Arc::new(context.or_stopped(context.open(true)).await?);
    let result = tokio::select! {
        result = serve(context, args, &session) => result,
        () = session.ended() => Err(Failure::failed(
            "owner_unreachable",
            "the process that owns the profile has ended",
            "run the command again",
        )),
        () = context.stop.asked() => Ok(()),
    };
    if !Account::close_shared(session).await {
        tracing::warn!("a call was still under way at the end");
    }
    result
}

#[cfg(not(feature = "app"))]
async fn serve(_: &Context, _: &Rpc, session: &Arc<Account>) -> Result<(), Failure> {
    over_standard_streams(session).await
}

#[cfg(feature = "app")]
async fn serve(context: &Context, args: &Rpc, session: &Arc<Account>) -> Result<(), Failure> {
    if args.listen {
        over_websockets(context, args, session).await
    } else {
        over_standard_streams(session).await
    }
}

/// Until the program is ended.
#[cfg(feature = "app")]
async fn over_websockets(context: &Context, args: &Rpc, session: &Arc<Account>) -> Result<(), Failure> {
    use conclave_app::{BadToken, BotDoor, BotToken};
    let file = match &args.token_file {
        Some(file) => file.clone(),
        None => context.data_dir.profile(&context.profile()?).dir().join("rpc-token"),
    };
    let token = BotToken::in_file(&file).map_err(|error| {
        let shown = file.display();
        let hint = match &error {
            BadToken::Open => format!("`chmod 600 '{shown}'` keeps it to yourself; if others may have read it, remove it instead, and a new one is made"),
            BadToken::Weak => "put a longer one into the file, or remove the file, and a new one is made".to_owned(),
            _ => "name a file of yours in a folder that is there, with --token-file FILE".to_owned(),
        };
        Failure::usage("bad_token", format!("the token in {shown}: {error}"), hint)
    })?;
    let door = BotDoor::open(Arc::clone(session), args.port, token).await.map_err(|error| {
        let message = format!("listening on port {}: {error}", args.port);
        Failure::failed("port", message, "choose another --port, or none")
    })?;
    let ready = serde_json::json!({"event": "ready", "url": door.url(), "token_file": file});
    context.output.line(&ready, || format!("{}\n  token in {}", door.url(), file.display()));
    context.stop.asked().await;
    door.close().await;
    Ok(())
}

/// One message a line, either way, until standard input ends.
async fn over_standard_streams(session: &Arc<Account>) -> Result<(), Failure> {
    let (mut connection, mut answers) = Connection::new(Arc::clone(session));
    let writing = async move {
        let mut output = tokio::io::stdout();
        while let Some(mut line) = answers.next().await {
            line.push('\n');
            if output.write_all(line.as_bytes()).await.is_err() || output.flush().await.is_err() {
                return false;
            }
        }
        true
    };
    let reading = async move {
        let mut input = BufReader::new(tokio::io::stdin());
        let mut failed = None;
        loop {
            let mut line = Vec::new();
            // One more than is allowed tells a line that is too long from one that is not.
            let limit = u64::try_from(MAX_REQUEST).unwrap_or(u64::MAX) + 1;
            match (&mut input).take(limit).read_until(b'\n', &mut line).await {
                Ok(0) => break,
                Ok(size) if size > MAX_REQUEST => {
                    let message = format!("a message has at most {MAX_REQUEST} bytes");
                    connection.refuse(&message).await;
                    let hint = "send less at once, with a line break after each message; what was asked before is done";
                    failed = Some(Failure::failed("message_too_large", message, hint));
                    break;
                }
                Ok(_) if line.trim_ascii().is_empty() => {}
                Ok(_) => connection.take(line).await,
                Err(error) => {
                    let message = format!("reading standard input: {error}");
                    failed = Some(Failure::failed("io", message, "run the command again"));
                    break;
                }
            }
        }
        connection.finish().await;
        failed.map_or(Ok(()), Err)
    };
    // When nobody reads the answers any more, there is no use in working on.
    tokio::pin!(writing);
    tokio::pin!(reading);
    tokio::select! {
        result = &mut reading => {
            writing.await;
            result
        }
        // All was written before it was seen that nothing more is read: how that ended is what counts.
        all = &mut writing => if all { reading.await } else { Ok(()) },
    }
}
