//! Getting the node list: from the seeds of the network file, and from nodes already known.
//!
//! Whoever answers, what counts is the registry's signature. Never over plain HTTP.

use std::time::Duration;

use conclave_proto::network::{Directory, NetworkFile, Seed, SignedDirectory};
use conclave_transport::Deadline;
use conclave_transport::https::{Address, Client as Https, Target, Trust};
use serde_json::{Value, json};

use super::{NetworkError, pick, shuffle};

/// How long one seed may take. (storage-and-onion 7.1)
const SEED_TIMEOUT: Duration = Duration::from_secs(5);
/// Known nodes asked besides the seeds: seeds may have moved since the file was made.
const KNOWN_NODES: usize = 3;
/// Error texts of that many places are shown.
const MAX_REASONS: usize = 4;

/// A place to ask.
struct Place {
    target: Target,
    path: String,
}

/// The bytes of a network file at an `https://` address. Nothing about them is checked: whoever asks compares their
/// fingerprint ([`NetworkFile::fingerprint`]) with one that came another way.
///
/// # Errors
/// What prevents an answer, in words.
pub async fn download(url: &str) -> Result<Vec<u8>, String> {
    let (address, path) = split_url(url).ok_or("this is no https:// address")?;
    let target = Target { address, host: None, trust: Trust::AnyCertificate };
    let response = Https::new()
        .get(&target, &path, Deadline::after(SEED_TIMEOUT))
        .await
        .map_err(|error| error.to_string())?;
    if response.status != 200 {
        return Err(format!("the server answered with status {}", response.status));
    }
    Ok(response.body.to_vec())
}

/// The newest directory that any of several places gives, not older than `known`.
pub(super) async fn fetch(
    https: &Https,
    file: &NetworkFile,
    known: Option<&Directory>,
) -> Result<(SignedDirectory, Directory), NetworkError> {
    let registry_key = file
        .registry_key
        .ok_or_else(|| NetworkError::NoRegistryKey { network_id: file.network_id.clone() })?;
    let mut places: Vec<Place> = file.seeds.iter().filter_map(place_of).collect();
    shuffle(&mut places);
    if let Some(known) = known {
        let nodes = pick(known.nodes(), KNOWN_NODES);
        places.extend(nodes.iter().map(|node| Place {
            target: Target::node((node.ip, node.https_port).into()),
            path: "/json_rpc".to_owned(),
        }));
    }
    let known_height = known.map_or(0, |directory| directory.height);
    let mut reasons = Vec::new();
    for place in places {
        let got = ask(https, &place).await.and_then(|signed| {
            let directory = signed
                .verify(&registry_key, &file.network_id, known_height)
                .map_err(|error| error.to_string())?;
            Ok((signed, directory))
        });
        match got {
            Ok(found) => return Ok(found),
            Err(reason) => reasons.push(reason),
        }
    }
    reasons.dedup();
    reasons.truncate(MAX_REASONS);
    Err(NetworkError::NoSeed { network_id: file.network_id.clone(), reasons: reasons.join("; ") })
}

fn place_of(seed: &Seed) -> Option<Place> {
    let (url, trust) = match seed {
        Seed::SignedList { url, .. } => (url, Trust::AnyCertificate),
        Seed::PinnedCertificate { url, cert_sha256 } => (url, Trust::PinnedSha256(*cert_sha256)),
        // Seeds over QUIC are asked by programs that speak it to clients' nodes.
        _ => return None,
    };
    let (address, path) = split_url(url)?;
    Some(Place { target: Target { address, host: None, trust }, path })
}

/// Address and path of an `https://` URL.
pub(crate) fn split_url(url: &str) -> Option<(Address, String)> {
    let rest = url.strip_prefix("https://")?;
    let (authority, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, "/"),
    };
    let address = match authority.parse() {
        Ok(address) => Address::Ip(address),
        Err(_) => {
            let (host, port) = match authority.rsplit_once(':') {
                Some((host, port)) => (host, port.parse().ok()?),
                None => (authority, 443),
            };
            match host.trim_start_matches('[').trim_end_matches(']').parse() {
                Ok(ip) => Address::Ip(std::net::SocketAddr::new(ip, port)),
                Err(_) => Address::Name(host.to_owned(), port),
            }
        }
    };
    Some((address, path.to_owned()))
}

async fn ask(https: &Https, place: &Place) -> Result<SignedDirectory, String> {
    let call = json!({
        "jsonrpc": "2.0", "id": 0, "method": "get_n_service_nodes",
        "params": {"active_only": true, "limit": 1, "fields": {"pubkey_ed25519": true}},
    });
    let response = https
        .post(
            &place.target,
            &place.path,
            "application/json",
            call.to_string().into_bytes(),
            Deadline::after(SEED_TIMEOUT),
        )
        .await
        .map_err(|error| error.to_string())?;
    if response.status != 200 {
        return Err(format!("a seed answered with status {}", response.status));
    }
    let answer: Value =
        serde_json::from_slice(&response.body).map_err(|_| "a seed answered no JSON".to_owned())?;
    let directory = answer
        .get("result")
        .and_then(|result| result.get("conclave_directory"))
        .ok_or_else(|| "a seed gave no signed directory".to_owned())?;
    SignedDirectory::from_json(directory.to_string().as_bytes()).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_split_into_address_and_path() {
        for (url, expected) in [
            (
                "https://127.0.0.1:8443/json_rpc",
                Some((Address::Ip("127.0.0.1:8443".parse().unwrap()), "/json_rpc")),
            ),
            ("https://192.0.2.1/x", Some((Address::Ip("192.0.2.1:443".parse().unwrap()), "/x"))),
            ("https://[2001:db8::1]:9/x", Some((Address::Ip("[2001:db8::1]:9".parse().unwrap()), "/x"))),
            (
                "https://seed.example.org:4443/json_rpc",
                Some((Address::Name("seed.example.org".into(), 4443), "/json_rpc")),
            ),
            ("https://seed.example.org", Some((Address::Name("seed.example.org".into(), 443), "/"))),
            ("http://seed.example.org/x", None),
            ("https://seed.example.org:x/", None),
        ] {
            assert_eq!(split_url(url), expected.map(|(address, path)| (address, path.to_owned())), "{url}");
        }
    }
}
