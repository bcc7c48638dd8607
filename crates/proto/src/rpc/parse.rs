//! From JSON or bt to a [`Request`].

use conclave_crypto::AccountId;

use super::chunk::{CHUNK_DELETE, CHUNK_GET, CHUNK_RENEW, CHUNK_STORE, ChunkRequest};
use super::fields::{Field, Fields, missing, wrong};
use super::forwarded::{AT_KEY, Forwarded};
use super::{
    Auth, CONCLAVE_DIRECTORY, CONCLAVE_WAIT, Conditions, Delete, DeleteAll, DeleteBefore, Expire, ExpireAll,
    ExpireMode, GetExpiries, IfElse, Lifetime, MAX_BATCH, MAX_POSITIONS, MAX_REVOKE, MAX_STORE_DATA,
    MAX_WAIT_MS, OXEND_ENDPOINTS, OxendRequest, Request, Retrieve, Revocation, RevokedSubaccounts, RpcError,
    Store, SubaccountAuth, SubaccountToken, TimedAuth, Wait, shown,
};
use crate::{MessageHash, Timestamp, bt};

/// The longest base64 text of [`MAX_STORE_DATA`] bytes.
const MAX_STORE_TEXT: usize = MAX_STORE_DATA.div_ceil(3) * 4;

pub(super) fn json_body(body: &[u8]) -> Result<Request, RpcError> {
    let value: serde_json::Value =
        serde_json::from_slice(body).map_err(|_| RpcError::bad_request("invalid json"))?;
    let method = value
        .get("method")
        .and_then(serde_json::Value::as_str)
        .ok_or_else(|| RpcError::bad_request("invalid json: no `method` field"))?;
    let params = value
        .get("params")
        .and_then(serde_json::Value::as_object)
        .ok_or_else(|| RpcError::bad_request("invalid json: no `params` field"))?;
    request(method, Fields::Json(params))
}

pub(super) fn json(method: &str, params: &serde_json::Value) -> Result<Request, RpcError> {
    let invalid = || RpcError::bad_request("invalid body: expected json or bt_dict");
    request(method, Fields::Json(params.as_object().ok_or_else(invalid)?))
}

pub(super) fn bt(method: &str, params: &[u8]) -> Result<Request, RpcError> {
    match bt::Value::decode_in_order(params) {
        Ok(bt::Value::Dict(entries)) => request(method, Fields::Bt(&entries)),
        _ => Err(RpcError::bad_request("invalid body: expected json or bt_dict")),
    }
}

/// What another node forwards, and the time it gives the write.
pub(super) fn forwarded(method: &str, params: &[u8]) -> Result<Forwarded, RpcError> {
    let Ok(bt::Value::Dict(entries)) = bt::Value::decode_in_order(params) else {
        return Err(RpcError::bad_request("invalid body: expected json or bt_dict"));
    };
    let request = request(method, Fields::Bt(&entries))?;
    if !request.is_recursive() {
        return Err(RpcError::invalid("received invalid forwarded non-forwardable request"));
    }
    let at = entries.get(AT_KEY.as_bytes()).and_then(bt::Value::as_u64).map(Timestamp);
    Ok(Forwarded { request, at })
}

pub(super) fn either(method: &str, params: &[u8]) -> Result<Request, RpcError> {
    match params {
        [b'd', ..] => bt(method, params),
        [] => request(method, Fields::Json(&serde_json::Map::new())),
        _ => json(method, &serde_json::from_slice(params).unwrap_or_default()),
    }
}

fn request(method: &str, fields: Fields<'_>) -> Result<Request, RpcError> {
    Ok(match method {
        "store" => Request::Store(store(fields)?),
        "retrieve" => Request::Retrieve(retrieve(fields)?),
        "delete" => Request::Delete(delete(fields)?),
        "delete_all" => {
            let account = fields.account(false)?;
            Request::DeleteAll(DeleteAll {
                account,
                scope: fields.scope()?,
                timestamp: fields.required_time("timestamp")?,
                auth: auth(fields, &account)?,
            })
        }
        "delete_before" => {
            let account = fields.account(false)?;
            Request::DeleteBefore(DeleteBefore {
                account,
                scope: fields.scope()?,
                before: fields.required_time("before")?,
                auth: auth(fields, &account)?,
            })
        }
        "expire" => Request::Expire(expire(fields)?),
        "expire_all" => {
            let account = fields.account(false)?;
            Request::ExpireAll(ExpireAll {
                account,
                scope: fields.scope()?,
                expiry: fields.required_time("expiry")?,
                auth: auth(fields, &account)?,
            })
        }
        "get_expiries" => {
            let account = fields.account(false)?;
            Request::GetExpiries(GetExpiries {
                account,
                messages: fields.messages()?,
                timestamp: fields.required_time("timestamp")?,
                auth: auth(fields, &account)?,
            })
        }
        "revoke_subaccount" => Request::RevokeSubaccount(revocation(fields, "revoke")?),
        "unrevoke_subaccount" => Request::UnrevokeSubaccount(revocation(fields, "unrevoke")?),
        "revoked_subaccounts" => {
            let account = fields.account(false)?;
            Request::RevokedSubaccounts(RevokedSubaccounts {
                account,
                timestamp: fields.required_time("timestamp")?,
                auth: account_auth(fields, &account)?,
            })
        }
        "get_swarm" | "get_snodes_for_pubkey" => Request::GetSwarm(fields.account(true)?),
        "info" => Request::Info,
        "oxend_request" => Request::OxendRequest(oxend_request(fields)?),
        "active_nodes_bin" => Request::ActiveNodesBin,
        CONCLAVE_DIRECTORY => Request::ConclaveDirectory,
        CONCLAVE_WAIT => Request::ConclaveWait(wait(fields)?),
        CHUNK_STORE | CHUNK_GET | CHUNK_RENEW | CHUNK_DELETE => {
            Request::ConclaveChunk(ChunkRequest::parse(method, fields)?)
        }
        "batch" => Request::Batch(batch(fields)?),
        "sequence" => Request::Sequence(batch(fields)?),
        "ifelse" => Request::IfElse(Box::new(if_else(fields)?)),
        unknown => return Err(RpcError::no_method(unknown)),
    })
}

fn store(fields: Fields<'_>) -> Result<Store, RpcError> {
    let account = fields.account(true)?;
    let timestamp = Timestamp(
        fields
            .number_or_text("timestamp", "integer timestamp (in milliseconds)")?
            .ok_or_else(|| missing("timestamp"))?,
    );
    fields.either("expiry", "ttl")?;
    let lifetime = match fields.number_or_text("ttl", "positive integer")? {
        Some(ttl) => Lifetime::Ttl(ttl),
        None => Lifetime::Until(fields.required_time("expiry")?),
    };
    let namespace = fields.namespace()?;
    let credentials = || Ok((some_auth(fields, &account)?, fields.time("sig_timestamp")?));
    let (auth, sig_timestamp) = if namespace.is_public_inbox() {
        credentials().unwrap_or_default() // whatever they are, they are ignored
    } else {
        credentials()?
    };
    Ok(Store { account, namespace, timestamp, lifetime, data: data(fields)?, auth, sig_timestamp })
}

fn data(fields: Fields<'_>) -> Result<Vec<u8>, RpcError> {
    let field = fields.field("data").ok_or_else(|| missing("data"))?;
    let length = match field {
        Field::Json(value) => value.as_str().map(str::len),
        Field::Bt(value) => value.as_bytes().map(<[u8]>::len),
    };
    let most = if fields.is_bt() { MAX_STORE_DATA } else { MAX_STORE_TEXT };
    let too_long = || {
        RpcError::invalid(format_args!(
            "Message body exceeds maximum allowed length of {MAX_STORE_DATA} bytes"
        ))
    };
    if length.ok_or_else(|| wrong("data", "string"))? > most {
        return Err(too_long());
    }
    let data = field.binary().ok_or_else(|| RpcError::invalid("Invalid 'data' value: not base64 encoded"))?;
    if data.len() > MAX_STORE_DATA { Err(too_long()) } else { Ok(data) }
}

fn retrieve(fields: Fields<'_>) -> Result<Retrieve, RpcError> {
    let account = fields.account(true)?;
    let namespace = fields.namespace()?;
    let named = fields.field("namespace").is_some();
    let signs = ["pubkey_ed25519", "signature", "timestamp"].iter().any(|name| fields.field(name).is_some())
        || (named && !namespace.is_unauthenticated_retrieve());
    let auth = if signs {
        let auth = auth(fields, &account)?;
        Some(TimedAuth { auth, timestamp: fields.required_time("timestamp")? })
    } else {
        None
    };
    Ok(Retrieve {
        account,
        namespace,
        last_hash: last_hash(fields)?,
        max_count: fields.unsigned("max_count")?,
        max_size: fields.signed("max_size")?,
        auth,
    })
}

fn wait(fields: Fields<'_>) -> Result<Wait, RpcError> {
    let account = fields.account(false)?;
    let positions =
        fields.field("namespaces").ok_or_else(|| missing("namespaces"))?.list().unwrap_or_default();
    if positions.is_empty() || positions.len() > MAX_POSITIONS {
        return Err(RpcError::invalid(format_args!("namespaces must have 1 to {MAX_POSITIONS} entries")));
    }
    let position = |position: Field<'_>| {
        let fields = position.fields().ok_or_else(|| wrong("namespaces", "list of objects"))?;
        Ok((fields.namespace()?, last_hash(fields)?))
    };
    let positions = positions.into_iter().map(position).collect::<Result<Vec<_>, RpcError>>()?;
    let mut seen: Vec<_> = positions.iter().map(|(namespace, _)| namespace.0).collect();
    seen.sort_unstable();
    seen.dedup();
    if seen.len() != positions.len() {
        return Err(RpcError::invalid("a namespace occurs twice"));
    }
    let max_ms = fields.unsigned("max_ms")?.ok_or_else(|| missing("max_ms"))?.min(MAX_WAIT_MS);
    let timestamp = fields.required_time("timestamp")?;
    Ok(Wait { account, positions, max_ms, auth: TimedAuth { auth: auth(fields, &account)?, timestamp } })
}

fn last_hash(fields: Fields<'_>) -> Result<Option<MessageHash>, RpcError> {
    let field = match (fields.field("lastHash"), fields.field("last_hash")) {
        (None, None) => return Ok(None),
        (Some(field), None) | (None, Some(field)) => field,
        (Some(_), Some(_)) => fields.either("lastHash", "last_hash")?,
    };
    match field.text().ok_or_else(|| wrong("last_hash", "string"))? {
        "" => Ok(None),
        text if text.len() != MessageHash::LENGTH => {
            Err(RpcError::invalid("Invalid last_hash: expected base64 (43 chars)"))
        }
        text => MessageHash::from_text(text)
            .map(Some)
            .map_err(|_| RpcError::invalid("Invalid last_hash: not base64")),
    }
}

fn delete(fields: Fields<'_>) -> Result<Delete, RpcError> {
    let account = fields.account(false)?;
    let messages = fields.messages()?;
    let required = fields.flag("required")?;
    Ok(Delete { account, messages, required, auth: auth(fields, &account)? })
}

fn expire(fields: Fields<'_>) -> Result<Expire, RpcError> {
    let account = fields.account(false)?;
    let messages = fields.messages()?;
    let expiry = fields.times("expiry")?;
    if expiry.len() != 1 && expiry.len() != messages.len() {
        return Err(RpcError::invalid("'expiry' must be a single expiry, or the same length as 'messages'"));
    }
    let mode = match (fields.flag("shorten")?, fields.flag("extend")?) {
        (false, false) => ExpireMode::Set,
        (false, true) => ExpireMode::Extend,
        (true, false) => ExpireMode::Shorten,
        (true, true) => return Err(RpcError::invalid("cannot specify both 'shorten' and 'extend'")),
    };
    Ok(Expire { account, messages, expiry, mode, auth: auth(fields, &account)? })
}

fn revocation(fields: Fields<'_>, name: &str) -> Result<Revocation, RpcError> {
    let account = fields.account(false)?;
    let field = fields.field(name).ok_or_else(|| missing(name))?;
    let items = field.list().unwrap_or_else(|| vec![field]);
    if items.len() > MAX_REVOKE {
        return Err(RpcError::invalid(format_args!(
            "invalid {name}: cannot {name} more than {MAX_REVOKE} subaccounts at once"
        )));
    }
    let expected = || RpcError::invalid(format_args!("invalid {name}: expected {}", token_form(fields)));
    let tokens = items
        .into_iter()
        .map(Field::token)
        .collect::<Option<Vec<SubaccountToken>>>()
        .filter(|tokens| !tokens.is_empty())
        .ok_or_else(expected)?;
    let timestamp = fields.required_time("timestamp")?;
    Ok(Revocation { account, tokens, timestamp, auth: account_auth(fields, &account)? })
}

fn oxend_request(fields: Fields<'_>) -> Result<OxendRequest, RpcError> {
    let endpoint = fields.field("endpoint").ok_or_else(|| missing("endpoint"))?;
    let endpoint = endpoint.text().ok_or_else(|| wrong("endpoint", "string"))?;
    if !OXEND_ENDPOINTS.contains(&endpoint) {
        return Err(RpcError::invalid(format_args!("Invalid oxend endpoint '{}'", shown(endpoint))));
    }
    let params = match fields.field("params") {
        None => None,
        Some(Field::Json(value)) => Some(value.clone()),
        Some(Field::Bt(value)) => value
            .as_text()
            .and_then(|text| serde_json::from_str(text).ok())
            .map(Some)
            .ok_or_else(|| wrong("params", "string"))?,
    };
    Ok(OxendRequest { endpoint: endpoint.to_owned(), params })
}

fn batch(fields: Fields<'_>) -> Result<Vec<Request>, RpcError> {
    let refuse = |what: &str| RpcError::invalid(format_args!("Invalid batch request: {what}"));
    let items = fields
        .field("requests")
        .and_then(Field::list)
        .filter(|items| !items.is_empty())
        .ok_or_else(|| refuse("no valid \"requests\" field"))?;
    if items.len() > MAX_BATCH {
        return Err(refuse("subrequest limit exceeded"));
    }
    let subrequest = |item: Field<'_>| {
        let fields = item.fields().ok_or_else(|| refuse("requests must be objects"))?;
        let keys =
            (fields.field("method").and_then(Field::text), fields.field("params").and_then(Field::fields));
        let (Some(method), Some(params)) = keys else {
            return Err(refuse("subrequests must have method/params keys"));
        };
        // One that waits would hold up the others, and answers of several with chunks would not fit. By name, before its parameters
        // are read, whatever they are: nesting is bounded by it.
        let chunks = matches!(method, CHUNK_STORE | CHUNK_GET | CHUNK_RENEW | CHUNK_DELETE);
        if chunks || matches!(method, "batch" | "sequence" | "ifelse" | CONCLAVE_WAIT) {
            return Err(refuse("subrequests may not contain meta-requests"));
        }
        request(method, params).map_err(|error| {
            if error != RpcError::no_method(method) {
                return error;
            }
            let name = shown(method);
            RpcError::invalid(format_args!("Invalid batch subrequest: invalid method \"{name}\""))
        })
    };
    items.into_iter().map(subrequest).collect()
}

fn if_else(fields: Fields<'_>) -> Result<IfElse, RpcError> {
    let given = fields.field("if").and_then(Field::fields).ok_or_else(|| missing("if"))?;
    let conditions = Conditions {
        hf_at_least: numbers(given, "hf_at_least")?,
        hf_before: numbers(given, "hf_before")?,
        v_at_least: numbers(given, "v_at_least")?,
        v_before: numbers(given, "v_before")?,
        height_at_least: given.unsigned("height_at_least")?,
        height_before: given.unsigned("height_before")?,
    };
    if conditions == Conditions::default() {
        return Err(RpcError::invalid("Invalid ifelse request: at least one condition is needed"));
    }
    let branch = |name: &str| {
        let Some(field) = fields.field(name) else { return Ok(None) };
        let inner = field.fields().ok_or_else(|| wrong(name, "object"))?;
        let keys =
            (inner.field("method").and_then(Field::text), inner.field("params").and_then(Field::fields));
        let (Some(method), Some(params)) = keys else {
            return Err(RpcError::invalid(format_args!(
                "Invalid ifelse request: '{name}' must have method/params keys"
            )));
        };
        if method == CONCLAVE_WAIT {
            return Err(RpcError::invalid(format_args!("Invalid ifelse request: '{name}' may not wait")));
        }
        request(method, params).map(Some)
    };
    Ok(IfElse { conditions, then: branch("then")?, otherwise: branch("else")? })
}

/// A version of `N` numbers; those left out are 0.
fn numbers<const N: usize>(fields: Fields<'_>, name: &str) -> Result<Option<[u64; N]>, RpcError> {
    let Some(field) = fields.field(name) else { return Ok(None) };
    let given = field
        .list()
        .unwrap_or_else(|| vec![field])
        .into_iter()
        .map(|item| item.int().and_then(bt::Int::as_u64))
        .collect::<Option<Vec<u64>>>()
        .filter(|given| given.len() <= N)
        .ok_or_else(|| wrong(name, "integer array"))?;
    let mut out = [0; N];
    out.iter_mut().zip(given).for_each(|(to, from)| *to = from);
    Ok(Some(out))
}

/// Credentials that must be there.
fn auth(fields: Fields<'_>, account: &AccountId) -> Result<Auth, RpcError> {
    some_auth(fields, account)?.ok_or_else(|| missing("signature"))
}

/// Credentials that must be the account's own: a subaccount is not even read.
fn account_auth(fields: Fields<'_>, account: &AccountId) -> Result<Auth, RpcError> {
    let signature = fields.signature("signature")?.ok_or_else(|| missing("signature"))?;
    Ok(Auth { pubkey_ed25519: fields.pubkey_ed25519(account)?, signature, subaccount: None })
}

fn some_auth(fields: Fields<'_>, account: &AccountId) -> Result<Option<Auth>, RpcError> {
    let pubkey_ed25519 = fields.pubkey_ed25519(account)?;
    let Some(signature) = fields.signature("signature")? else { return Ok(None) };
    let subaccount = match fields.field("subaccount") {
        None => None,
        Some(field) => {
            let expected =
                || RpcError::invalid(format_args!("invalid subaccount: expected {}", token_form(fields)));
            let token = field.token().ok_or_else(expected)?;
            let needed =
                || RpcError::invalid("invalid subaccount: subaccount_sig is required when using subaccount");
            Some(SubaccountAuth { token, signature: fields.signature("subaccount_sig")?.ok_or_else(needed)? })
        }
    };
    Ok(Some(Auth { pubkey_ed25519, signature, subaccount }))
}

const fn token_form(fields: Fields<'_>) -> &'static str {
    if fields.is_bt() { "36-byte subaccount token" } else { "base64 or hex-encoded subaccount token" }
}
