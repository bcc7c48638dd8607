//! What can go wrong with a request, and whether asking again makes sense.

use std::io;

use super::trust::PinMissed;

/// Why a request got no response. Any response, whatever its status, is not an error here.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Nobody listens there.
    #[error("connection refused")]
    Refused,
    /// The address cannot be reached, or its name has no address.
    #[error("unreachable")]
    Unreachable(#[source] io::Error),
    /// The deadline passed. The server may have processed the request.
    #[error("no response before the deadline")]
    Timeout,
    /// The other side does not speak TLS as we do, or failed to prove its key.
    #[error("TLS handshake failed")]
    Tls(#[source] io::Error),
    /// The seed shows another certificate than the pinned one: someone is between, or the network
    /// file is out of date.
    #[error("the certificate is not the pinned one")]
    PinMismatch {
        /// The pinned SHA-256.
        expected: [u8; 32],
        /// The SHA-256 of the certificate shown.
        found: [u8; 32],
    },
    /// The response is longer than the client takes ([`MAX_RESPONSE_BODY`](super::MAX_RESPONSE_BODY) or less).
    #[error("the response is longer than {limit} bytes")]
    TooLarge {
        /// The bound, in bytes.
        limit: usize,
    },
    /// There is no memory for the response now: too many are being read.
    #[error("too many responses are being read")]
    NoRoom,
    /// The connection was lost after the request was sent: it may have been processed.
    #[error("the connection was lost before the response was complete")]
    Interrupted(#[source] hyper::Error),
    /// What came back is not HTTP.
    #[error("the response is not HTTP")]
    Protocol(#[source] hyper::Error),
    /// Our own request is not valid HTTP (its path, host or content type); nothing was sent.
    #[error("the request cannot be written as HTTP")]
    Request(#[source] hyper::http::Error),
}

impl Error {
    /// Whether the same request to the same place can succeed a little later. The other cases need
    /// another place, or a person.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Refused | Self::Unreachable(_) | Self::Timeout | Self::Interrupted(_) | Self::NoRoom => {
                true
            }
            Self::Tls(_)
            | Self::PinMismatch { .. }
            | Self::TooLarge { .. }
            | Self::Protocol(_)
            | Self::Request(_) => false,
        }
    }

    /// Whether the server may have acted on the request although there is no response.
    pub fn may_have_been_processed(&self) -> bool {
        matches!(
            self,
            Self::Timeout | Self::TooLarge { .. } | Self::Interrupted(_) | Self::Protocol(_) | Self::NoRoom
        )
    }

    pub(super) fn of_connect(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::Refused,
            io::ErrorKind::TimedOut => Self::Timeout,
            _ => Self::Unreachable(error),
        }
    }

    pub(super) fn of_handshake(error: io::Error) -> Self {
        let rejected = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        if let Some(rustls::Error::InvalidCertificate(rustls::CertificateError::Other(other))) = rejected
            && let Some(missed) = other.0.downcast_ref::<PinMissed>()
        {
            return Self::PinMismatch { expected: missed.expected, found: missed.found };
        }
        Self::Tls(error)
    }

    /// An error after the request was given to a connection.
    pub(super) fn of_exchange(error: hyper::Error) -> Self {
        if error.is_parse() { Self::Protocol(error) } else { Self::Interrupted(error) }
    }
}
