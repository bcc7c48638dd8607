//! Checks of known answers: each takes the value under one key of a vector file and looks at all of it.
//! They return what differs and never panic, so that damaged copies can be told apart.

// Compiled into two test programs, of which neither exports anything.
#![allow(unreachable_pub)]

mod documents;
mod messages;
mod read;

use serde_json::Value;

/// What a check is: the value under its key, and what differs.
pub type Check = fn(&Value) -> Result<(), String>;

/// File, key, check.
pub const CHECKS: &[(&str, &str, Check)] = &[
    ("config-groups", "upstream/upstream-example1", messages::example_1),
    ("config-groups", "upstream/upstream-load-mutable", messages::increment),
    ("config-groups", "upstream/upstream-example2", messages::example_2),
    ("config-groups", "upstream/upstream-example3", messages::example_3),
    ("config-groups", "upstream/upstream-example4", messages::example_4),
    ("config-groups", "upstream/upstream-signature", messages::signature),
    ("config-groups", "upstream/upstream-empty", messages::empty),
    ("config-groups", "upstream/upstream-invalid-empty", messages::invalid),
    ("config-groups", "upstream/upstream-profile-seqno0", documents::empty_profile),
    ("config-groups", "upstream/upstream-profile-push1", documents::received_profile),
    ("config-groups", "generated/shared-linear-0", messages::linear),
    ("config-groups", "generated/shared-linear-1", messages::linear),
    ("config-groups", "generated/shared-linear-2", messages::linear),
    ("config-groups", "generated/shared-linear-3", messages::linear),
    ("config-groups", "generated/shared-merge-0", messages::merge),
    ("config-groups", "generated/shared-merge-1", messages::merge),
    ("config-groups", "generated/shared-merge-2", messages::merge),
    ("config-groups", "generated/shared-merge-3", messages::merge),
    ("config-groups", "generated/shared-merge-4", messages::merge),
    ("config-groups", "generated/shared-merge-5", messages::merge),
    ("config-groups", "generated/shared-merge-6", messages::merge),
    ("config-groups", "generated/shared-merge-7", messages::merge),
    ("config-groups", "generated/shared-merge-8", messages::merge),
    ("config-groups", "generated/shared-merge-9", messages::merge),
    ("config-groups", "generated/shared-merge-10", messages::merge),
    ("config-groups", "generated/shared-merge-11", messages::merge),
    ("config-groups", "generated/shared-profile-0", documents::profile),
    ("config-groups", "generated/shared-contacts-0", documents::contacts),
    ("config-groups", "generated/shared-convo-0", documents::conversations),
    ("config-groups", "generated/shared-usergroups-0", documents::user_groups),
    ("config-groups", "generated/shared-conflict-0", documents::conflict),
    ("config-groups", "generated/shared-multipart-0", documents::multipart),
    ("config-groups", "generated/shared-profile-1", documents::profile),
    ("config-groups", "generated/shared-contacts-1", documents::contacts),
    ("config-groups", "generated/shared-convo-1", documents::conversations),
    ("config-groups", "generated/shared-usergroups-1", documents::user_groups),
    ("config-groups", "generated/shared-conflict-1", documents::conflict),
    ("config-groups", "generated/shared-multipart-1", documents::multipart),
];

/// Leaves that are words or follow from others: key (`*` for all), end of the path, why.
const WITHOUT_EFFECT: &[(&str, &str, &str)] = &[
    ("*", "id", "the key itself"),
    ("*", "kind", "words"),
    ("*", "note", "words"),
    ("*", "upstream_test", "words"),
    ("upstream/upstream-example4", "in/edit_after_merge", "words"),
    ("upstream/upstream-invalid-empty", "in/messages/0", "what is invalid stays so"),
    ("upstream/upstream-invalid-empty", "in/messages/1", "what is invalid stays so"),
    ("upstream/upstream-invalid-empty", "in/messages/2", "what is invalid stays so"),
    ("upstream/upstream-example3", "in/irrelevant_too_old_120b", "what is too old has no effect"),
    ("upstream/upstream-example4", "in/message_120b", "what is too old has no effect"),
    ("generated/shared-contacts-0", "in/contacts/*/exp_timer_s", "says nothing where messages stay"),
    ("generated/shared-contacts-1", "in/contacts/*/exp_timer_s", "says nothing where messages stay"),
];

/// Whether a leaf may change unnoticed.
pub fn may_go_unnoticed(key: &str, path: &str) -> bool {
    let matches = |pattern: &str| {
        let (steps, parts) = (path.split('/'), pattern.split('/'));
        steps.clone().count() == parts.clone().count()
            && steps.zip(parts).all(|(step, part)| part == "*" || part == step)
    };
    WITHOUT_EFFECT.iter().any(|(of, pattern, _)| (*of == "*" || *of == key) && matches(pattern))
}
