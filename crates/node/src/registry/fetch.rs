//! Getting the signed directory from elsewhere: the seeds of the network file, and nodes known already.
//!
//! Who answers does not matter, the registry's signature does; so nothing is checked of a connection but what the network
//! file demands. A place that withholds a newer directory only delays: the next time another one is asked.

use std::sync::Arc;
use std::time::Duration;

use conclave_proto::SnodeRecord;
use conclave_proto::network::{Seed, SignedDirectory};
use conclave_proto::rpc::CONCLAVE_DIRECTORY;
use conclave_proto::rpc::answers::read_reply_frame;
use conclave_proto::seed::{SeedAnswer, SeedRequest, directory_in};
use conclave_transport::Deadline;
use conclave_transport::https::{Client as Https, Target, Trust, split_url};
use conclave_transport::quic::{Alpn, Endpoint, Lane};
use rand_core::{OsRng, RngCore as _};
use serde_json::Value;

/// How long one place may take. (storage-and-onion 7.1)
const PLACE_TIMEOUT: Duration = Duration::from_secs(5);
/// Known nodes asked before the seeds, which are few and asked by everybody.
const ASKED_NODES: usize = 2;
/// Error texts of that many places are told.
const MAX_REASONS: usize = 4;

/// Asks for directories.
#[derive(Debug, Default)]
pub(super) struct Fetcher {
    https: Https,
    /// Made when the first seed wants it.
    quic: tokio::sync::OnceCell<Arc<Endpoint>>,
}

impl Fetcher {
    /// A directory from one of `known`, else from one of `seeds`: the first that `take` accepts.
    ///
    /// # Errors
    /// What went wrong everywhere, in words.
    pub(super) async fn fetch<T>(
        &self,
        known: &[SnodeRecord],
        seeds: &[Seed],
        mut take: impl FnMut(SignedDirectory) -> Result<T, String>,
    ) -> Result<T, String> {
        let mut reasons = Vec::new();
        for node in pick(known, ASKED_NODES) {
            let target = Target::node((node.ip, node.https_port).into());
            match self.over_https(&target, "/json_rpc").await.and_then(&mut take) {
                Ok(taken) => return Ok(taken),
                Err(reason) => reasons.push(reason),
            }
        }
        for seed in pick(seeds, seeds.len()) {
            match self.ask_seed(&seed).await.and_then(&mut take) {
                Ok(taken) => return Ok(taken),
                Err(reason) => reasons.push(reason),
            }
        }
        reasons.sort();
        reasons.dedup();
        reasons.truncate(MAX_REASONS);
        Err(reasons.join("; "))
    }

    async fn ask_seed(&self, seed: &Seed) -> Result<SignedDirectory, String> {
        let (url, trust) = match seed {
            Seed::SignedList { url, .. } => (url, Trust::AnyCertificate),
            Seed::PinnedCertificate { url, cert_sha256 } => (url, Trust::PinnedSha256(*cert_sha256)),
            Seed::Quic { address, ed25519 } => {
                let deadline = Deadline::after(PLACE_TIMEOUT);
                let asked = deadline.run(async {
                    let endpoint = self
                        .quic
                        .get_or_try_init(|| async { Endpoint::client().map(Arc::new) })
                        .await
                        .map_err(|error| format!("no UDP here: {error}"))?;
                    let connection =
                        endpoint.dial(*address, *ed25519, Alpn::Client).await.map_err(|e| e.to_string())?;
                    let answer = connection.request(Lane::Commands, CONCLAVE_DIRECTORY, b"", deadline).await;
                    connection.close();
                    read_reply_frame(&answer.map_err(|e| e.to_string())?)
                        .and_then(|(_, result)| directory_in(&result))
                        .ok_or_else(|| "a seed gave no signed directory".to_owned())
                });
                return asked.await.unwrap_or_else(|elapsed| Err(elapsed.to_string()));
            }
            _ => return Err("a kind of seed this version does not know".to_owned()),
        };
        let (address, path) = split_url(url).ok_or("a seed's address is no https:// address")?;
        self.over_https(&Target { address, host: None, trust }, &path).await
    }

    async fn over_https(&self, target: &Target, path: &str) -> Result<SignedDirectory, String> {
        // The directory is all that is wanted; the rest of the answer is kept short.
        let fields = Some(std::iter::once("pubkey_ed25519".to_owned()).collect());
        let call = SeedRequest { id: Value::from(0), active_only: true, limit: Some(1), fields }.to_json();
        let body = call.to_string().into_bytes();
        let deadline = Deadline::after(PLACE_TIMEOUT);
        let asked = self.https.post(target, path, "application/json", body, deadline).await;
        let response = asked.map_err(|error| error.to_string())?;
        if response.status != 200 {
            return Err(format!("a place asked for the directory answered with status {}", response.status));
        }
        let answer = SeedAnswer::from_json(&response.body).map_err(|error| error.to_string())?;
        answer.directory.ok_or_else(|| "a place asked for the directory gave no signed one".to_owned())
    }
}

/// Up to `count` of `all`, at random.
pub(crate) fn pick<T: Clone>(all: &[T], count: usize) -> Vec<T> {
    let mut all = all.to_vec();
    let mut picked = Vec::new();
    while picked.len() < count && !all.is_empty() {
        // A network has few nodes against 2^64: no number is noticeably likelier.
        let at = usize::try_from(OsRng.next_u64() % all.len() as u64).unwrap_or(0);
        picked.push(all.swap_remove(at));
    }
    picked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn picking_takes_each_at_most_once() {
        let mut picked = pick(&[1, 2, 3], 9);
        picked.sort_unstable();
        assert_eq!(picked, [1, 2, 3]);
        assert_eq!(pick(&[1, 2, 3], 2).len(), 2);
        assert!(pick::<u8>(&[], 2).is_empty());
    }
}
