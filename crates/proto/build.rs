//! Compiles `proto/session.proto` without protoc, and writes beside prost's types a table of each
//! message's fields, by which `content` finds missing and unknown ones.

#![expect(clippy::disallowed_methods, reason = "a build script writes files; the crate does not")]

use std::fmt::Write as _;

use protox::prost_reflect::{Cardinality, Kind, MessageDescriptor};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    println!("cargo:rerun-if-changed=build.rs");
    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_source_info(true).include_imports(true).open_file("session.proto")?;
    prost_build::Config::new().compile_fds(compiler.file_descriptor_set())?;

    let mut table = String::new();
    for message in compiler.descriptor_pool().all_messages() {
        let mut fields: Vec<_> = message.fields().collect();
        fields.sort_by_key(|field| field.number());
        write!(
            table,
            "static {}: Schema = Schema {{ name: {:?}, fields: &[",
            constant(&message),
            message.name()
        )?;
        for field in fields {
            let nested = match field.kind() {
                Kind::Message(nested) => format!("Some(&{})", constant(&nested)),
                _ => "None".to_owned(),
            };
            write!(
                table,
                "Field {{ number: {}, name: {:?}, required: {}, repeated: {}, message: {nested} }}, ",
                field.number(),
                field.name(),
                field.cardinality() == Cardinality::Required,
                field.is_list(),
            )?;
        }
        writeln!(table, "] }};")?;
        writeln!(
            table,
            "impl Described for {} {{ const SCHEMA: &'static Schema = &{}; }}",
            rust_path(&message),
            constant(&message)
        )?;
    }
    std::fs::write(std::path::Path::new(&std::env::var("OUT_DIR")?).join("schema.rs"), table)?;
    Ok(())
}

/// `DATA_MESSAGE_QUOTE` of `session.DataMessage.Quote`.
fn constant(message: &MessageDescriptor) -> String {
    path(message).iter().map(|part| snake(part).to_uppercase()).collect::<Vec<_>>().join("_")
}

/// `data_message::Quote` of `session.DataMessage.Quote`, as prost names it.
fn rust_path(message: &MessageDescriptor) -> String {
    let path = path(message);
    let (name, modules) = path.split_last().expect("a message has a name");
    modules.iter().map(|part| snake(part) + "::").collect::<String>() + name
}

fn path(message: &MessageDescriptor) -> Vec<&str> {
    let name = message.full_name();
    name.strip_prefix("session.").unwrap_or(name).split('.').collect()
}

fn snake(camel: &str) -> String {
    let mut out = String::new();
    for (at, letter) in camel.char_indices() {
        if letter.is_uppercase() && at > 0 {
            out.push('_');
        }
        out.push(letter.to_ascii_lowercase());
    }
    out
}
