//! `get_n_service_nodes`, by which a client without a node list gets its first one
//! (storage-and-onion 7.1). One extra field, `conclave_directory`, carries the signed directory;
//! other clients ignore it, ours believe nothing else in an answer of a network that has a registry.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use conclave_crypto::{Ed25519Public, X25519Public};
use serde_json::{Map, Value, json};

use crate::network::SignedDirectory;
use crate::rpc::Dict;
use crate::{SnodeRecord, SwarmId, Version};

/// The field of the answer's `result` that holds the signed directory.
pub const DIRECTORY_FIELD: &str = "conclave_directory";

/// The method and its alias.
const METHODS: [&str; 2] = ["get_n_service_nodes", "get_service_nodes"];

/// What a node is asked for when it joins a network.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SeedRequest {
    /// Repeated in the answer.
    pub id: Value,
    /// Only nodes that are in a swarm.
    pub active_only: bool,
    /// At most this many; 0 or nothing is no limit.
    pub limit: Option<u64>,
    /// The fields wanted of each node; nothing means all.
    pub fields: Option<BTreeSet<String>>,
}

/// Why a body is no seed request or no answer to one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidSeed {
    /// Not JSON-RPC.
    #[error("not a JSON-RPC message: {0}")]
    Json(String),
    /// Another method.
    #[error("unknown method {0:?}")]
    Method(String),
    /// No list of nodes.
    #[error("the answer has no list of nodes")]
    NoNodes,
}

impl SeedRequest {
    /// Asks for every active node with all we need.
    pub fn to_json(&self) -> Value {
        let mut params = json!({ "active_only": self.active_only });
        let fields: Map<String, Value> = match &self.fields {
            Some(fields) => fields.iter().map(|name| (name.clone(), true.into())).collect(),
            None => FIELDS.iter().map(|name| ((*name).to_owned(), true.into())).collect(),
        };
        if let Some(params) = params.as_object_mut() {
            params.insert("fields".to_owned(), fields.into());
            if let Some(limit) = self.limit {
                params.insert("limit".to_owned(), limit.into());
            }
        }
        json!({ "jsonrpc": "2.0", "id": self.id, "method": "get_n_service_nodes", "params": params })
    }

    /// Reads a request body. `fields` may be an object of booleans or a list of names.
    ///
    /// # Errors
    /// If it is no JSON-RPC, or asks for something else.
    pub fn from_json(body: &[u8]) -> Result<Self, InvalidSeed> {
        let value: Value =
            serde_json::from_slice(body).map_err(|error| InvalidSeed::Json(error.to_string()))?;
        let method = value.get("method").and_then(Value::as_str).unwrap_or_default();
        if !METHODS.contains(&method) {
            return Err(InvalidSeed::Method(method.chars().take(40).collect()));
        }
        let param = |name: &str| value.get("params").and_then(|params| params.get(name));
        let fields = match param("fields") {
            Some(Value::Object(fields)) if fields.get("all").and_then(Value::as_bool) != Some(true) => Some(
                fields
                    .iter()
                    .filter(|(_, wanted)| wanted.as_bool() == Some(true))
                    .map(|(name, _)| name.clone())
                    .collect(),
            ),
            Some(Value::Array(names)) if !names.iter().any(|name| name == "all") => {
                Some(names.iter().filter_map(Value::as_str).map(str::to_owned).collect())
            }
            _ => None,
        };
        Ok(Self {
            id: value.get("id").cloned().unwrap_or_default(),
            active_only: param("active_only").and_then(Value::as_bool).unwrap_or(false),
            limit: param("limit").and_then(Value::as_u64).filter(|limit| *limit > 0),
            fields,
        })
    }

    /// The answer.
    pub fn answer(&self, nodes: &[SnodeRecord], height: u64, directory: Option<&SignedDirectory>) -> Value {
        let limit = self.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
        let states: Vec<Value> = nodes
            .iter()
            .filter(|node| !self.active_only || node.swarm != SwarmId::NONE)
            .take(limit)
            .map(|node| self.state(node).into())
            .collect();
        let mut result = json!({ "service_node_states": states, "height": height, "status": "OK" });
        if let (Some(directory), Some(result)) = (directory, result.as_object_mut()) {
            result.insert(DIRECTORY_FIELD.to_owned(), serde_json::to_value(directory).unwrap_or_default());
        }
        json!({ "jsonrpc": "2.0", "id": self.id, "result": result })
    }

    fn state(&self, node: &SnodeRecord) -> Map<String, Value> {
        let key = node.ed25519.to_hex();
        FIELDS
            .iter()
            .filter(|name| self.fields.as_ref().is_none_or(|wanted| wanted.contains(**name)))
            .map(|name| {
                let value = match *name {
                    // Whoever is in the directory is a full member.
                    "funded" => true.into(),
                    "public_ip" => node.ip.to_string().into(),
                    "storage_port" => node.https_port.into(),
                    "storage_lmq_port" => node.quic_port.into(),
                    "pubkey_ed25519" | "service_node_pubkey" => key.clone().into(),
                    "pubkey_x25519" => node.x25519.to_hex().into(),
                    "swarm_id" => node.swarm.0.into(),
                    "swarm" => node.swarm.to_hex().into(),
                    "storage_server_version" => node.version.0.to_vec().into(),
                    _ => 0u64.into(), // `requested_unlock_height`: nobody has asked to leave
                };
                ((*name).to_owned(), value)
            })
            .collect()
    }
}

/// The fields of a node we know.
const FIELDS: [&str; 11] = [
    "funded",
    "pubkey_ed25519",
    "pubkey_x25519",
    "public_ip",
    "requested_unlock_height",
    "service_node_pubkey",
    "storage_lmq_port",
    "storage_port",
    "storage_server_version",
    "swarm",
    "swarm_id",
];

/// The answer to a [`SeedRequest`].
#[derive(Clone, Debug, PartialEq)]
pub struct SeedAnswer {
    /// The nodes that can be used. Unsigned: whoever answered may have made them up.
    pub nodes: Vec<SnodeRecord>,
    /// The ledger's height, as told.
    pub height: u64,
    /// The signed directory, if there is one. Not yet verified.
    pub directory: Option<SignedDirectory>,
}

impl SeedAnswer {
    /// Reads an answer. Nodes without address or usable keys are left out; what a node's entry does
    /// not say is port 0, no swarm, version 0.0.0.
    ///
    /// # Errors
    /// If it is no answer at all.
    pub fn from_json(body: &[u8]) -> Result<Self, InvalidSeed> {
        let value: Value =
            serde_json::from_slice(body).map_err(|error| InvalidSeed::Json(error.to_string()))?;
        let result = value.get("result").ok_or(InvalidSeed::NoNodes)?;
        let states = result.get("service_node_states").and_then(Value::as_array);
        Ok(Self {
            nodes: states.ok_or(InvalidSeed::NoNodes)?.iter().filter_map(record).collect(),
            height: result.get("height").and_then(Value::as_u64).unwrap_or_default(),
            directory: directory_in(result),
        })
    }
}

/// The answer to our method of the same name as [`DIRECTORY_FIELD`], before it is stamped.
pub fn directory_answer(directory: &SignedDirectory) -> Dict {
    let json = serde_json::to_value(directory).unwrap_or_default();
    Dict::from([(DIRECTORY_FIELD.to_owned(), crate::rpc::Value::Json(json))])
}

/// The signed directory inside a result: of a seed call, or of our own method. Not yet verified.
pub fn directory_in(result: &Value) -> Option<SignedDirectory> {
    let field = result.get(DIRECTORY_FIELD)?;
    // In bt, and so in what crossed it, the document is text.
    match field.as_str() {
        Some(text) => SignedDirectory::from_json(text.as_bytes()).ok(),
        None => serde_json::from_value(field.clone()).ok(),
    }
}

fn record(state: &Value) -> Option<SnodeRecord> {
    let text = |name: &str| state.get(name)?.as_str();
    let port = |name: &str| u16::try_from(state.get(name)?.as_u64()?).ok();
    let ed25519 = Ed25519Public::from_hex(text("pubkey_ed25519")?).ok()?;
    let x25519 = X25519Public::from_hex(text("pubkey_x25519")?).ok()?;
    let ip: Ipv4Addr = text("public_ip")?.parse().ok()?;
    if x25519 != ed25519.to_x25519() || ip.is_unspecified() {
        return None;
    }
    let swarm = text("swarm")
        .and_then(|hex| u64::from_str_radix(hex, 16).ok())
        .or_else(|| state.get("swarm_id")?.as_u64());
    let version = state.get("storage_server_version").and_then(|version| {
        let parts: Vec<u16> = serde_json::from_value(version.clone()).ok()?;
        parts.try_into().ok()
    });
    Some(SnodeRecord {
        ed25519,
        x25519,
        ip,
        https_port: port("storage_port")?,
        quic_port: port("storage_lmq_port").unwrap_or_default(),
        swarm: swarm.map_or(SwarmId::NONE, SwarmId),
        version: Version(version.unwrap_or_default()),
    })
}
