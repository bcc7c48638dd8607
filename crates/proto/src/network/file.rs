//! `network.json`: which network, whose signature on its node list, where to ask first.

use std::net::SocketAddr;

use conclave_crypto::Ed25519Public;
use serde::Deserialize as _;
use serde_json::{Map, Value};

use crate::chunk::{DEFAULT_MAX_FILE, MAX_FILE};
use crate::community_url;

/// Longer files are not read: a network file is some kilobytes.
const MAX_BYTES: usize = 1024 * 1024;

/// More seeds than this help nobody.
const MAX_SEEDS: usize = 256;

/// Longest network id. It becomes part of file names.
const MAX_ID: usize = 64;

/// Why text is not a network file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidNetworkFile {
    /// Larger than any network file.
    #[error("the network file has {0} bytes, at most {MAX_BYTES} are read")]
    TooLarge(usize),
    /// Not a JSON object.
    #[error("the network file is not a JSON object: {0}")]
    NotJson(String),
    /// A field that has to be there.
    #[error("the network file has no field `{0}`")]
    Missing(&'static str),
    /// A field with a value it cannot have.
    #[error("field `{field}` of the network file {problem}")]
    Field {
        /// Where: `registry_key`, `seeds[2].url`, …
        field: String,
        /// What is wrong with it.
        problem: String,
    },
}

/// How many nodes make a swarm (storage-and-onion 4.2, as parameters of the network).
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SwarmParams {
    /// Smaller swarms take nodes from larger ones, or dissolve. At least 1.
    pub min_size: u32,
    /// Nodes a new swarm starts with. At least `min_size`.
    pub new_size: u32,
    /// How many nodes, for each swarm, must be to spare beyond a new swarm's before it is made.
    pub ideal_margin: u32,
}

impl SwarmParams {
    /// The public network's.
    pub const PUBLIC: Self = Self { min_size: 5, new_size: 7, ideal_margin: 2 };
    /// Of networks on one machine: ten nodes make two swarms of five.
    pub const DEVNET: Self = Self { min_size: 5, new_size: 5, ideal_margin: 0 };
}

/// A place where a client that knows nothing yet gets the node list, and what makes its answer
/// trustworthy.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Seed {
    /// An HTTPS seed call over TLS with exactly this certificate (SHA-256 of its DER form).
    PinnedCertificate {
        /// `https://…/json_rpc`
        url: String,
        /// The pin.
        cert_sha256: [u8; 32],
    },
    /// A node's QUIC port; the connection proves the key.
    Quic {
        /// Where it listens.
        address: SocketAddr,
        /// Its key.
        ed25519: Ed25519Public,
    },
    /// An HTTPS seed call whose answer carries the directory signed by the registry.
    SignedList {
        /// `https://…/json_rpc`
        url: String,
        /// The key that signs: the network's registry key.
        pubkey_ed25519: Ed25519Public,
    },
}

/// A file server of the kind other programs use, where a network's nodes keep no files themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileServer {
    /// Whether it is reached by TLS. What is asked is sealed to its key either way.
    pub https: bool,
    /// Host name or address, in lowercase.
    pub host: String,
    /// The port, if it is not the scheme's own.
    pub port: Option<u16>,
    /// Its key.
    pub key: Ed25519Public,
}

/// A parsed network file. Keys unknown to us stay in it.
#[derive(Clone, Debug, PartialEq)]
pub struct NetworkFile {
    /// The network's name: letters, digits, `-`, `_`, `.`; at most 64.
    pub network_id: String,
    /// Who signs the directory. `None` for networks that have none, such as the public one: their
    /// list is trusted because of whom it came from.
    pub registry_key: Option<Ed25519Public>,
    /// How nodes are distributed over swarms.
    pub swarm_params: SwarmParams,
    /// Where to ask first, in order. Never empty.
    pub seeds: Vec<Seed>,
    /// Where files go if the nodes keep none.
    pub file_server: Option<FileServer>,
    /// Bytes of the largest file that may be sent, if the operator has set it: see [`Self::max_file`].
    pub max_file_bytes: Option<u64>,
    /// Keys of the file this version knows nothing about.
    pub other: Map<String, Value>,
}

impl NetworkFile {
    /// Reads a network file.
    ///
    /// # Errors
    /// Names the field that is missing or wrong.
    pub fn from_json(bytes: &[u8]) -> Result<Self, InvalidNetworkFile> {
        if bytes.len() > MAX_BYTES {
            return Err(InvalidNetworkFile::TooLarge(bytes.len()));
        }
        let mut fields: Map<String, Value> =
            serde_json::from_slice(bytes).map_err(|e| InvalidNetworkFile::NotJson(e.to_string()))?;
        let network_id = match fields.remove("network_id") {
            Some(Value::String(id)) => id,
            Some(_) => return Err(wrong("network_id", "must be text")),
            None => return Err(InvalidNetworkFile::Missing("network_id")),
        };
        if !is_network_id(&network_id) {
            return Err(wrong(
                "network_id",
                "must be 1 to 64 letters, digits, `-`, `_` or `.`, not starting with `.`",
            ));
        }
        let registry_key = match fields.remove("registry_key") {
            None | Some(Value::Null) => None,
            Some(value) => Some(key("registry_key", &value)?),
        };
        let swarm_params = match fields.remove("swarm_params") {
            None => return Err(InvalidNetworkFile::Missing("swarm_params")),
            Some(value) => {
                SwarmParams::deserialize(value).map_err(|e| wrong("swarm_params", &e.to_string()))?
            }
        };
        if swarm_params.min_size == 0 || swarm_params.new_size < swarm_params.min_size {
            return Err(wrong("swarm_params", "needs 1 ≤ min_size ≤ new_size"));
        }
        let seeds = match fields.remove("seeds") {
            Some(Value::Array(seeds)) => seeds,
            Some(_) => return Err(wrong("seeds", "must be a list")),
            None => return Err(InvalidNetworkFile::Missing("seeds")),
        };
        if seeds.is_empty() || seeds.len() > MAX_SEEDS {
            return Err(wrong("seeds", "must have between 1 and 256 entries"));
        }
        let seeds = seeds
            .iter()
            .enumerate()
            .map(|(index, value)| Seed::from_value(&format!("seeds[{index}]"), value, registry_key.as_ref()))
            .collect::<Result<_, _>>()?;
        let file_server = match fields.remove("file_server") {
            None | Some(Value::Null) => None,
            Some(value) => Some(FileServer::from_value(&value)?),
        };
        let max_file_bytes = match fields.remove("max_file_bytes") {
            None | Some(Value::Null) => None,
            Some(value) => {
                let fits = value.as_u64().filter(|bytes| (1..=MAX_FILE).contains(bytes));
                Some(fits.ok_or_else(|| {
                    wrong("max_file_bytes", &format!("must be a number between 1 and {MAX_FILE}"))
                })?)
            }
        };
        let other = fields;
        Ok(Self { network_id, registry_key, swarm_params, seeds, file_server, max_file_bytes, other })
    }

    /// The file's text, indented, with unknown keys at its end.
    pub fn to_json(&self) -> String {
        let mut fields = Map::new();
        fields.insert("network_id".into(), self.network_id.clone().into());
        if let Some(key) = &self.registry_key {
            fields.insert("registry_key".into(), key.to_hex().into());
        }
        let SwarmParams { min_size, new_size, ideal_margin } = self.swarm_params;
        fields.insert(
            "swarm_params".into(),
            serde_json::json!({"min_size": min_size, "new_size": new_size, "ideal_margin": ideal_margin}),
        );
        fields.insert("seeds".into(), self.seeds.iter().map(Seed::to_value).collect());
        if let Some(server) = &self.file_server {
            let url = community_url::server(server.https, &server.host, server.port);
            let value = serde_json::json!({"url": url, "ed25519": server.key.to_hex()});
            fields.insert("file_server".into(), value);
        }
        if let Some(bytes) = self.max_file_bytes {
            fields.insert("max_file_bytes".into(), bytes.into());
        }
        fields.extend(self.other.clone());
        let mut text = format!("{:#}", Value::Object(fields));
        text.push('\n');
        text
    }

    /// Bytes of the largest file that may be sent: 1 GiB, unless the operator has set it otherwise.
    pub fn max_file(&self) -> u64 {
        self.max_file_bytes.unwrap_or(DEFAULT_MAX_FILE)
    }

    /// Whether two files name the same network: same id, same registry.
    pub fn same_network(&self, other: &Self) -> bool {
        self.network_id == other.network_id && self.registry_key == other.registry_key
    }

    /// SHA-256 of a network file's bytes, lowercase hex: what `#sha256=` of a network's URL pins.
    pub fn fingerprint(bytes: &[u8]) -> String {
        hex::encode(conclave_crypto::hash::sha256(&[bytes]))
    }
}

impl FileServer {
    fn from_value(value: &Value) -> Result<Self, InvalidNetworkFile> {
        const URL: &str = "file_server.url";
        let url = value.get("url").and_then(Value::as_str).ok_or_else(|| wrong(URL, "must be text"))?;
        let bad = |_| wrong(URL, "must be http://HOST or https://HOST, with or without a port");
        if !url.contains("://") {
            return Err(bad(community_url::InvalidCommunityUrl::Scheme));
        }
        let (https, rest) = community_url::scheme(url).map_err(bad)?;
        let (host, port) =
            community_url::host_and_port(rest.strip_suffix('/').unwrap_or(rest), https).map_err(bad)?;
        let key_field = "file_server.ed25519";
        let named = value.get("ed25519").ok_or_else(|| wrong(key_field, "is missing"))?;
        Ok(Self { https, host, port, key: key(key_field, named)? })
    }
}

impl Seed {
    fn from_value(
        at: &str,
        value: &Value,
        registry: Option<&Ed25519Public>,
    ) -> Result<Self, InvalidNetworkFile> {
        let text = |name: &str| match value.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str())),
            Some(_) => Err(wrong(&format!("{at}.{name}"), "must be text")),
        };
        if let Some(address) = text("quic")? {
            let address = address.parse().map_err(|_| {
                wrong(&format!("{at}.quic"), "must be an address and a port, such as 203.0.113.7:22020")
            })?;
            let name = format!("{at}.ed25519");
            let ed25519 = value.get("ed25519").ok_or_else(|| wrong(&name, "is missing"))?;
            return Ok(Self::Quic { address, ed25519: key(&name, ed25519)? });
        }
        let Some(url) = text("url")? else {
            return Err(wrong(at, "needs `url` or `quic`"));
        };
        let url_field = format!("{at}.url");
        if url.starts_with("http://") {
            return Err(wrong(
                &url_field,
                "is plain HTTP, where anyone on the way can change the node list; use https",
            ));
        }
        if !url.starts_with("https://") || url.len() > 2048 || url.chars().any(|c| c.is_control() || c == ' ')
        {
            return Err(wrong(&url_field, "must be an https:// address"));
        }
        let url = url.to_owned();
        if let Some(pin) = text("cert_sha256")? {
            let pin: String = pin.chars().filter(|c| *c != ':').collect();
            let cert_sha256 = hex::decode(pin)
                .ok()
                .and_then(|bytes| bytes.try_into().ok())
                .ok_or_else(|| wrong(&format!("{at}.cert_sha256"), "must be 64 hex digits"))?;
            return Ok(Self::PinnedCertificate { url, cert_sha256 });
        }
        let name = format!("{at}.pubkey_ed25519");
        let Some(signer) = value.get("pubkey_ed25519") else {
            return Err(wrong(
                at,
                "needs `cert_sha256` or `pubkey_ed25519`, or its answer could not be trusted",
            ));
        };
        let pubkey_ed25519 = key(&name, signer)?;
        if registry != Some(&pubkey_ed25519) {
            return Err(wrong(&name, "must be the network's registry_key, which signs the node list"));
        }
        Ok(Self::SignedList { url, pubkey_ed25519 })
    }

    fn to_value(&self) -> Value {
        match self {
            Self::PinnedCertificate { url, cert_sha256 } => {
                serde_json::json!({"url": url, "cert_sha256": hex::encode(cert_sha256)})
            }
            Self::Quic { address, ed25519 } => {
                serde_json::json!({"quic": address.to_string(), "ed25519": ed25519.to_hex()})
            }
            Self::SignedList { url, pubkey_ed25519 } => {
                serde_json::json!({"url": url, "pubkey_ed25519": pubkey_ed25519.to_hex()})
            }
        }
    }
}

/// Whether text can name a network: it becomes part of file names.
pub(super) fn is_network_id(text: &str) -> bool {
    (1..=MAX_ID).contains(&text.len())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
        && !text.starts_with('.')
}

fn key(field: &str, value: &Value) -> Result<Ed25519Public, InvalidNetworkFile> {
    let text = value.as_str().ok_or_else(|| wrong(field, "must be text"))?;
    Ed25519Public::from_hex(text).map_err(|e| wrong(field, &format!("is not an Ed25519 key: {e}")))
}

fn wrong(field: &str, problem: &str) -> InvalidNetworkFile {
    InvalidNetworkFile::Field { field: field.into(), problem: problem.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "cbd569f56fb13ea95a3f0c05c331cc24139c0090feb412069dc49fab34406ece";

    fn file(seed: &Value) -> Value {
        serde_json::json!({
            "network_id": "test", "registry_key": KEY,
            "swarm_params": {"min_size": 5, "new_size": 5, "ideal_margin": 0},
            "seeds": [seed], "motd": "hello",
        })
    }

    fn parse(value: &Value) -> Result<NetworkFile, InvalidNetworkFile> {
        NetworkFile::from_json(value.to_string().as_bytes())
    }

    #[test]
    fn every_kind_of_seed_and_unknown_keys_survive_a_round_trip() {
        for seed in [
            serde_json::json!({"url": "https://127.0.0.1:1/json_rpc", "pubkey_ed25519": KEY}),
            serde_json::json!({"url": "https://seed.example.org:4443/json_rpc", "cert_sha256": "36".repeat(32)}),
            serde_json::json!({"quic": "127.0.0.1:22020", "ed25519": KEY}),
        ] {
            let parsed = parse(&file(&seed)).unwrap();
            assert_eq!(parsed.other["motd"], "hello");
            assert_eq!(NetworkFile::from_json(parsed.to_json().as_bytes()).unwrap(), parsed);
        }
    }

    #[test]
    fn a_seed_that_cannot_be_trusted_is_refused_and_named() {
        let other = "3ccd241cffc9b3618044b97d036d8614593d8b017c340f1dee8773385517654b";
        for (seed, names) in [
            (serde_json::json!({"url": "http://a/json_rpc", "pubkey_ed25519": KEY}), "seeds[0].url"),
            (serde_json::json!({"url": "https://a/json_rpc"}), "seeds[0]"),
            (
                serde_json::json!({"url": "https://a/json_rpc", "pubkey_ed25519": other}),
                "seeds[0].pubkey_ed25519",
            ),
            (serde_json::json!({"quic": "nowhere", "ed25519": KEY}), "seeds[0].quic"),
            (serde_json::json!({"quic": "127.0.0.1:1"}), "seeds[0].ed25519"),
        ] {
            let error = parse(&file(&seed)).unwrap_err();
            assert!(error.to_string().contains(names), "{error}");
        }
    }

    #[test]
    fn a_file_server_of_others_is_named_with_its_key_or_not_at_all() {
        let with = |server: Value| {
            let mut value = file(&serde_json::json!({"quic": "127.0.0.1:1", "ed25519": KEY}));
            value["file_server"] = server;
            parse(&value)
        };
        let read = with(serde_json::json!({"url": "http://Files.example:8080/", "ed25519": KEY})).unwrap();
        let server = read.file_server.clone().unwrap();
        assert_eq!((server.https, server.host.as_str(), server.port), (false, "files.example", Some(8080)));
        assert_eq!(NetworkFile::from_json(read.to_json().as_bytes()).unwrap(), read);
        assert_eq!(with(Value::Null).unwrap().file_server, None);
        for (server, names) in [
            (serde_json::json!({"url": "files.example", "ed25519": KEY}), "file_server.url"),
            (serde_json::json!({"url": "ftp://files.example", "ed25519": KEY}), "file_server.url"),
            (serde_json::json!({"url": "http://files.example/file", "ed25519": KEY}), "file_server.url"),
            (serde_json::json!({"url": "http://files.example"}), "file_server.ed25519"),
            (serde_json::json!({"url": "http://files.example", "ed25519": "00"}), "file_server.ed25519"),
            (serde_json::json!("http://files.example"), "file_server.url"),
        ] {
            assert!(with(server).unwrap_err().to_string().contains(names));
        }
    }

    #[test]
    fn the_largest_file_is_a_gibibyte_unless_the_operator_says_otherwise() {
        let with = |bytes: Value| {
            let mut value = file(&serde_json::json!({"quic": "127.0.0.1:1", "ed25519": KEY}));
            value["max_file_bytes"] = bytes;
            parse(&value)
        };
        let before = parse(&file(&serde_json::json!({"quic": "127.0.0.1:1", "ed25519": KEY}))).unwrap();
        assert_eq!((before.max_file_bytes, before.max_file()), (None, 1 << 30));
        assert!(!before.to_json().contains("max_file_bytes"));
        let set = with(5_000_000.into()).unwrap();
        assert_eq!(set.max_file(), 5_000_000);
        assert_eq!(NetworkFile::from_json(set.to_json().as_bytes()).unwrap(), set);
        for wrong in [0.into(), (-1).into(), 2_000_000_001_u64.into(), "1 GiB".into(), serde_json::json!(1.5)]
        {
            let error = with(wrong).unwrap_err().to_string();
            assert!(error.contains("max_file_bytes") && error.contains("2000000000"), "{error}");
        }
    }

    #[test]
    fn a_network_id_is_safe_as_a_file_name() {
        for id in ["", ".", "../x", "a/b", "a b", &"x".repeat(65)] {
            let mut value = file(&serde_json::json!({"quic": "127.0.0.1:1", "ed25519": KEY}));
            value["network_id"] = id.into();
            assert!(parse(&value).is_err(), "{id:?}");
        }
    }
}
