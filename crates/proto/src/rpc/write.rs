//! From a [`Request`] to JSON or bt. Parameters at their default are left out, as clients do.

use conclave_crypto::AccountId;

use super::forwarded::AT_KEY;
use super::{Auth, Dict, ExpireMode, Lifetime, Request, Scope, Value};
use crate::{Namespace, Timestamp};

/// The two encodings differ in one thing that [`Value`] does not cover: keys are hex in JSON.
#[derive(Clone, Copy, PartialEq)]
enum Wire {
    Json,
    Bt,
}

pub(super) fn json(request: &Request) -> serde_json::Value {
    params(request, Wire::Json).to_json()
}

pub(super) fn bt(request: &Request) -> Vec<u8> {
    params(request, Wire::Bt).to_bt().encode()
}

pub(super) fn forwarded(request: &Request, at: Option<Timestamp>) -> Vec<u8> {
    let mut params = match request {
        Request::Store(store) => Params::of(&Request::Store(store.forwarded()), Wire::Bt),
        other => Params::of(other, Wire::Bt),
    };
    match request {
        Request::DeleteAll(r) => params.set("namespace", scope(r.scope)),
        Request::DeleteBefore(r) => params.set("namespace", scope(r.scope)),
        Request::ExpireAll(r) => params.set("namespace", scope(r.scope)),
        Request::Delete(_) => drop(params.entries.remove("required")),
        _ => {}
    }
    params.some(AT_KEY, at);
    Value::Dict(params.entries).to_bt().encode()
}

fn params(request: &Request, wire: Wire) -> Value {
    Value::Dict(Params::of(request, wire).entries)
}

struct Params {
    entries: Dict,
    wire: Wire,
}

impl Params {
    fn of(request: &Request, wire: Wire) -> Self {
        let mut params = Self { entries: Dict::new(), wire };
        params.fill(request);
        params
    }

    fn fill(&mut self, request: &Request) {
        match request {
            Request::Store(r) => {
                self.account(&r.account);
                self.namespace(r.namespace);
                self.set("timestamp", r.timestamp);
                match r.lifetime {
                    Lifetime::Ttl(ttl) => self.set("ttl", ttl),
                    Lifetime::Until(expiry) => self.set("expiry", expiry),
                }
                self.set("data", r.data.clone());
                self.some("sig_timestamp", r.sig_timestamp);
                if let Some(auth) = &r.auth {
                    self.auth(auth);
                }
            }
            Request::Retrieve(r) => {
                self.account(&r.account);
                self.namespace(r.namespace);
                self.some("last_hash", r.last_hash);
                self.some("max_count", r.max_count);
                self.some("max_size", r.max_size);
                if let Some(timed) = &r.auth {
                    self.auth(&timed.auth);
                    self.set("timestamp", timed.timestamp);
                }
            }
            Request::Delete(r) => {
                self.account(&r.account);
                self.set("messages", r.messages.as_slice());
                self.flag("required", r.required);
                self.auth(&r.auth);
            }
            Request::DeleteAll(r) => {
                self.account(&r.account);
                self.scope(r.scope);
                self.set("timestamp", r.timestamp);
                self.auth(&r.auth);
            }
            Request::DeleteBefore(r) => {
                self.account(&r.account);
                self.scope(r.scope);
                self.set("before", r.before);
                self.auth(&r.auth);
            }
            Request::Expire(r) => {
                self.account(&r.account);
                self.set("messages", r.messages.as_slice());
                match r.expiry.as_slice() {
                    [one] => self.set("expiry", *one),
                    several => self.set("expiry", several),
                }
                self.flag("extend", r.mode == ExpireMode::Extend);
                self.flag("shorten", r.mode == ExpireMode::Shorten);
                self.auth(&r.auth);
            }
            Request::ExpireAll(r) => {
                self.account(&r.account);
                self.scope(r.scope);
                self.set("expiry", r.expiry);
                self.auth(&r.auth);
            }
            Request::GetExpiries(r) => {
                self.account(&r.account);
                self.set("messages", r.messages.as_slice());
                self.set("timestamp", r.timestamp);
                self.auth(&r.auth);
            }
            Request::RevokeSubaccount(r) | Request::UnrevokeSubaccount(r) => {
                let revokes = matches!(request, Request::RevokeSubaccount(_));
                self.account(&r.account);
                let tokens = r.tokens.iter().map(|token| Value::Binary(token.0.to_vec())).collect::<Vec<_>>();
                self.set(if revokes { "revoke" } else { "unrevoke" }, tokens);
                self.set("timestamp", r.timestamp);
                self.auth(&r.auth);
            }
            Request::RevokedSubaccounts(r) => {
                self.account(&r.account);
                self.set("timestamp", r.timestamp);
                self.auth(&r.auth);
            }
            Request::GetSwarm(account) => self.account(account),
            Request::Info | Request::ActiveNodesBin | Request::ConclaveDirectory => {}
            Request::ConclaveWait(r) => {
                self.account(&r.account);
                let positions = r.positions.iter().map(|(namespace, last_hash)| {
                    let mut position = Self { entries: Dict::new(), wire: self.wire };
                    position.set("namespace", *namespace);
                    position.some("last_hash", *last_hash);
                    Value::Dict(position.entries)
                });
                let positions: Vec<Value> = positions.collect();
                self.set("namespaces", positions);
                self.set("max_ms", r.max_ms);
                self.set("timestamp", r.auth.timestamp);
                self.auth(&r.auth.auth);
            }
            Request::ConclaveChunk(r) => {
                let params = r.params(|bytes| self.key(bytes));
                self.entries.extend(params);
            }
            Request::OxendRequest(r) => {
                self.set("endpoint", r.endpoint.as_str());
                self.some("params", r.params.clone().map(Value::Json));
            }
            Request::Batch(requests) | Request::Sequence(requests) => {
                let requests = requests.iter().map(|request| self.inner(request)).collect::<Vec<_>>();
                self.set("requests", requests);
            }
            Request::IfElse(r) => {
                let mut given = Self { entries: Dict::new(), wire: self.wire };
                let c = &r.conditions;
                given.some("hf_at_least", c.hf_at_least.map(|v| Value::from(v.as_slice())));
                given.some("hf_before", c.hf_before.map(|v| Value::from(v.as_slice())));
                given.some("v_at_least", c.v_at_least.map(|v| Value::from(v.as_slice())));
                given.some("v_before", c.v_before.map(|v| Value::from(v.as_slice())));
                given.some("height_at_least", c.height_at_least);
                given.some("height_before", c.height_before);
                self.set("if", given.entries);
                let (then, otherwise) = (&r.then, &r.otherwise);
                self.some("then", then.as_ref().map(|request| self.inner(request)));
                self.some("else", otherwise.as_ref().map(|request| self.inner(request)));
            }
        }
    }

    fn inner(&self, request: &Request) -> Value {
        Value::Dict(Dict::from([
            ("method".to_owned(), request.method().into()),
            ("params".to_owned(), params(request, self.wire)),
        ]))
    }

    fn auth(&mut self, auth: &Auth) {
        self.some("pubkey_ed25519", auth.pubkey_ed25519.map(|key| self.key(&key)));
        self.set("signature", auth.signature);
        if let Some(subaccount) = &auth.subaccount {
            self.set("subaccount", subaccount.token.0.to_vec());
            self.set("subaccount_sig", subaccount.signature);
        }
    }

    fn account(&mut self, account: &AccountId) {
        let key = self.key(account.as_bytes());
        self.set("pubkey", key);
    }

    fn key(&self, bytes: &[u8]) -> Value {
        match self.wire {
            Wire::Json => hex::encode(bytes).into(),
            Wire::Bt => bytes.to_vec().into(),
        }
    }

    fn namespace(&mut self, namespace: Namespace) {
        if namespace != Namespace::DIRECT {
            self.set("namespace", namespace);
        }
    }

    fn scope(&mut self, which: Scope) {
        if which != Scope::One(Namespace::DIRECT) {
            self.set("namespace", scope(which));
        }
    }

    fn flag(&mut self, name: &str, flag: bool) {
        if flag {
            self.set(name, true);
        }
    }

    fn some(&mut self, name: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.set(name, value);
        }
    }

    fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.entries.insert(name.to_owned(), value.into());
    }
}

fn scope(scope: Scope) -> Value {
    match scope {
        Scope::One(namespace) => namespace.into(),
        Scope::All => "all".into(),
    }
}
