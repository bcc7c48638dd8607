//! The published description of what a page is told beyond the calls every program can ask: the states of its screens, and
//! the answers of `app.*`. The page's own types are made of it (`web/scripts/types.mjs`).

use conclave_client::session::rpc::describe;
use conclave_view::{chats, composer, contacts, network, settings, timeline};
use serde_json::{Value, json};

use crate::profiles::Listing;

/// The document `docs/app.json`.
pub fn schema() -> Value {
    let mut document = describe(|generator| {
        generator.subschema_for::<Listing>();
        generator.subschema_for::<chats::Chats>();
        generator.subschema_for::<chats::Requests>();
        generator.subschema_for::<timeline::Timeline>();
        generator.subschema_for::<composer::Composer>();
        generator.subschema_for::<contacts::Contacts>();
        generator.subschema_for::<settings::SettingsScreen>();
        generator.subschema_for::<network::NetworkScreen>();
    });
    let screens = [
        ("chats", "Chats"),
        ("requests", "Requests"),
        ("timeline", "Timeline"),
        ("composer", "Composer"),
        ("contacts", "Contacts"),
        ("settings", "SettingsScreen"),
        ("network", "NetworkScreen"),
    ];
    let screens = screens
        .map(|(view, state)| (view.to_owned(), json!({"$ref": format!("#/components/schemas/{state}")})));
    if let Some(document) = document.as_object_mut() {
        document.insert(
            "description".to_owned(),
            json!(
                "What the page of `conclave app` is told, beside the calls and records of openrpc.json: the state of each \
                 screen by the name it is opened with, and the answer of `app.profiles`."
            ),
        );
        document.insert("views".to_owned(), json!(serde_json::Map::from_iter(screens)));
    }
    document
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use conclave_client::session::rpc::openrpc;

    use super::*;

    /// Writes the document anew with `CONCLAVE_WRITE=1`.
    #[test]
    fn the_published_document_is_the_program_s() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/app.json");
        let ours = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
        if std::env::var_os("CONCLAVE_WRITE").is_some() {
            std::fs::write(path, &ours).unwrap();
        }
        let published = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            published == ours,
            "`CONCLAVE_WRITE=1 cargo test -p conclave-app published_document` brings docs/app.json up to date"
        );
    }

    #[test]
    fn every_screen_is_described_and_means_the_same_by_a_record_as_the_calls_do() {
        let (document, calls) = (schema(), openrpc());
        for (view, state) in document["views"].as_object().unwrap() {
            let path = state["$ref"].as_str().unwrap().trim_start_matches('#');
            assert!(document.pointer(path).is_some(), "{view}");
        }
        let (ours, theirs) = (&document["components"]["schemas"], &calls["components"]["schemas"]);
        for (name, schema) in ours.as_object().unwrap() {
            assert!(theirs.get(name).is_none_or(|other| other == schema), "{name} is two things");
        }
    }
}
