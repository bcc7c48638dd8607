//! Known answers of onion requests: layers, routing, whole requests with their replies.

mod full;
mod layers;
mod read;
mod v4;

use serde_json::Value;

pub type Check = fn(&Value) -> Result<(), String>;

/// File, key, check.
pub const CHECKS: &[(&str, &str, Check)] = &[
    ("storage-onion.json", "onion_combined_payload", layers::check_onion_combined_payload),
    ("storage-onion.json", "onion_inner_dispatch", layers::check_onion_inner_dispatch),
    ("storage-onion.json", "onion_url_targets", layers::check_onion_url_targets),
    ("storage-onion.json", "onion_request_full", full::check_onion_request_full),
    ("storage-onion.json", "sn_onion_request_bt", layers::check_sn_onion_request_bt),
    ("storage-onion.json", "onion_v4_payload", v4::check_onion_v4_payload),
    ("communities.json", "onion_request_parse", layers::check_onion_request_parse),
    ("communities.json", "onion_v4_framing", v4::check_onion_v4_framing),
    ("communities.json", "onion_v4_full", v4::check_onion_v4_full),
    ("communities.json", "sogs_onion_end_to_end", v4::check_sogs_onion_end_to_end),
    ("config-groups.json", "upstream/upstream-onion-parse", layers::check_upstream_onion_parse),
];
