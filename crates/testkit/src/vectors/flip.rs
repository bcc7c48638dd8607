//! Damaged copies of a vector: every leaf changed once, a little.
//!
//! A check that still passes on such a copy does not look at that leaf. This file uses nothing but
//! `serde_json`, so that a crate below `testkit` can include it by `#[path]`.

use serde_json::Value;

/// A copy of the value with one leaf changed.
#[derive(Debug, Clone, PartialEq)]
pub struct Flipped {
    /// Where: keys and indices from the top, joined by `/`.
    pub path: String,
    /// The damaged copy.
    pub value: Value,
}

/// One damaged copy for each leaf that can be damaged: in text one byte differs in its lowest bit where the
/// result stays of the same kind (hex stays hex, base64 stays base64), so that a decoder alone does not notice; numbers
/// differ by one, booleans are negated. Empty text and null have no byte to flip and are left out.
pub fn each_leaf(value: &Value) -> Vec<Flipped> {
    let mut found = Vec::new();
    walk(value, &mut Vec::new(), &mut |path, damaged| {
        found.push((path.to_vec(), damaged));
    });
    found
        .into_iter()
        .map(|(path, damaged)| {
            let mut copy = value.clone();
            if let Some(leaf) = copy.pointer_mut(&pointer(&path)) {
                *leaf = damaged;
            }
            Flipped { path: path.join("/"), value: copy }
        })
        .collect()
}

fn walk(value: &Value, path: &mut Vec<String>, found: &mut impl FnMut(&[String], Value)) {
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                path.push(key.clone());
                walk(inner, path, found);
                path.pop();
            }
        }
        Value::Array(list) => {
            for (index, inner) in list.iter().enumerate() {
                path.push(index.to_string());
                walk(inner, path, found);
                path.pop();
            }
        }
        leaf => {
            if let Some(damaged) = damaged(leaf) {
                found(path, damaged);
            }
        }
    }
}

fn damaged(leaf: &Value) -> Option<Value> {
    match leaf {
        Value::Bool(flag) => Some(Value::from(!flag)),
        Value::Number(number) => Some(match (number.as_u64(), number.as_i64()) {
            (Some(n), _) => Value::from(n ^ 1),
            (None, Some(n)) => Value::from(n ^ 1),
            (None, None) => Value::from(number.as_f64()? + 1.0),
        }),
        Value::String(text) => damaged_text(text).map(Value::from),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Changes one character near the middle: there it is data, not a prefix or a padded end.
fn damaged_text(text: &str) -> Option<String> {
    let middle = text.chars().count() / 2;
    let hex = text.len().is_multiple_of(2) && text.bytes().all(|b| b.is_ascii_hexdigit());
    let changed = |c: char| match c {
        // The lowest bit of a hex digit, kept lower case.
        _ if hex => char::from_digit(c.to_digit(16)? ^ 1, 16),
        // Neighbours in every alphabet that has letters and digits.
        'A'..='Z' | 'a'..='z' | '0'..='9' => Some(match c {
            'Z' | 'z' | '9' => char::from(u8::try_from(c).ok()? - 1),
            c => char::from(u8::try_from(c).ok()? + 1),
        }),
        '\u{20}'..='\u{7e}' => Some('x'),
        _ => Some('?'),
    };
    text.chars()
        .enumerate()
        .map(|(at, c)| if at == middle { changed(c) } else { Some(c) })
        .collect::<Option<String>>()
        .filter(|flipped| flipped != text)
}

/// A JSON pointer (RFC 6901).
fn pointer(path: &[String]) -> String {
    path.iter().map(|step| format!("/{}", step.replace('~', "~0").replace('/', "~1"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_leaf_is_changed_once_and_nothing_else() {
        let value = json!({"a": "00ff", "b": [1, true, null, ""], "c/d": {"e": "text", "n": -3}});
        let flipped = each_leaf(&value);
        let paths: Vec<&str> = flipped.iter().map(|f| f.path.as_str()).collect();
        assert_eq!(paths, ["a", "b/0", "b/1", "c/d/e", "c/d/n"]);
        assert_eq!(
            flipped[0].value,
            json!({"a": "00ef", "b": [1, true, null, ""], "c/d": {"e": "text", "n": -3}})
        );
        for f in &flipped {
            assert_ne!(f.value, value, "{}", f.path);
        }
    }

    #[test]
    fn hex_stays_hex() {
        for f in each_leaf(&json!(["0123456789abcdef", "FF00"])) {
            for text in f.value.as_array().unwrap() {
                assert!(hex::decode(text.as_str().unwrap()).is_ok());
            }
        }
    }
}
