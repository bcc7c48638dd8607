//! The published description of the door: an [OpenRPC](https://open-rpc.org) document, made from the types themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use schemars::generate::{SchemaGenerator, SchemaSettings};
use schemars::{JsonSchema, Schema, json_schema};
use serde_json::{Map, Value, json};

use super::call::{Call, RecoveryWords, Resolved};
use crate::error::ErrorRecord;
use crate::files::OpenedFile;
use crate::said::LinkPreview;
use crate::settings::Settings;
use crate::types::{
    AccountInfo, ChatSummary, ContactInfo, Draft, Event, FetchReport, Message, PictureContent, SearchResult,
    SentState, Status,
};

/// Where a document keeps what is described once and used often.
const DEFINITIONS: &str = "/components/schemas";

/// Records that carry the word of their line of `--json` as their name, and what they are called in a list of types.
const RECORDS: [(&str, &str); 8] = [
    ("chat", "ChatSummary"),
    ("contact", "ContactInfo"),
    ("deleted", "Deleted"),
    ("file_progress", "FileProgress"),
    ("message", "Message"),
    ("state", "StateChange"),
    ("status", "Status"),
    ("typing", "Typing"),
];

/// What each method gives.
struct Results(SchemaGenerator, BTreeMap<&'static str, Schema>);

impl Results {
    fn gives<T: JsonSchema>(mut self, methods: &[&'static str]) -> Self {
        for method in methods {
            self.1.insert(method, self.0.subschema_for::<T>());
        }
        self
    }

    fn all() -> Self {
        Self(generator(SchemaSettings::for_serialize), BTreeMap::new())
            .gives::<AccountInfo>(&["account"])
            .gives::<Message>(&[
                "send",
                "send_again",
                "find_message",
                "fetch_file",
                "cancel_file",
                "save_file",
            ])
            .gives::<OpenedFile>(&["open_file"])
            .gives::<SentState>(&["wait_for", "take_back"])
            .gives::<Resolved>(&["resolve"])
            .gives::<u32>(&["wait_until_sent"])
            .gives::<FetchReport>(&["fetch"])
            .gives::<Vec<ChatSummary>>(&["chats"])
            .gives::<Vec<Message>>(&["history", "unprinted"])
            .gives::<Draft>(&["draft"])
            .gives::<SearchResult>(&["search"])
            .gives::<LinkPreview>(&["look_up_preview"])
            .gives::<Vec<ContactInfo>>(&["contacts"])
            .gives::<Option<PictureContent>>(&["picture"])
            .gives::<Settings>(&["settings"])
            .gives::<Status>(&["status"])
            .gives::<RecoveryWords>(&["recovery_phrase"])
            .gives::<()>(&[
                "check_network",
                "set_draft",
                "mark_printed",
                "edit",
                "react",
                "delete",
                "mark_read",
                "set_unread",
                "set_typing",
                "tell_saved",
                "set_timer",
                "set_priority",
                "set_muted",
                "accept",
                "set_blocked",
                "set_nickname",
                "remove_contact",
                "set_display_name",
                "set_picture",
                "remove_picture",
                "set_settings",
                "check_database",
                "subscribe",
                "lock",
                "unlock",
                "change_passphrase",
            ])
    }
}

/// A method as its type describes it.
struct Method {
    name: String,
    description: String,
    params: Vec<Param>,
}

struct Param {
    name: String,
    required: bool,
    schema: Value,
}

/// The names of a method's parameters; `None` if there is no such method.
pub(super) fn parameters(method: &str) -> Option<&'static BTreeSet<String>> {
    static NAMES: LazyLock<BTreeMap<String, BTreeSet<String>>> = LazyLock::new(|| {
        let (methods, _) = methods();
        let names = |method: Method| method.params.into_iter().map(|param| param.name).collect();
        methods.into_iter().map(|method| (method.name.clone(), names(method))).collect()
    });
    NAMES.get(method)
}

/// What is wrong with the parameters of a method, in the words of the published description.
pub(super) fn problem(method: &str, params: &Value) -> String {
    static METHODS: LazyLock<(Vec<Method>, Map<String, Value>)> = LazyLock::new(methods);
    let (methods, definitions) = &*METHODS;
    let known = methods.iter().find(|known| known.name == method).map_or(&[][..], |known| &known.params);
    for param in known {
        let wanted = Wanted { schema: &param.schema, definitions };
        match params.get(&param.name) {
            None if param.required => {
                return format!("{method} needs `{}`, which is {}", param.name, wanted.in_words());
            }
            Some(given) if !wanted.fits(given, MAX_DEPTH) => {
                return format!("`{}` of {method} is {}", param.name, wanted.in_words());
            }
            _ => {}
        }
    }
    format!("{method} takes other parameters; the schema (`conclave rpc --schema`) describes them")
}

/// Descriptions are not nested deeper.
const MAX_DEPTH: u32 = 8;

/// What a description asks for. Knows the words that our own descriptions use.
#[derive(Clone, Copy)]
struct Wanted<'a> {
    schema: &'a Value,
    definitions: &'a Map<String, Value>,
}

impl<'a> Wanted<'a> {
    fn of(self, schema: &'a Value) -> Self {
        Self { schema, ..self }
    }

    /// The description that a reference leads to.
    fn found(self) -> Self {
        let reference = self.schema.get("$ref").and_then(Value::as_str);
        let name = reference.and_then(|reference| reference.rsplit('/').next());
        name.and_then(|name| self.definitions.get(name)).map_or(self, |schema| self.of(schema))
    }

    /// Descriptions of which one has to fit.
    fn choices(self) -> Vec<Self> {
        let lists = ["anyOf", "oneOf"].iter().filter_map(|word| self.schema.get(word)?.as_array());
        lists.flatten().map(|schema| self.of(schema)).collect()
    }

    fn types(self) -> Vec<&'a str> {
        match self.schema.get("type") {
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        }
    }

    /// The only texts that are meant, if it says which.
    fn words(self) -> Vec<&'a str> {
        let this = self.found();
        let mut words: Vec<&str> = match (this.schema.get("const"), this.schema.get("enum")) {
            (Some(Value::String(word)), _) => vec![word],
            (_, Some(Value::Array(words))) => words.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        words.extend(this.choices().into_iter().flat_map(Self::words));
        words
    }

    fn range(self) -> (Option<i64>, Option<u64>) {
        let most = match self.schema.get("format").and_then(Value::as_str) {
            Some("uint32") => Some(u64::from(u32::MAX)),
            Some("int32") => u64::try_from(i32::MAX).ok(),
            _ => None,
        };
        let most = self.schema.get("maximum").and_then(Value::as_u64).or(most);
        (self.schema.get("minimum").and_then(Value::as_i64), most)
    }

    fn fits(self, value: &Value, depth: u32) -> bool {
        let Some(depth) = depth.checked_sub(1) else { return true };
        let this = self.found();
        let choices = this.choices();
        if !choices.is_empty() && !choices.iter().any(|choice| choice.fits(value, depth)) {
            return false;
        }
        let words = match this.schema.get("const") {
            Some(Value::String(word)) => vec![word.as_str()],
            _ => this
                .schema
                .get("enum")
                .and_then(Value::as_array)
                .map_or_else(Vec::new, |words| words.iter().filter_map(Value::as_str).collect()),
        };
        if !words.is_empty() && !value.as_str().is_some_and(|text| words.contains(&text)) {
            return false;
        }
        let types = this.types();
        types.is_empty() || types.iter().any(|kind| this.is(kind, value, depth))
    }

    fn is(self, kind: &str, value: &Value, depth: u32) -> bool {
        match (kind, value) {
            ("string", Value::String(_)) | ("boolean", Value::Bool(_)) | ("null", Value::Null) => true,
            ("integer", Value::Number(number)) => {
                let (least, most) = self.range();
                let low = least.is_none_or(|least| number.as_i64().is_none_or(|given| given >= least));
                let high = most.is_none_or(|most| number.as_u64().is_none_or(|given| given <= most));
                (number.is_i64() || number.is_u64()) && low && high
            }
            ("number", Value::Number(_)) => true,
            ("array", Value::Array(items)) => {
                let wanted = self.schema.get("items").map(|schema| self.of(schema));
                wanted.is_none_or(|wanted| items.iter().all(|item| wanted.fits(item, depth)))
            }
            ("object", Value::Object(fields)) => {
                let required = self.schema.get("required").and_then(Value::as_array);
                let all = required.is_none_or(|names| {
                    names.iter().filter_map(Value::as_str).all(|name| fields.contains_key(name))
                });
                let known = self.schema.get("properties").and_then(Value::as_object);
                all && known.is_none_or(|known| {
                    fields.iter().all(|(name, field)| {
                        known.get(name).is_none_or(|schema| self.of(schema).fits(field, depth))
                    })
                })
            }
            _ => false,
        }
    }

    fn in_words(self) -> String {
        let this = self.found();
        let words = this.words();
        if !words.is_empty() && this.types().iter().all(|kind| *kind == "string") {
            let words: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
            let or_null = this.choices().iter().any(|choice| choice.types() == ["null"]);
            return format!("one of {}{}", words.join(", "), if or_null { " or null" } else { "" });
        }
        let (least, most) = this.range();
        let mut said: Vec<String> = this
            .types()
            .iter()
            .map(|kind| match (*kind, least, most) {
                ("string", ..) => "a text".to_owned(),
                ("boolean", ..) => "true or false".to_owned(),
                ("integer" | "number", Some(least), Some(most)) => {
                    format!("a whole number from {least} to {most}")
                }
                ("integer" | "number", Some(0), None) => "a whole number, 0 or more".to_owned(),
                ("integer" | "number", ..) => "a whole number".to_owned(),
                ("array", ..) => match this.schema.get("items") {
                    Some(items) => format!("a list, each {}", this.of(items).in_words()),
                    None => "a list".to_owned(),
                },
                ("object", ..) => this.fields_in_words(),
                (other, ..) => other.to_owned(),
            })
            .collect();
        for choice in this.choices() {
            said.push(choice.in_words());
        }
        said.dedup();
        if said.is_empty() { "described in the schema".to_owned() } else { said.join(" or ") }
    }

    fn fields_in_words(self) -> String {
        let required = self.schema.get("required").and_then(Value::as_array);
        let known = self.schema.get("properties").and_then(Value::as_object);
        let names = required.into_iter().flatten().filter_map(Value::as_str).map(|name| {
            let word = known.and_then(|known| known.get(name)?.get("const")?.as_str());
            word.map_or_else(|| format!("`{name}`"), |word| format!("`{name}` {word:?}"))
        });
        let names: Vec<String> = names.collect();
        if names.is_empty() {
            "an object".to_owned()
        } else {
            format!("an object with {}", names.join(" and "))
        }
    }
}

fn generator(contract: fn(SchemaSettings) -> SchemaSettings) -> SchemaGenerator {
    let mut settings = contract(SchemaSettings::draft07());
    settings.definitions_path = DEFINITIONS.into();
    settings.meta_schema = None;
    settings.into_generator()
}

/// All methods, and what their parameters are made of.
fn methods() -> (Vec<Method>, Map<String, Value>) {
    let mut generator = generator(SchemaSettings::for_deserialize);
    let call = Call::json_schema(&mut generator).to_value();
    let definitions = generator.take_definitions(true);
    let variants = call.get("oneOf").and_then(Value::as_array).cloned().unwrap_or_default();
    let methods = variants.iter().filter_map(|variant| method(variant, &definitions)).collect();
    (methods, definitions)
}

fn method(variant: &Value, definitions: &Map<String, Value>) -> Option<Method> {
    let properties = variant.get("properties")?;
    let mut params = properties.get("params");
    if let Some(reference) = params.and_then(|params| params.get("$ref")).and_then(Value::as_str) {
        params = reference.rsplit('/').next().and_then(|name| definitions.get(name));
    }
    let required = params.and_then(|params| params.get("required")).and_then(Value::as_array);
    let is_required = |name: &str| required.is_some_and(|names| names.iter().any(|one| one == name));
    let fields = params.and_then(|params| params.get("properties")).and_then(Value::as_object);
    let param = |(name, schema): (&String, &Value)| Param {
        name: name.clone(),
        required: is_required(name),
        schema: schema.clone(),
    };
    Some(Method {
        name: properties.get("method")?.get("const")?.as_str()?.to_owned(),
        description: text(variant),
        params: fields.into_iter().flatten().map(param).collect(),
    })
}

/// The description of a schema.
fn text(schema: &Value) -> String {
    schema.get("description").and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// The OpenRPC document of everything a program can ask for, and is told.
pub fn openrpc() -> Value {
    let (methods, mut definitions) = methods();
    let mut results = Results::all();
    let event = results.0.subschema_for::<Event>();
    let error = results.0.subschema_for::<ErrorRecord>();
    let methods = methods.into_iter().map(|method| {
        let params = method.params.into_iter().map(|param| {
            json!({
                "name": param.name,
                "description": text(&param.schema),
                "required": param.required,
                "schema": param.schema,
            })
        });
        let result = results.1.get(method.name.as_str()).cloned().unwrap_or_else(|| json_schema!(true));
        json!({
            "name": method.name,
            "description": method.description,
            "paramStructure": "by-name",
            "params": params.collect::<Vec<_>>(),
            "result": {"name": "result", "schema": result},
        })
    });
    let methods: Vec<_> = methods.collect();
    definitions.extend(results.0.take_definitions(true));
    let mut document = json!({
        "openrpc": "1.3.2",
        "info": {
            "title": "Conclave",
            "version": env!("CARGO_PKG_VERSION"),
            "license": {"name": "MIT OR Apache-2.0"},
            "description": "What a program can ask of a Conclave profile, over `conclave rpc`, the profile's socket or a \
                WebSocket. JSON-RPC 2.0 with named parameters. A `chat` is an account id, the name of a contact, or `me`. \
                Times are milliseconds since the Unix epoch unless a name says otherwise. A call that did not work is \
                answered with the code -32000 and an ErrorRecord as `data`.",
        },
        "methods": methods,
        "components": {"schemas": definitions},
        // OpenRPC has no word for what a server says unasked.
        "x-notifications": [{
            "name": "event",
            "description": "Something happened; comes after `subscribe`.",
            "params": event,
        }],
        "x-error-data": error,
    });
    tidy(&mut document);
    name_records(&mut document);
    document
}

/// Describes what a face says beyond this, in the same way: `take` names its types, and they come under `components.schemas`
/// with all they are made of.
pub fn describe(take: impl FnOnce(&mut SchemaGenerator)) -> Value {
    let mut generator = generator(SchemaSettings::for_serialize);
    take(&mut generator);
    let mut document = json!({"components": {"schemas": generator.take_definitions(true)}});
    tidy(&mut document);
    name_records(&mut document);
    document
}

fn name_records(document: &mut Value) {
    let Some(schemas) = document.pointer_mut(DEFINITIONS).and_then(Value::as_object_mut) else { return };
    for (record, name) in RECORDS {
        if let Some(schema) = schemas.remove(record) {
            schemas.insert(name.to_owned(), schema);
        }
    }
}

/// Makes sentences of the program's own documentation readable outside it (no marks of links, one line each), and calls
/// records by the names of their types.
fn tidy(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                match field {
                    Value::String(text) if name == "description" => {
                        let lines: Vec<_> = text.lines().map(str::trim).collect();
                        *text = lines.join(" ").replace("[`", "`").replace("`]", "`");
                    }
                    Value::String(reference) if name == "$ref" => {
                        let record = reference.rsplit('/').next().unwrap_or_default();
                        if let Some((_, name)) = RECORDS.iter().find(|(word, _)| *word == record) {
                            *reference = format!("#{DEFINITIONS}/{name}");
                        }
                    }
                    other => tidy(other),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_says_what_it_takes_and_what_it_gives() {
        let (methods, _) = methods();
        let results = Results::all();
        let named: BTreeSet<_> = methods.iter().map(|method| method.name.as_str()).collect();
        assert_eq!(named, results.1.keys().copied().collect(), "methods and results");
        for method in &methods {
            assert!(!method.description.is_empty(), "{}", method.name);
            for param in &method.params {
                assert!(!text(&param.schema).is_empty(), "{} of {}", param.name, method.name);
            }
        }
        assert!(parameters("history").unwrap().contains("before"));
        assert!(parameters("chats").unwrap().is_empty());
        assert!(parameters("no_such").is_none());
    }

    #[test]
    fn what_is_wrong_with_parameters_is_said_in_words_of_the_description() {
        for (method, params, said) in [
            ("send", json!({"text": "hi"}), "send needs `to`, which is a text"),
            ("send", json!({"to": 5, "text": "hi"}), "`to` of send is a text"),
            (
                "history",
                json!({"chat": "me", "limit": -1}),
                "`limit` of history is a whole number from 0 to 4294967295",
            ),
            (
                "history",
                json!({"chat": "me", "limit": 1.5}),
                "`limit` of history is a whole number from 0 to 4294967295",
            ),
            (
                "history",
                json!({"chat": "me", "limit": 5_000_000_000_u64}),
                "`limit` of history is a whole number from 0 to 4294967295",
            ),
            (
                "react",
                json!({"id": "a", "emoji": "b", "remove": "yes"}),
                "`remove` of react is true or false",
            ),
            ("mark_printed", json!({"ids": "a"}), "`ids` of mark_printed is a list, each a text"),
            ("mark_printed", json!({"ids": [1]}), "`ids` of mark_printed is a list, each a text"),
            (
                "set_nickname",
                json!({"chat": "a", "nickname": 5}),
                "`nickname` of set_nickname is a text or null",
            ),
            (
                "delete",
                json!({"id": "a", "from": "nowhere"}),
                "`from` of delete is one of \"this_device\", \"my_devices\", \"everywhere\"",
            ),
            (
                "set_priority",
                json!({"chat": "a", "priority": 3_000_000_000_u64}),
                "`priority` of set_priority is a whole number",
            ),
        ] {
            let problem = problem(method, &params);
            assert!(problem.starts_with(said), "{problem}\n  instead of\n{said}");
        }
        // Also of what has parts: no word of it names a type of this program.
        for (method, params) in [
            ("set_timer", json!({"chat": "me", "timer": {"mode": "sometimes"}})),
            ("set_timer", json!({"chat": "me", "timer": "off"})),
            ("send", json!({"to": "me", "text": "x", "invitation": {"url": 5}})),
            ("wait_for", json!({"id": "x", "state": "soon", "timeout_ms": 1})),
        ] {
            let problem = problem(method, &params);
            assert!(problem.starts_with('`'), "{problem}");
            for word in ["struct", "enum", "variant", "u32", "u64", "i32", "untagged", "$ref", "schema"] {
                assert!(!problem.contains(word), "{problem}");
            }
        }
    }

    #[test]
    fn every_reference_leads_somewhere() {
        fn look(value: &Value, document: &Value) {
            match value {
                Value::Object(fields) => {
                    if let Some(reference) = fields.get("$ref").and_then(Value::as_str) {
                        let path = reference.strip_prefix('#').unwrap();
                        assert!(document.pointer(path).is_some(), "{reference}");
                    }
                    fields.values().for_each(|field| look(field, document));
                }
                Value::Array(items) => items.iter().for_each(|item| look(item, document)),
                _ => {}
            }
        }
        let document = openrpc();
        look(&document, &document);
        assert!(document.pointer("/components/schemas/Message").is_some());
    }

    #[test]
    fn the_published_document_is_the_program_s() {
        let published = include_str!("../../../../docs/openrpc.json");
        let ours = serde_json::to_string_pretty(&openrpc()).unwrap() + "\n";
        assert!(
            published == ours,
            "`conclave rpc --schema > docs/openrpc.json` brings the document up to date"
        );
    }

    #[test]
    fn what_is_both_asked_and_given_has_one_description() {
        let (_, asked) = methods();
        let mut results = Results::all();
        let given = results.0.take_definitions(true);
        for (name, schema) in &asked {
            assert!(
                given.get(name).is_none_or(|other| other == schema),
                "{name} reads other than it is written"
            );
        }
    }
}
