//! The text of a new `node.toml`: every key with what it means, those that are not set as comments.

use super::NodeConfig;

/// Every key, in the order of the file: what it means, and a value as an example of one that is not set.
const KEYS: [(&str, &str, &str); 21] = [
    ("data_dir", "Folder of the node's key, certificate and messages.", "\"/var/lib/conclave\""),
    (
        "network",
        "The network file: which network, whose signature on the list of nodes, where to ask first.",
        "\"network.json\"",
    ),
    (
        "directory",
        "The signed list of nodes, if it lies on this machine and is kept there by the network's operator. Without it, the\n\
         node gets the list from the seeds of the network file and from other nodes.",
        "\"directory.json\"",
    ),
    (
        "listen_https",
        "Where HTTPS listens (TCP), if not at the address in the list: for machines behind an address translator.",
        "\"0.0.0.0:22021\"",
    ),
    ("listen_quic", "The same for QUIC (UDP).", "\"0.0.0.0:22020\""),
    (
        "seed_http",
        "Also answer the call for the first node list over plain HTTP here, for existing clients that ask so.",
        "\"0.0.0.0:22023\"",
    ),
    (
        "max_store_bytes",
        "Most bytes of the message database. When it is full, new messages are refused until old ones expire.",
        "10737418240",
    ),
    (
        "max_chunk_bytes",
        "Most bytes of the chunks of files, besides the messages. When that is full, large and long-lived files give way to\n\
         small ones. 0 keeps no files.",
        "10737418240",
    ),
    (
        "wait_jitter_ms",
        "The answer to a client that waits for news goes out up to so many milliseconds later, at random, so that whoever\n\
         sees only sizes and times cannot tell when something came.",
        "10",
    ),
    (
        "rate_per_second",
        "Storage requests a second that one address may go on with; 0 is no limit, for networks where everybody comes from\n\
         one address.",
        "300",
    ),
    ("rate_burst", "Storage requests of one address that may come at once.", "600"),
    (
        "shed_above_ms",
        "Clients are refused once work has waited longer than this for half a second; 0 is no limit.",
        "100",
    ),
    (
        "upload_bytes_per_second",
        "Bytes a second of requests of more than 16 KiB that one address may go on with; 0 is no limit.",
        "4194304",
    ),
    ("upload_burst_bytes", "Bytes of such requests of one address that may come at once.", "67108864"),
    (
        "peer_bytes_per_second",
        "Bytes a second of onion layers of more than 16 KiB that one other node may pass on; 0 is no limit.",
        "33554432",
    ),
    ("peer_burst_bytes", "Bytes of such layers of one node that may come at once.", "268435456"),
    (
        "file_server_port",
        "Also be a file server over plain HTTP at this port, for programs of others: whoever reaches it may upload and\n\
         download files.",
        "22024",
    ),
    ("proxy", "Whether requests are passed on to servers: communities, file servers, push servers.", "true"),
    (
        "proxy_allow",
        "Servers that requests are passed on to although their addresses are not public. Each is open to everybody who\n\
         uses this node.",
        "[\"community.example.org:443\"]",
    ),
    (
        "proxy_authorities",
        "A PEM file of authorities whose certificates are believed besides those that browsers trust.",
        "\"authorities.pem\"",
    ),
    (
        "metrics",
        "Where /metrics and /health are answered over plain HTTP: a loopback address.",
        "\"127.0.0.1:9615\"",
    ),
];

/// The configuration as a file for people. Reading it gives the same configuration.
pub(super) fn explained(config: &NodeConfig) -> String {
    let set: toml::Table = config.to_toml().parse().expect("a configuration's TOML is TOML");
    let mut text = String::from("# A service node of Conclave. `conclave node run` reads this file.\n");
    for (key, meaning, example) in KEYS {
        text.push('\n');
        for line in meaning.lines() {
            text.push_str(&format!("# {line}\n"));
        }
        match set.get(key) {
            Some(value) => text.push_str(&format!("{key} = {value}\n")),
            None => text.push_str(&format!("# {key} = {example}\n")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_file_explains_every_key_and_says_what_it_was_made_of() {
        let mut config = NodeConfig::new("a \"b\"\\c".into(), "b".into(), "c".into());
        for directory in [None, Some("c".into())] {
            config.directory = directory;
            let text = explained(&config);
            assert_eq!(toml::from_str::<NodeConfig>(&text).unwrap(), config, "{text}");
            for key in super::super::KEYS {
                let explained = text
                    .lines()
                    .filter(|l| l.trim_start_matches("# ").starts_with(&format!("{key} = ")))
                    .count();
                assert_eq!(explained, 1, "{key} in {text}");
            }
        }
    }

    #[test]
    fn the_examples_can_be_used_as_they_stand() {
        let text = explained(&NodeConfig::new("a".into(), "b".into(), "c".into()));
        let is_key = |line: &str| KEYS.iter().any(|(key, ..)| line.starts_with(&format!("# {key} = ")));
        let all: String = text
            .lines()
            .map(|line| if is_key(line) { line.trim_start_matches("# ") } else { line })
            .flat_map(|line| [line, "\n"])
            .collect();
        let read: NodeConfig = toml::from_str(&all).unwrap_or_else(|e| panic!("{e}: {all}"));
        assert!(read.listen_https.is_some() && read.seed_http.is_some(), "{all}");
    }
}
