//! What is different between two snapshots of a screen.
//!
//! Lists of rows are told apart from other values by their name. Of those, rows that are new or different are given whole, and the
//! order only if it changed; of everything else, the fields that are different.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// The fields that hold rows, each with a `key` that no other row of the list has.
const LISTS: [&str; 2] = ["rows", "nodes"];

/// What has to be changed in `old` to get `new`; `None` if nothing has.
pub(crate) fn patch(old: &Value, new: &Value) -> Option<Value> {
    let (Value::Object(old), Value::Object(new)) = (old, new) else { return None };
    let mut patch = Map::new();
    for (name, value) in new {
        let before = old.get(name);
        if before == Some(value) {
            continue;
        }
        let change = match (before, value) {
            (Some(Value::Array(before)), Value::Array(rows)) if LISTS.contains(&name.as_str()) => {
                rows_patch(before, rows)
            }
            _ => value.clone(),
        };
        patch.insert(name.clone(), change);
    }
    (!patch.is_empty()).then_some(Value::Object(patch))
}

fn key(row: &Value) -> &str {
    row.get("key").and_then(Value::as_str).unwrap_or_default()
}

fn rows_patch(before: &[Value], rows: &[Value]) -> Value {
    let known: BTreeMap<&str, &Value> = before.iter().map(|row| (key(row), row)).collect();
    let upsert: Vec<&Value> = rows.iter().filter(|row| known.get(key(row)) != Some(row)).collect();
    let order: Vec<&str> = rows.iter().map(key).collect();
    if before.iter().map(key).eq(order.iter().copied()) {
        return json!({ "upsert": upsert });
    }
    json!({ "upsert": upsert, "order": order })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the page does with a patch.
    fn apply(state: &Value, patch: &Value) -> Value {
        let mut state = state.clone();
        for (name, change) in patch.as_object().unwrap() {
            if !LISTS.contains(&name.as_str()) {
                state[name] = change.clone();
                continue;
            }
            let mut rows: BTreeMap<String, Value> = state[name]
                .as_array()
                .unwrap()
                .iter()
                .map(|row| (key(row).to_owned(), row.clone()))
                .collect();
            let mut order: Vec<String> =
                state[name].as_array().unwrap().iter().map(|row| key(row).to_owned()).collect();
            for row in change["upsert"].as_array().unwrap() {
                rows.insert(key(row).to_owned(), row.clone());
            }
            if let Some(new) = change.get("order") {
                order = new.as_array().unwrap().iter().map(|key| key.as_str().unwrap().to_owned()).collect();
            }
            state[name] = order.iter().map(|key| rows[key].clone()).collect();
        }
        state
    }

    fn state(unread: u64, rows: &[(&str, u64)]) -> Value {
        let rows: Vec<Value> = rows.iter().map(|(key, value)| json!({"key": key, "value": value})).collect();
        json!({"unread": unread, "name": null, "rows": rows})
    }

    #[test]
    fn the_same_is_no_patch() {
        assert_eq!(patch(&state(1, &[("a", 1)]), &state(1, &[("a", 1)])), None);
    }

    #[test]
    fn a_row_that_changed_is_given_alone_and_without_the_order() {
        let (old, new) = (state(1, &[("a", 1), ("b", 1)]), state(1, &[("a", 1), ("b", 2)]));
        assert_eq!(patch(&old, &new).unwrap(), json!({"rows": {"upsert": [{"key": "b", "value": 2}]}}));
    }

    #[test]
    fn a_patch_brings_the_page_to_the_new_state() {
        let states = [
            state(0, &[]),
            state(1, &[("a", 1)]),
            state(1, &[("a", 1), ("b", 1), ("c", 3)]),
            state(2, &[("c", 3), ("a", 1)]),
            state(2, &[("a", 1), ("c", 3)]),
            state(2, &[("a", 5), ("d", 1)]),
            state(0, &[]),
        ];
        for old in &states {
            for new in &states {
                let patched = patch(old, new).map_or_else(|| old.clone(), |patch| apply(old, &patch));
                assert_eq!(&patched, new);
            }
        }
    }
}
