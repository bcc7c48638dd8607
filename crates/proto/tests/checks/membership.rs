//! Known answers of swarm assignment.
#![allow(unreachable_pub)]

use conclave_proto::SwarmId;
use conclave_proto::membership::{MAX_ID, new_swarm_id, uniform};
use rand_mt::Mt64;
use serde_json::Value;

pub fn check_mt19937_64(value: &Value) -> Result<(), String> {
    let mut rng = Mt64::new(5489);
    let first: Vec<u64> = (0..10_000).map(|_| rng.next_u64()).collect();
    let expected = numbers(&value["default_seed_5489_first5"])?;
    if first.get(..5) != Some(&expected[..])
        || first.last() != Some(&number(&value["default_seed_5489_10000th"])?)
    {
        return Err("the generator differs".into());
    }
    let mut rng = Mt64::new(12345);
    let drawn: Vec<u64> = (0..20).map(|_| uniform(&mut rng, 10)).collect();
    if drawn != numbers(&value["uniform_seed_12345_n10_first20"])? {
        return Err(format!("uniform numbers differ: {drawn:?}"));
    }
    Ok(())
}

pub fn check_new_swarm_id(value: &Value) -> Result<(), String> {
    if number(&value["max_id"])? != MAX_ID {
        return Err("max_id differs".into());
    }
    for case in value["cases"].as_array().ok_or("no cases")? {
        let existing: Vec<SwarmId> = numbers(&case["existing"])?.into_iter().map(SwarmId).collect();
        if !existing.is_sorted() {
            return Err("the ids are not sorted".into());
        }
        let new = new_swarm_id(&existing);
        if new.0 != number(&case["new"])? {
            return Err(format!("{case}: got {new:?}"));
        }
    }
    Ok(())
}

pub fn check_new_swarm_id_sequence(value: &Value) -> Result<(), String> {
    let expected = numbers(&value["first_8_from_empty"])?;
    let hex: Vec<String> = value["first_8_hex"]
        .as_array()
        .ok_or("no hex")?
        .iter()
        .map(|v| v.as_str().map(str::to_owned).ok_or("not text"))
        .collect::<Result<_, _>>()?;
    let mut ids: Vec<SwarmId> = Vec::new();
    for (at, expected) in expected.iter().enumerate() {
        let new = new_swarm_id(&ids);
        if new.0 != *expected || hex.get(at) != Some(&format!("{:016x}", new.0)) {
            return Err(format!("id {at}: got {new:?}"));
        }
        ids.push(new);
        ids.sort_unstable();
    }
    (ids.len() == 8 && hex.len() == 8).then_some(()).ok_or_else(|| "eight ids were promised".into())
}

fn number(value: &Value) -> Result<u64, String> {
    match value {
        Value::String(text) => text.parse().map_err(|e| format!("{text}: {e}")),
        other => other.as_u64().ok_or_else(|| format!("{other} is no number")),
    }
}

fn numbers(value: &Value) -> Result<Vec<u64>, String> {
    value.as_array().ok_or("not a list")?.iter().map(number).collect()
}
