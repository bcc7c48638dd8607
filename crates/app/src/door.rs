//! Who gets in: single-use codes, which the browser is started with, and the secrets they are exchanged for.
//!
//! Neither is kept: only their hashes are, and those are compared in constant time. Time and randomness are arguments.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use conclave_crypto::CryptoRngCore;
use conclave_crypto::hash::{Blake2b, constant_time_eq};
use zeroize::Zeroizing;

/// How long a code can be exchanged. A browser that takes longer to start is rare; Enter in the terminal makes another.
pub const CODE_LIVES: Duration = Duration::from_secs(60);
/// Codes that can be exchanged at one time. More only wait if somebody asks for links and opens none.
const MAX_CODES: usize = 16;
/// Pages that are logged in. The one that came first is out when there are more.
const MAX_SECRETS: usize = 64;
/// Bytes of randomness in codes and secrets.
const LENGTH: usize = 32;

/// A code or a secret: 64 hex digits. Not printed, and wiped when it is of no use any more.
pub(crate) struct Token(Zeroizing<String>);

impl Token {
    pub(crate) fn generate(rng: &mut impl CryptoRngCore) -> Self {
        let mut bytes = Zeroizing::new([0; LENGTH]);
        rng.fill_bytes(&mut *bytes);
        Self(Zeroizing::new(hex::encode(*bytes)))
    }

    /// Its text. Where this goes, somebody gets in.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(hidden)")
    }
}

type Digest = [u8; 32];

fn digest(token: &str) -> Digest {
    Blake2b::new().hash(&[token.as_bytes()])
}

/// The codes that can be exchanged, and the secrets of those who are in.
#[derive(Default)]
pub(crate) struct Door {
    codes: VecDeque<(Digest, Instant)>,
    secrets: VecDeque<Digest>,
}

impl Door {
    /// A new code.
    pub(crate) fn issue(&mut self, rng: &mut impl CryptoRngCore, now: Instant) -> Token {
        self.forget_expired(now);
        if self.codes.len() >= MAX_CODES {
            self.codes.pop_front();
        }
        let code = Token::generate(rng);
        self.codes.push_back((digest(code.as_str()), now + CODE_LIVES));
        code
    }

    /// Exchanges a code for a secret, once, and within [`CODE_LIVES`].
    pub(crate) fn exchange(
        &mut self,
        code: &str,
        rng: &mut impl CryptoRngCore,
        now: Instant,
    ) -> Option<Token> {
        self.forget_expired(now);
        let offered = digest(code);
        let place = self.codes.iter().position(|(code, _)| constant_time_eq(code, &offered))?;
        self.codes.remove(place);
        if self.secrets.len() >= MAX_SECRETS {
            self.secrets.pop_front();
        }
        let secret = Token::generate(rng);
        self.secrets.push_back(digest(secret.as_str()));
        Some(secret)
    }

    /// Whether a code can still be exchanged.
    pub(crate) fn waits_for(&mut self, code: &Token, now: Instant) -> bool {
        self.forget_expired(now);
        let wanted = digest(code.as_str());
        self.codes.iter().any(|(code, _)| constant_time_eq(code, &wanted))
    }

    /// Whether whoever shows this secret is in.
    pub(crate) fn admits(&self, secret: &str) -> bool {
        let offered = digest(secret);
        // All of them are compared, so that the time does not tell which was close.
        self.secrets.iter().fold(false, |found, secret| found | constant_time_eq(secret, &offered))
    }

    fn forget_expired(&mut self, now: Instant) {
        self.codes.retain(|(_, until)| *until > now);
    }
}

#[cfg(test)]
mod tests {
    use rand_core::OsRng;

    use super::*;

    fn at(seconds: u64) -> Instant {
        static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
        *START.get_or_init(Instant::now) + Duration::from_secs(seconds)
    }

    #[test]
    fn a_code_lets_in_once() {
        let mut door = Door::default();
        let code = door.issue(&mut OsRng, at(0));
        assert!(!door.admits(code.as_str()), "a code is no secret");
        let secret = door.exchange(code.as_str(), &mut OsRng, at(59)).unwrap();
        assert!(door.admits(secret.as_str()));
        assert!(door.exchange(code.as_str(), &mut OsRng, at(59)).is_none(), "replayed");
        assert!(door.exchange(secret.as_str(), &mut OsRng, at(59)).is_none(), "a secret is no code");
    }

    #[test]
    fn a_code_expires_and_a_wrong_one_uses_none_up() {
        let mut door = Door::default();
        let code = door.issue(&mut OsRng, at(0));
        for wrong in ["", "0", &code.as_str()[1..], &format!("{} ", code.as_str()), &"0".repeat(64)] {
            assert!(door.exchange(wrong, &mut OsRng, at(1)).is_none() && !door.admits(wrong));
        }
        assert!(door.waits_for(&code, at(59)) && !door.waits_for(&code, at(60)));
        assert!(door.exchange(code.as_str(), &mut OsRng, at(60)).is_none());
    }

    #[test]
    fn codes_and_secrets_are_bounded_and_the_oldest_go_first() {
        let mut door = Door::default();
        let codes: Vec<Token> = (0..=MAX_CODES).map(|_| door.issue(&mut OsRng, at(0))).collect();
        assert!(door.exchange(codes[0].as_str(), &mut OsRng, at(0)).is_none());
        let first = door.exchange(codes[1].as_str(), &mut OsRng, at(0)).unwrap();
        for _ in 0..MAX_SECRETS {
            assert!(door.admits(first.as_str()));
            let code = door.issue(&mut OsRng, at(0));
            door.exchange(code.as_str(), &mut OsRng, at(0)).unwrap();
        }
        assert!(!door.admits(first.as_str()));
    }

    #[test]
    fn tokens_are_long_random_and_not_printed() {
        let (one, other) = (Token::generate(&mut OsRng), Token::generate(&mut OsRng));
        assert_eq!(one.as_str().len(), 64);
        assert_ne!(one.as_str(), other.as_str());
        assert!(!format!("{one:?}").contains(one.as_str()));
    }
}
