//! People for tests, the same in every run.
//!
//! Seeds are distinct bytes repeated, so keys, ids and swarms of two personas never coincide by
//! construction and are recognised at a glance in a failing test.

use conclave_crypto::{AccountId, Ed25519Secret, X25519Secret};

/// One person: a 16-byte account seed and the keys made of it (client-messages 1.1).
pub struct Persona {
    /// What tests call the person.
    pub name: &'static str,
    seed: [u8; 16],
}

/// Usually writes first.
pub fn alice() -> Persona {
    persona("alice", 0xa1)
}

/// Usually answers.
pub fn bob() -> Persona {
    persona("bob", 0xb2)
}

/// The third in a group.
pub fn carol() -> Persona {
    persona("carol", 0xc3)
}

/// The fourth.
pub fn dave() -> Persona {
    persona("dave", 0xd4)
}

/// Reads what is not hers, if she can.
pub fn eve() -> Persona {
    persona("eve", 0xe5)
}

const fn persona(name: &'static str, byte: u8) -> Persona {
    Persona { name, seed: [byte; 16] }
}

impl Persona {
    /// The 16 bytes that the recovery phrase spells.
    pub fn seed(&self) -> [u8; 16] {
        self.seed
    }

    /// The account's signing key: from the seed, followed by sixteen zero bytes.
    pub fn ed25519(&self) -> Ed25519Secret {
        let mut seed = [0; 32];
        for (to, from) in seed.iter_mut().zip(self.seed) {
            *to = from;
        }
        Ed25519Secret::from_seed(&seed)
    }

    /// The account's key for sealed messages.
    pub fn x25519(&self) -> X25519Secret {
        self.ed25519().to_x25519()
    }

    /// The id others write to.
    pub fn account_id(&self) -> AccountId {
        AccountId::of_account(&self.x25519().public())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_personas_are_mistaken_for_each_other() {
        let ids: std::collections::BTreeSet<String> = [alice(), bob(), carol(), dave(), eve()]
            .iter()
            .map(|p| p.account_id().to_hex()[..10].to_owned())
            .collect();
        assert_eq!(ids.len(), 5);
        assert_eq!(alice().account_id(), alice().account_id());
    }
}
