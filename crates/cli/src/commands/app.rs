//! `conclave app`: the messenger in the browser.

use conclave_client::ClientOptions;
use serde_json::json;

use super::Context;
use super::page::Page;
use crate::args::App;
use crate::failure::Failure;
use crate::network;

pub(super) async fn run(context: &Context, args: &App) -> Result<(), Failure> {
    let options = ClientOptions {
        network: context.named_network().await?,
        default_network: network::of_data_dir(&context.data_dir)?,
        ..ClientOptions::default()
    };
    let page = Page::start(context, options, args).await?;
    let shown = page.show(context).await;
    let line = json!({"event": "ready", "app": shown.app()});
    context.output.line(&line, || shown.text().unwrap_or_default());
    tokio::select! {
        () = context.stop.asked() => {}
        () = page.give_links(context) => {}
    }
    context.output.note("Stopping …");
    page.stop().await;
    Ok(())
}
