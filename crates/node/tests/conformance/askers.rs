//! Accounts that write their requests by hand.

use conclave_crypto::{Account, AccountId, Ed25519Secret};
use conclave_proto::{MessageHash, Namespace};
use serde_json::{Value, json};

use crate::common::b64;

/// An account, and how it signs.
#[derive(Clone)]
pub struct Me {
    pub key: Ed25519Secret,
    pub id: AccountId,
    /// What tells nodes its Ed25519 key, where the id does not.
    shown: Option<String>,
    token: Option<Token>,
}

/// A subaccount's token: its 36 bytes and the account's signature over them.
#[derive(Clone)]
pub struct Token {
    pub bytes: [u8; 36],
    pub signature: String,
}

pub fn seed(number: u32, what: u8) -> Ed25519Secret {
    let mut seed = [what; 32];
    seed[..4].copy_from_slice(&number.to_le_bytes());
    Ed25519Secret::from_seed(&seed)
}

/// What is signed for a namespace.
pub fn ns(namespace: i16) -> String {
    if namespace == 0 { String::new() } else { namespace.to_string() }
}

impl Me {
    /// An account of type 05.
    pub fn user(number: u32) -> Self {
        let key = seed(number, 5);
        let id = *Account::from_secret(key.clone()).id();
        let shown = Some(key.public().to_hex());
        Self { key, id, shown, token: None }
    }

    /// An account of another type, whose key is its id.
    pub fn of_type(prefix: u8, number: u32) -> Self {
        let key = seed(number, 3);
        let bytes = [&[prefix][..], key.public().as_bytes()].concat();
        Self { key, id: AccountId::from_slice(&bytes).unwrap(), shown: None, token: None }
    }

    /// A member of this group whose token begins with these two bytes.
    pub fn member(&self, number: u32, prefix: u8, rights: u8) -> Self {
        let key = seed(number, 77);
        let mut bytes = [0; 36];
        bytes[..2].copy_from_slice(&[prefix, rights]);
        bytes[4..].copy_from_slice(key.public().as_bytes());
        let token = Token { bytes, signature: self.signature(bytes) };
        Self { key, id: self.id, shown: self.shown.clone(), token: Some(token) }
    }

    /// The account of another type with the same key.
    pub fn with_type(&self, prefix: u8) -> Self {
        let bytes = [&[prefix], &self.id.as_bytes()[1..]].concat();
        Self { id: AccountId::from_slice(&bytes).unwrap(), ..self.clone() }
    }

    pub fn token(&self) -> &Token {
        self.token.as_ref().unwrap()
    }

    pub fn hex(&self) -> String {
        self.id.to_hex()
    }

    pub fn signature(&self, text: impl AsRef<[u8]>) -> String {
        b64(self.key.sign(text.as_ref()).as_bytes())
    }

    /// `params` with the account and what proves that it says `text`.
    pub fn signed(&self, text: impl AsRef<[u8]>, params: Value) -> Value {
        let mut all = json!({"pubkey": self.hex(), "signature": self.signature(text)});
        if let Some(key) = &self.shown {
            all["pubkey_ed25519"] = key.as_str().into();
        }
        if let Some(token) = &self.token {
            all["subaccount"] = b64(&token.bytes).into();
            all["subaccount_sig"] = token.signature.clone().into();
        }
        with(all, params)
    }

    pub fn hash(&self, namespace: i16, data: &str) -> String {
        MessageHash::of(&self.id, Namespace(namespace), data.as_bytes()).to_string()
    }
}

/// `params` with some of them changed.
pub fn with(mut params: Value, changes: Value) -> Value {
    for (name, value) in changes.as_object().unwrap() {
        params[name] = value.clone();
    }
    params
}

/// `params` without one of them.
pub fn without(mut params: Value, name: &str) -> Value {
    params.as_object_mut().unwrap().remove(name).unwrap();
    params
}
