//! Checks of the known answers this crate answers for.
#![allow(unreachable_pub)]

mod community;
mod forms;
mod kinds;
mod membership;
mod messages;
mod rpc;
mod sessionjs;
mod signing;
pub mod util;

use serde_json::Value;

/// File, key, check.
type Entry = (&'static str, &'static str, fn(&Value) -> Result<(), String>);

/// Every known answer this crate checks.
pub const CHECKS: &[Entry] = &[
    ("storage-onion", "swarm_space", forms::check_swarm_space),
    ("storage-onion", "swarm_mapping", forms::check_swarm_mapping),
    ("storage-onion", "swarm_push_serialization_v1", forms::check_swarm_push_serialization_v1),
    ("storage-onion", "monitor_wire", forms::check_monitor_wire),
    ("storage-onion", "bt_request_stream", forms::check_bt_request_stream),
    ("storage-onion", "sn_onion_request_bt", forms::check_sn_onion_request_bt),
    ("storage-onion", "onion_v4_payload", forms::check_onion_v4_payload),
    ("storage-onion", "namespaces", forms::check_namespaces),
    ("storage-onion", "base32z", forms::check_base32z),
    ("storage-onion", "active_nodes_bin", forms::check_active_nodes_bin),
    ("storage-onion", "request_signatures", signing::check_request_signatures),
    ("storage-onion", "node_result_signatures", signing::check_node_result_signatures),
    ("storage-onion", "rpc_requests", rpc::check_rpc_requests),
    ("storage-onion", "quic_frames", rpc::check_quic_frames),
    ("storage-onion", "mt19937_64", membership::check_mt19937_64),
    ("storage-onion", "new_swarm_id", membership::check_new_swarm_id),
    ("storage-onion", "new_swarm_id_sequence", membership::check_new_swarm_id_sequence),
    ("client-messages", "protobuf_kinds", kinds::check_protobuf_kinds),
    ("client-messages", "dm_full_example", messages::check_dm_full_example),
    ("client-messages", "dm_end_to_end", messages::check_dm_end_to_end),
    ("client-messages", "group_end_to_end", messages::check_group_end_to_end),
    ("client-messages", "session_js_interop", sessionjs::check_session_js_interop),
    ("communities", "onion_v4_framing", community::check_onion_v4_framing),
    ("communities", "join_urls", community::check_join_urls),
    ("config-groups", "upstream/upstream-community-url", community::check_spellings),
];
