//! Which network: `--network`, else the profile's own, else the data directory's.

use std::path::Path;

use conclave_client::network::{download, shipped};
use conclave_client::profile::DataDir;
use conclave_proto::network::NetworkFile;

use crate::failure::Failure;
use crate::output::Output;
use crate::secrets;

/// What pins a network file in its address.
const PIN: &str = "#sha256=";

/// The network the caller named.
pub(crate) async fn named(network: Option<&str>, output: Output) -> Result<Option<NetworkFile>, Failure> {
    match network {
        None => Ok(None),
        Some(name) if !Path::new(name).exists() && shipped(name).is_some() => Ok(shipped(name)),
        Some(url) if url.contains("://") => from_url(url, output).await.map(Some),
        Some(path) => read(Path::new(path)).map(Some),
    }
}

/// The network of the data directory, which `up` and `devnet` write.
pub(crate) fn of_data_dir(data_dir: &DataDir) -> Result<Option<NetworkFile>, Failure> {
    let path = data_dir.network_file();
    if path.exists() { read(&path).map(Some) } else { Ok(None) }
}

fn read(path: &Path) -> Result<NetworkFile, Failure> {
    let bytes = std::fs::read(path).map_err(|e| {
        Failure::usage(
            "network_file",
            format!("reading the network file {}: {e}", path.display()),
            "check the path; `conclave up` and `conclave devnet` write one, and `session` names the public network",
        )
    })?;
    parse(&bytes, &path.display().to_string())
}

fn parse(bytes: &[u8], place: &str) -> Result<NetworkFile, Failure> {
    NetworkFile::from_json(bytes).map_err(|e| {
        Failure::usage(
            "network_file",
            format!("{place}: {e}"),
            "get the file anew from whoever runs the network",
        )
    })
}

/// A network file from the web is only as good as its fingerprint: one in the address, or one the user looks at.
async fn from_url(url: &str, output: Output) -> Result<NetworkFile, Failure> {
    let (address, pin) = match url.split_once(PIN) {
        Some((address, pin)) => (address, Some(pin.to_lowercase())),
        None => (url, None),
    };
    if !address.starts_with("https://") {
        return Err(Failure::usage(
            "network_url",
            format!("{address} is not an https:// address"),
            "a network file is fetched over https only; or give --network FILE",
        ));
    }
    let bytes = download(address).await.map_err(|problem| {
        Failure::unreachable(
            "network_url",
            format!("fetching the network file from {address}: {problem}"),
            "check the address and that this machine is online, and try again",
        )
    })?;
    let found = NetworkFile::fingerprint(&bytes);
    match pin {
        Some(pin) if pin == found => {}
        Some(pin) => {
            return Err(Failure::failed(
                "network_fingerprint",
                format!("the network file at {address} has the fingerprint {found}, not {pin}"),
                "do not use it; ask whoever gave you the address for the right fingerprint",
            ));
        }
        None => {
            output.note(&format!("The network file at {address} has the SHA-256 fingerprint\n  {found}"));
            let question = "Is that the one you were given by a way you trust?";
            match secrets::confirm(question)? {
                Some(true) => {}
                Some(false) => {
                    return Err(Failure::failed(
                        "network_fingerprint",
                        "the network file was not accepted",
                        "ask whoever runs the network for its fingerprint",
                    ));
                }
                None => {
                    return Err(Failure::usage(
                        "network_fingerprint",
                        "a network file from the web needs its fingerprint, and there is no terminal to ask on",
                        format!("after checking it, use --network {address}{PIN}{found}"),
                    ));
                }
            }
        }
    }
    parse(&bytes, address)
}
