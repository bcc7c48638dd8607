//! What a node asks of its network's operator: to be put on the list, or taken off it.
//!
//! The node signs with its own key, so that nobody else can list or delist it. Signed is the payload's text exactly as
//! it stands, behind a label of its own. A request is an order for a day: whoever applies it later, or after a newer
//! one of the same node, is told to ask for a fresh one.

use std::net::Ipv4Addr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use conclave_crypto::{Ed25519Public, Ed25519Secret, Signature};
use serde::{Deserialize, Serialize};

use super::file::is_network_id;
use crate::{Timestamp, Version};

/// Signed in front of the payload, so that the signature means nothing elsewhere.
const LABEL: &str = "conclave membership v1\n";

/// Bound on a request's text: some hundred bytes of fields, base64 and quoting.
pub const MAX_REQUEST_BYTES: usize = 4096;

/// How long a request can be applied: time enough to send a file to a person in another time zone.
pub const REQUEST_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// How far the clocks of a node and of its operator may be apart. More would let a node sign today what can be applied
/// in a week.
pub const MAX_REQUEST_AHEAD: Duration = Duration::from_secs(10 * 60);

/// Why a request is not followed. All but the times are mended only by another request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestRejected {
    /// Not the JSON of a request, or values that no request has.
    #[error("the request cannot be read: {0}")]
    Malformed(String),
    /// Not signed by the key it names.
    #[error("the request is not signed by the node it names")]
    BadSignature,
    /// For a different network.
    #[error("the request is for network {found:?}, not for {expected:?}")]
    OtherNetwork {
        /// The network it was to be applied to.
        expected: String,
        /// The network it names.
        found: String,
    },
    /// Older than [`REQUEST_LIFETIME`].
    #[error("the request was signed {hours} hours ago; requests are good for a day")]
    Stale {
        /// Its age, in whole hours.
        hours: u64,
    },
    /// From further in the future than [`MAX_REQUEST_AHEAD`]: one of the two clocks is wrong.
    #[error("the request was signed {minutes} minutes in the future; one of the two clocks is wrong")]
    Future {
        /// How far ahead it is, in whole minutes.
        minutes: u64,
    },
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Membership {
    /// To be listed at this address; for a node that is listed already, to be listed there instead.
    Join(JoinAddress),
    /// To be listed no longer.
    Leave,
}

/// Where a node can be reached and what it runs, as it says itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JoinAddress {
    /// Advertised IPv4 address: of one host, so neither unspecified nor broadcast nor multicast.
    pub ip: Ipv4Addr,
    /// TCP port of HTTPS, not 0.
    pub https_port: u16,
    /// UDP port of QUIC, not 0.
    pub quic_port: u16,
    /// The node's program version.
    pub version: Version,
}

/// A request to join or to leave, whose signature was made or verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MembershipRequest {
    /// The network it is for.
    pub network_id: String,
    /// The node that asks.
    pub node: Ed25519Public,
    /// What it asks for.
    pub wanted: Membership,
    /// When it was signed. Of two requests of one node the later counts.
    pub issued_at: Timestamp,
}

/// A request as it travels, in `join.json` and `leave.json`. Nobody has looked at the signature yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedMembershipRequest {
    payload: String,
    signature: String,
}

impl MembershipRequest {
    /// A request of the node that holds `secret`, signed.
    ///
    /// # Errors
    /// [`RequestRejected::Malformed`] if the network id or the address is one that no reader would take.
    pub fn sign(
        network_id: &str,
        wanted: Membership,
        issued_at: Timestamp,
        secret: &Ed25519Secret,
    ) -> Result<SignedMembershipRequest, RequestRejected> {
        let request = Self { network_id: network_id.to_owned(), node: secret.public(), wanted, issued_at };
        request.check()?;
        let payload = serde_json::to_string(&Payload::of(&request))
            .expect("the payload has string keys and plain values");
        let signature = STANDARD.encode(secret.sign(&signed_bytes(&payload)).as_bytes());
        Ok(SignedMembershipRequest { payload, signature })
    }

    /// Whether it may be applied to the network `network_id` at `now`.
    ///
    /// # Errors
    /// If it is of another network, too old, or from the future.
    pub fn is_for(&self, network_id: &str, now: Timestamp) -> Result<(), RequestRejected> {
        if self.network_id != network_id {
            return Err(RequestRejected::OtherNetwork {
                expected: network_id.to_owned(),
                found: self.network_id.clone(),
            });
        }
        let age = now.since(self.issued_at);
        if age > REQUEST_LIFETIME {
            return Err(RequestRejected::Stale { hours: age.as_secs() / 3600 });
        }
        let ahead = self.issued_at.since(now);
        if ahead > MAX_REQUEST_AHEAD {
            return Err(RequestRejected::Future { minutes: ahead.as_secs() / 60 });
        }
        Ok(())
    }

    fn check(&self) -> Result<(), RequestRejected> {
        let malformed = |what: &str| Err(RequestRejected::Malformed(what.to_owned()));
        if !is_network_id(&self.network_id) {
            return malformed("its network id is none");
        }
        if let Membership::Join(JoinAddress { ip, https_port, quic_port, .. }) = &self.wanted {
            if ip.is_unspecified() || ip.is_broadcast() || ip.is_multicast() {
                return malformed("its address is not that of one host");
            }
            if *https_port == 0 || *quic_port == 0 {
                return malformed("its ports must not be 0");
            }
        }
        Ok(())
    }
}

impl SignedMembershipRequest {
    /// Reads the JSON object.
    ///
    /// # Errors
    /// If it is none, has further fields, or is larger than a request can be.
    pub fn from_json(bytes: &[u8]) -> Result<Self, RequestRejected> {
        if bytes.len() > MAX_REQUEST_BYTES {
            return Err(RequestRejected::Malformed(format!("{} bytes are too many", bytes.len())));
        }
        serde_json::from_slice(bytes).map_err(|e| RequestRejected::Malformed(e.to_string()))
    }

    /// The JSON object, as a file.
    pub fn to_json(&self) -> String {
        let mut text =
            format!("{:#}", serde_json::json!({"payload": self.payload, "signature": self.signature}));
        text.push('\n');
        text
    }

    /// The request, if the node it names has signed it. For which network and when is the caller's next question
    /// ([`MembershipRequest::is_for`]).
    ///
    /// # Errors
    /// [`RequestRejected::Malformed`] or [`RequestRejected::BadSignature`].
    pub fn verify(&self) -> Result<MembershipRequest, RequestRejected> {
        // The key is inside, so the payload has to be parsed before anything is known of its signer.
        let payload: Payload =
            serde_json::from_str(&self.payload).map_err(|e| RequestRejected::Malformed(e.to_string()))?;
        let request = payload.into_request()?;
        let signature = STANDARD
            .decode(&self.signature)
            .ok()
            .and_then(|bytes| Signature::from_slice(&bytes))
            .ok_or(RequestRejected::BadSignature)?;
        request
            .node
            .verify(&signed_bytes(&self.payload), &signature)
            .map_err(|_| RequestRejected::BadSignature)?;
        Ok(request)
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Payload {
    network_id: String,
    kind: Kind,
    ed25519: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ip: Option<Ipv4Addr>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    https_port: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    quic_port: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<[u16; 3]>,
    issued_at: Timestamp,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Join,
    Leave,
}

impl Payload {
    fn of(request: &MembershipRequest) -> Self {
        let (kind, address) = match request.wanted {
            Membership::Join(address) => (Kind::Join, Some(address)),
            Membership::Leave => (Kind::Leave, None),
        };
        Self {
            network_id: request.network_id.clone(),
            kind,
            ed25519: request.node.to_hex(),
            ip: address.map(|address| address.ip),
            https_port: address.map(|address| address.https_port),
            quic_port: address.map(|address| address.quic_port),
            version: address.map(|address| address.version.0),
            issued_at: request.issued_at,
        }
    }

    fn into_request(self) -> Result<MembershipRequest, RequestRejected> {
        let malformed = |what: &str| RequestRejected::Malformed(what.to_owned());
        let node = Ed25519Public::from_hex(&self.ed25519).map_err(|_| malformed("its key is none"))?;
        let wanted = match (self.kind, self.ip, self.https_port, self.quic_port, self.version) {
            (Kind::Join, Some(ip), Some(https_port), Some(quic_port), Some(version)) => {
                Membership::Join(JoinAddress { ip, https_port, quic_port, version: Version(version) })
            }
            (Kind::Leave, None, None, None, None) => Membership::Leave,
            (Kind::Join, ..) => return Err(malformed("a join needs address, ports and version")),
            (Kind::Leave, ..) => return Err(malformed("a leave has neither address nor version")),
        };
        let request =
            MembershipRequest { network_id: self.network_id, node, wanted, issued_at: self.issued_at };
        request.check()?;
        Ok(request)
    }
}

fn signed_bytes(payload: &str) -> Vec<u8> {
    [LABEL.as_bytes(), payload.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_700_000_000_000);

    fn secret() -> Ed25519Secret {
        Ed25519Secret::from_seed(&[7; 32])
    }

    fn address() -> JoinAddress {
        JoinAddress {
            ip: Ipv4Addr::new(203, 0, 113, 7),
            https_port: 22021,
            quic_port: 22020,
            version: Version([2, 11, 0]),
        }
    }

    fn signed(wanted: Membership) -> SignedMembershipRequest {
        MembershipRequest::sign("net", wanted, NOW, &secret()).unwrap()
    }

    /// Signed like a request, whatever it says.
    fn signed_text(payload: &str) -> SignedMembershipRequest {
        let signature = STANDARD.encode(secret().sign(&signed_bytes(payload)).as_bytes());
        SignedMembershipRequest { payload: payload.to_owned(), signature }
    }

    #[test]
    fn a_request_comes_back_as_it_was() {
        for wanted in [Membership::Join(address()), Membership::Leave] {
            let signed = signed(wanted);
            let read = SignedMembershipRequest::from_json(signed.to_json().as_bytes()).unwrap();
            assert_eq!(read, signed);
            let request = read.verify().unwrap();
            assert_eq!(
                request,
                MembershipRequest {
                    network_id: "net".into(),
                    node: secret().public(),
                    wanted,
                    issued_at: NOW
                }
            );
            assert_eq!(request.is_for("net", NOW), Ok(()));
        }
    }

    #[test]
    fn any_changed_byte_is_noticed() {
        let signed = signed(Membership::Join(address()));
        for at in 0..signed.payload.len() {
            let mut bytes = signed.payload.clone().into_bytes();
            bytes[at] ^= 1;
            let Ok(payload) = String::from_utf8(bytes) else { continue };
            let changed = SignedMembershipRequest { payload, signature: signed.signature.clone() };
            assert!(changed.verify().is_err(), "{}", changed.payload);
        }
        let mut cut = signed.clone();
        cut.signature.truncate(8);
        assert_eq!(cut.verify(), Err(RequestRejected::BadSignature));
    }

    #[test]
    fn nobody_signs_for_another_node_nor_with_the_label_of_a_directory() {
        let text = signed(Membership::Leave).payload;
        let other = Ed25519Secret::from_seed(&[8; 32]);
        for signature in [
            other.sign(&signed_bytes(&text)),
            secret().sign(text.as_bytes()),
            secret().sign(format!("conclave directory v1\n{text}").as_bytes()),
        ] {
            let forged = SignedMembershipRequest {
                payload: text.clone(),
                signature: STANDARD.encode(signature.as_bytes()),
            };
            assert_eq!(forged.verify(), Err(RequestRejected::BadSignature));
        }
    }

    #[test]
    fn a_request_is_for_one_network_and_for_one_day() {
        let request = signed(Membership::Leave).verify().unwrap();
        assert!(matches!(request.is_for("other", NOW), Err(RequestRejected::OtherNetwork { .. })));
        let day = REQUEST_LIFETIME;
        assert_eq!(request.is_for("net", NOW.plus(day)), Ok(()));
        let late = NOW.plus(day + Duration::from_millis(1));
        assert_eq!(request.is_for("net", late), Err(RequestRejected::Stale { hours: 24 }));
        assert_eq!(request.is_for("net", NOW.minus(MAX_REQUEST_AHEAD)), Ok(()));
        let early = NOW.minus(MAX_REQUEST_AHEAD + Duration::from_millis(1));
        assert_eq!(request.is_for("net", early), Err(RequestRejected::Future { minutes: 10 }));
    }

    #[test]
    fn what_is_signed_but_makes_no_sense_is_refused() {
        let good = signed(Membership::Join(address())).payload;
        assert!(signed_text(&good).verify().is_ok());
        for (from, to) in [
            ("\"kind\":\"join\"", "\"kind\":\"leave\""),
            ("\"kind\":\"join\"", "\"kind\":\"rule\""),
            ("\"https_port\":22021,", ""),
            ("22021", "0"),
            ("22020", "65536"),
            ("203.0.113.7", "0.0.0.0"),
            ("203.0.113.7", "255.255.255.255"),
            ("203.0.113.7", "224.0.0.1"),
            ("203.0.113.7", "seed.example.org"),
            ("203.0.113.7", "2001:db8::1"),
            ("\"net\"", "\"../net\""),
            ("\"net\"", "\"\""),
            ("[2,11,0]", "[2,11]"),
            (&secret().public().to_hex(), &"ff".repeat(32)),
            ("\"kind\"", "\"colour\":1,\"kind\""),
            ("\"kind\":\"join\"", "\"kind\":\"join\",\"kind\":\"join\""),
        ] {
            let text = good.replace(from, to);
            assert_ne!(text, good, "{from} is there");
            assert!(matches!(signed_text(&text).verify(), Err(RequestRejected::Malformed(_))), "{text}");
        }
    }

    #[test]
    fn the_file_has_two_fields_and_an_end() {
        let good = signed(Membership::Leave).to_json();
        for text in [
            good.replacen('{', "{\"more\": 1,", 1),
            good.replace("\"signature\"", "\"sig\""),
            "[]".to_owned(),
            String::new(),
            format!("{good}{}", " ".repeat(MAX_REQUEST_BYTES)),
        ] {
            let read = SignedMembershipRequest::from_json(text.as_bytes());
            assert!(matches!(read, Err(RequestRejected::Malformed(_))), "{text}");
        }
    }

    #[test]
    fn a_node_does_not_sign_what_no_registry_takes() {
        let nowhere = JoinAddress { ip: Ipv4Addr::UNSPECIFIED, ..address() };
        assert!(MembershipRequest::sign("net", Membership::Join(nowhere), NOW, &secret()).is_err());
        assert!(MembershipRequest::sign("a/b", Membership::Leave, NOW, &secret()).is_err());
    }
}
