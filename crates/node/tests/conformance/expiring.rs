//! Moving the ends of messages' lives, and asking for them.

use serde_json::{Value, json};

use crate::askers::{Me, with};
use crate::wires::ALL;
use crate::world::{Case, T, case};

pub const CASES: &[Case] = &[
    case!(
        modes,
        ALL,
        [
            "2.12-set",
            "2.12-extend",
            "2.12-shorten",
            "2.12-both-modes",
            "2.12-updated",
            "2.12-unchanged",
            "2.12-expiry-one",
            "2.12-signature",
            "2.12-one-percent",
        ]
    ),
    case!(several, ALL, ["2.12-several", "2.12-several-length", "2.12-expiry-each"]),
    case!(thirty_days, ALL, ["2.12-thirty-days"]),
    case!(members_without_delete, ALL, ["2.12-token-shorten", "2.12-token-set"]),
    case!(everything, ALL, ["2.11-shortens", "2.11-updated", "2.11-signature"]),
    case!(asking, ALL, ["2.14-expiries", "2.14-none-named", "2.14-not-all"]),
];

const HOUR: u64 = 3_600_000;
const DAY: u64 = 24 * HOUR;

/// `mode` is `extend`, `shorten` or nothing.
fn expiring(me: &Me, mode: &str, expiry: &[u64], hashes: &[&str]) -> Value {
    let times: String = expiry.iter().map(ToString::to_string).collect();
    let expiry = if let [one] = expiry { json!(one) } else { json!(expiry) };
    let mut params = json!({"messages": hashes, "expiry": expiry});
    if !mode.is_empty() {
        params[mode] = true.into();
    }
    me.signed(format!("expire{mode}{times}{}", hashes.concat()), params)
}

/// What each running member says, without its signature; all say the same.
fn said(t: &T, answer: &Value) -> Value {
    let mut all: Vec<Value> = Vec::new();
    for node in t.members() {
        let mut entry = answer["swarm"][node.ed25519.to_hex()].clone();
        entry.as_object_mut().unwrap().remove("signature").unwrap();
        all.push(entry);
    }
    all.dedup();
    assert_eq!(all.len(), 1, "members differ: {answer}");
    all.remove(0)
}

fn sorted<'a>(hashes: &[&'a str]) -> Vec<&'a str> {
    let mut hashes = hashes.to_vec();
    hashes.sort_unstable();
    hashes
}

async fn modes(t: T) {
    let me = t.user();
    let until = t.now() + HOUR;
    let (a, b, never) = (me.hash(0, "a"), me.hash(0, "b"), me.hash(0, "never"));
    let (a, b, never) = (a.as_str(), b.as_str(), never.as_str());
    t.store(&me, 0, "a").await;
    t.store(&me, 0, "b").await;
    let asked = [b, never, a];
    let expire = async |mode: &str, expiry: u64| {
        let answer = t.ok("expire", &expiring(&me, mode, &[expiry], &asked)).await;
        t.all_sign(&answer, |entry| {
            let updated: String =
                entry["updated"].as_array().unwrap().iter().map(|hash| hash.as_str().unwrap()).collect();
            let unchanged = entry.get("unchanged").map(|all| {
                let mut all: Vec<_> =
                    all.as_object().unwrap().iter().map(|(hash, time)| format!("{hash}{time}")).collect();
                all.sort();
                all.concat()
            });
            format!("{}{expiry}{}{updated}{}", me.hex(), asked.concat(), unchanged.unwrap_or_default())
        });
        said(&t, &answer)
    };
    let both = json!(sorted(&[a, b]));
    assert_eq!(expire("", until - 1_000).await, json!({"expiry": until - 1_000, "updated": both}));
    assert_eq!(t.expiries(&me, &asked).await, json!({a: until - 1_000, b: until - 1_000}));
    assert_eq!(expire("", until).await["updated"], both, "later again");
    t.shows("2.12-set");
    t.shows("2.12-updated");
    t.shows("2.12-expiry-one");

    t.ok("expire", &expiring(&me, "", &[until + HOUR], &[a])).await;
    let later = until + HOUR / 2;
    let expected = json!({"expiry": later, "updated": [b], "unchanged": {a: until + HOUR}});
    assert_eq!(expire("extend", later).await, expected);
    t.shows("2.12-extend");
    let expected = json!({"expiry": later, "updated": [a], "unchanged": {b: later}});
    assert_eq!(expire("shorten", later).await, expected);
    t.shows("2.12-shorten");
    // The time it already has is no change either way.
    let neither = json!({"expiry": later, "updated": [], "unchanged": {a: later, b: later}});
    assert_eq!(expire("extend", later).await, neither);
    assert_eq!(expire("shorten", later).await, neither);
    t.shows("2.12-unchanged");
    t.shows("2.12-signature");
    assert_eq!(expire("extend", later + 1).await["updated"], both);
    t.shows("2.12-one-percent");
    let params = with(expiring(&me, "extend", &[until], &[a]), json!({"shorten": true}));
    t.invalid("2.12-both-modes", "expire", &params, "cannot specify both 'shorten' and 'extend'").await;
}

async fn several(t: T) {
    let me = t.user();
    let until = t.now() + HOUR;
    let (a, b, never) = (me.hash(0, "a"), me.hash(2, "b"), me.hash(0, "never"));
    t.store(&me, 0, "a").await;
    t.store(&me, 2, "b").await;
    let times = [until + 3, until + 2, until + 1];
    let asked = [a.as_str(), never.as_str(), b.as_str()];
    let answer = t.ok("expire", &expiring(&me, "", &times, &asked)).await;
    assert_eq!(t.expiries(&me, &asked).await, json!({&a: until + 3, &b: until + 1}));
    t.shows("2.12-several");
    let updated = sorted(&[&a, &b]);
    let applied: Vec<u64> =
        updated.iter().map(|hash| if *hash == a { until + 3 } else { until + 1 }).collect();
    assert_eq!(said(&t, &answer), json!({"expiry": applied, "updated": updated}));
    let in_order: String = applied.iter().map(ToString::to_string).collect();
    t.all_sign(&answer, |_| me.hex() + &in_order + &asked.concat() + &updated.concat());
    t.shows("2.12-expiry-each");
    let text = "'expiry' must be a single expiry, or the same length as 'messages'";
    t.invalid("2.12-several-length", "expire", &expiring(&me, "", &times[..2], &asked), text).await;
    t.invalid("2.12-several-length", "expire", &expiring(&me, "", &[], &asked), text).await;
}

async fn thirty_days(t: T) {
    let me = t.user();
    t.store(&me, 0, "public").await;
    let hash = me.hash(0, "public");
    let most = t.now() + 30 * DAY;
    // The write's own time may be a little later than the clock, after what others have deleted.
    for (asked, applied) in
        [(most, most..=most), (most + 3 * DAY, most..=most + 60_000), (u64::MAX, most..=most + 60_000)]
    {
        let answer = t.ok("expire", &expiring(&me, "", &[asked], &[&hash])).await;
        let said = said(&t, &answer);
        let expiry = said["expiry"].as_u64().unwrap();
        assert!(applied.contains(&expiry), "{answer}");
        assert_eq!(said["updated"], json!([hash]));
        assert_eq!(t.expiries(&me, &[&hash]).await, json!({&hash: expiry}));
    }
    t.shows("2.12-thirty-days");
}

async fn members_without_delete(t: T) {
    let group = t.group();
    let writer = group.member(1, 3, 3);
    t.store(&writer, 11, "x").await;
    let hash = group.hash(11, "x");
    let until = t.now() + HOUR;
    let text = "expire: shorten parameter cannot be used with this subaccount token (missing delete access)";
    let params = expiring(&writer, "shorten", &[until - 1], &[&hash]);
    t.refused("2.12-token-shorten", "expire", &params, 400, text).await;
    let deleter = group.member(2, 3, 7);
    t.ok("expire", &expiring(&deleter, "shorten", &[until - 1], &[&hash])).await;
    let answer = t.ok("expire", &expiring(&writer, "", &[until - 2], &[&hash])).await;
    assert_eq!(said(&t, &answer), json!({"expiry": until - 2, "updated": []}));
    t.ok("expire", &expiring(&writer, "", &[until + 2], &[&hash])).await;
    assert_eq!(t.expiries(&group, &[&hash]).await, json!({&hash: until + 2}));
    t.shows("2.12-token-set");
}

async fn everything(t: T) {
    let me = t.user();
    let now = t.now();
    let (until, sooner) = (now + HOUR, now + HOUR / 2);
    let (a, b, c) = (me.hash(0, "a"), me.hash(2, "b"), me.hash(2, "c"));
    for (namespace, text) in [(0, "a"), (2, "b"), (2, "c")] {
        t.store(&me, namespace, text).await;
    }
    t.ok("expire", &expiring(&me, "", &[sooner - 5], &[&c])).await;
    let asking = |namespace: Value, signed: &str, expiry: u64| {
        me.signed(format!("expire_all{signed}{expiry}"), json!({"namespace": namespace, "expiry": expiry}))
    };
    for late in [until, until + 1, i64::MAX as u64, u64::MAX] {
        let answer = t.ok("expire_all", &asking(json!("all"), "all", late)).await;
        assert_eq!(said(&t, &answer), json!({"updated": {}}));
    }
    let answer = t.ok("expire_all", &asking(json!(2), "2", sooner)).await;
    assert_eq!(said(&t, &answer), json!({"updated": [b]}));
    assert_eq!(t.expiries(&me, &[&a, &b, &c]).await, json!({&a: until, &b: sooner, &c: sooner - 5}));
    t.shows("2.11-shortens");
    t.all_sign(&answer, |_| format!("{}{sooner}{b}", me.hex()));
    let answer = t.ok("expire_all", &asking(json!("all"), "all", sooner - 3)).await;
    assert_eq!(said(&t, &answer), json!({"updated": {"0": [a], "2": [b]}}));
    t.shows("2.11-updated");
    t.all_sign(&answer, |_| format!("{}{}{}", me.hex(), sooner - 3, sorted(&[&a, &b]).concat()));
    t.shows("2.11-signature");
}

async fn asking(t: T) {
    let me = t.user();
    t.store(&me, 0, "a").await;
    t.store(&me, 2, "b").await;
    let (a, b) = (me.hash(0, "a"), me.hash(2, "b"));
    let until = t.now() + HOUR;
    assert_eq!(t.expiries(&me, &[&b, &me.hash(0, "never"), &a]).await, json!({&a: until, &b: until}));
    t.shows("2.14-expiries");
    let asking = |messages: Value| {
        me.signed(format!("get_expiries{}", t.now()), json!({"messages": messages, "timestamp": t.now()}))
    };
    let text = "messages does not contain any message hashes";
    t.invalid("2.14-none-named", "get_expiries", &asking(json!([])), text).await;
    t.invalid("2.14-not-all", "get_expiries", &asking(json!("all")), "invalid message hash: all").await;
}
