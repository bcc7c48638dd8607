//! Keys from passphrases people choose.
//!
//! Argon2id (RFC 9106): the only function here that is slow and large on purpose.

use zeroize::Zeroizing;

/// What one derivation costs, us and whoever guesses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Argon2Cost {
    /// Memory in KiB; at least 8 for each lane.
    pub memory_kib: u32,
    /// Passes over the memory; at least 1.
    pub passes: u32,
    /// Lanes; at least 1. More allow a guesser to go parallel as well.
    pub lanes: u32,
}

/// Cost or salt outside of what Argon2 defines (RFC 9106 section 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("cost or salt is outside of what Argon2id defines")]
pub struct InvalidArgon2Input;

/// Argon2id version 19 with a 32-byte result. The salt has at least 8 bytes; 16 random ones are usual.
/// Takes `cost.memory_kib` of memory: bound what others ask for before calling.
///
/// # Errors
/// [`InvalidArgon2Input`].
pub fn argon2id(
    passphrase: &[u8],
    salt: &[u8],
    cost: Argon2Cost,
) -> Result<Zeroizing<[u8; 32]>, InvalidArgon2Input> {
    let params = argon2::Params::new(cost.memory_kib, cost.passes, cost.lanes, Some(32))
        .map_err(|_| InvalidArgon2Input)?;
    let mut key = Zeroizing::new([0u8; 32]);
    argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params)
        .hash_password_into(passphrase, salt, key.as_mut())
        .map_err(|_| InvalidArgon2Input)?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Known answers of the reference implementation's test suite.
    #[test]
    fn argon2id_gives_the_known_answers() {
        let derive = |passphrase: &str, salt: &str, memory_kib, passes, lanes| {
            let cost = Argon2Cost { memory_kib, passes, lanes };
            hex::encode(*argon2id(passphrase.as_bytes(), salt.as_bytes(), cost).unwrap())
        };
        assert_eq!(
            derive("password", "somesalt", 65536, 2, 1),
            "09316115d5cf24ed5a15a31a3ba326e5cf32edc24702987c02b6566f61913cf7"
        );
        assert_eq!(
            derive("password", "somesalt", 256, 2, 2),
            "6d093c501fd5999645e0ea3bf620d7b8be7fd2db59c20d9fff9539da2bf57037"
        );
    }

    #[test]
    fn what_argon2_does_not_define_is_refused() {
        let usual = Argon2Cost { memory_kib: 64, passes: 1, lanes: 1 };
        assert!(argon2id(b"", &[0; 16], usual).is_ok());
        assert!(argon2id(b"", &[0; 7], usual).is_err());
        assert!(argon2id(b"", &[0; 16], Argon2Cost { memory_kib: 7, ..usual }).is_err());
        assert!(argon2id(b"", &[0; 16], Argon2Cost { passes: 0, ..usual }).is_err());
        assert!(argon2id(b"", &[0; 16], Argon2Cost { lanes: 0, ..usual }).is_err());
    }
}
