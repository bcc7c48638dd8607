//! Which network: `--network`, else what the profile remembers, else the data directory's own.

use std::path::Path;

use conclave_client::profile::DataDir;
use conclave_proto::network::NetworkFile;

use crate::failure::Failure;
use crate::output::Output;

/// The network the caller named, or the one of the data directory. `None` leaves it to the profile.
pub(crate) async fn named(
    network: Option<&str>,
    data_dir: &DataDir,
    _output: Output,
) -> Result<Option<NetworkFile>, Failure> {
    if let Some(named) = network {
        if named.contains("://") {
            return Err(Failure::usage(
                "network_url",
                "a network is read from a file here, not from an address",
                format!("download {named} yourself, check it, and give --network FILE"),
            ));
        }
        return read(Path::new(named)).map(Some);
    }
    let own = data_dir.network_file();
    if own.exists() { read(&own).map(Some) } else { Ok(None) }
}

fn read(path: &Path) -> Result<NetworkFile, Failure> {
    let bytes = std::fs::read(path).map_err(|e| {
        Failure::usage(
            "network_file",
            format!("reading the network file {}: {e}", path.display()),
            "check the path; `conclave up` and `conclave devnet` write one",
        )
    })?;
    NetworkFile::from_json(&bytes).map_err(|e| {
        Failure::usage(
            "network_file",
            format!("{}: {e}", path.display()),
            "get the file anew from whoever runs the network",
        )
    })
}
