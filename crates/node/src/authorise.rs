//! Whether a request is allowed (storage-and-onion 2.3, 2.4, 2.7): form of times, then clock, then signature, then
//! revocations; each with its own status and words, which clients match. Swarms are somebody else's business.

use std::time::Duration;

use conclave_crypto::AccountId;
use conclave_proto::Timestamp;
use conclave_proto::rpc::{
    Answer, Authority, Expire, ExpireMode, Request, Rights, RpcError, Store, SubaccountToken,
};

/// How far a signature's time may be from this node's. (storage-and-onion 2.4)
const SIGNATURE_TOLERANCE: Duration = Duration::from_secs(60);
/// The same for some requests that another member has checked already, and that have been on the way since.
/// (storage-and-onion 2.4)
const FORWARDED_TOLERANCE: Duration = Duration::from_secs(70);
/// How far a message's times may be off when it is stored. (storage-and-onion 2.7)
const STORE_TOLERANCE: Duration = Duration::from_secs(10);
/// The shortest life of a message. (storage-and-onion 2.7)
const MIN_TTL: Duration = Duration::from_secs(10);
/// Messages that one request may name: as many as an account can have tombstones. The specification names no bound; clients
/// name some dozens.
const MAX_NAMED: usize = 10_000;

/// From whom a request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum From {
    /// From a client.
    Client,
    /// From another member of the swarm, for a client.
    Member,
}

/// Whether `request` is allowed at `now`. `revoked_since` is asked since when the account has revoked a subaccount.
pub(crate) async fn authorise<F>(
    request: &Request,
    now: Timestamp,
    from: From,
    revoked_since: impl FnOnce(AccountId, SubaccountToken) -> F,
) -> Result<(), Answer>
where
    F: Future<Output = Result<Option<Timestamp>, Answer>>,
{
    check_times(request, now, from)?;
    let authority = request.verify().map_err(|refused| {
        tracing::debug!(cause = %refused.cause, "a request was not authorised");
        Answer::from(refused.answer)
    })?;
    if let Authority::Subaccount(token) = authority {
        let may_read_revoked = matches!(request, Request::Retrieve(r) if r.namespace.is_unrevocable());
        if let Some(account) = request.account().copied().filter(|_| !may_read_revoked)
            && revoked_since(account, token).await?.is_some()
        {
            tracing::debug!("a revoked subaccount asked");
            return Err(request.bad_signature().into());
        }
        if let Request::Expire(Expire { mode: ExpireMode::Shorten, .. }) = request
            && !token.rights().contain(Rights::DELETE)
        {
            let text =
                "expire: shorten parameter cannot be used with this subaccount token (missing delete access)";
            return Err(Answer::error(400, text));
        }
    }
    Ok(())
}

/// The checks that come before the signature's.
pub(crate) fn check_times(request: &Request, now: Timestamp, from: From) -> Result<(), Answer> {
    let patience = match from {
        From::Client => SIGNATURE_TOLERANCE,
        From::Member => FORWARDED_TOLERANCE,
    };
    let near = |time: Timestamp, tolerance: Duration, what: &str| {
        if now.distance(time) > tolerance {
            return Err(Answer::error(406, format!("{what} timestamp too far from current time")));
        }
        Ok(())
    };
    let method = request.method();
    match request {
        Request::Store(store) => {
            check_store(store, now)?;
            // Public namespaces ignore signatures, whatever they say.
            if store.namespace.is_public_inbox() || store.auth.is_none() {
                return Ok(());
            }
            near(store.signed_at(), SIGNATURE_TOLERANCE, "store signature")
        }
        // Whoever signs is held to it, also where anyone may read.
        Request::Retrieve(r) => match &r.auth {
            Some(timed) => near(timed.timestamp, SIGNATURE_TOLERANCE, method),
            None => Ok(()),
        },
        Request::Delete(r) => check_count(r.messages.len()),
        Request::DeleteAll(r) => near(r.timestamp, patience, method),
        Request::DeleteBefore(r) if r.before > now.plus(SIGNATURE_TOLERANCE) => {
            Err(Answer::error(401, "delete_before timestamp too far in the future"))
        }
        Request::Expire(r) => {
            check_count(r.messages.len())?;
            if r.expiry.iter().any(|expiry| *expiry < now.minus(SIGNATURE_TOLERANCE)) {
                return Err(Answer::error(401, "expire: timestamp should be >= current time"));
            }
            Ok(())
        }
        Request::ExpireAll(r) if r.expiry < now.minus(patience) => {
            Err(Answer::error(406, "expire_all timestamp should be >= current time"))
        }
        Request::GetExpiries(r) => {
            check_count(r.messages.len())?;
            near(r.timestamp, SIGNATURE_TOLERANCE, method)
        }
        Request::RevokeSubaccount(r) | Request::UnrevokeSubaccount(r) => {
            near(r.timestamp, SIGNATURE_TOLERANCE, method)
        }
        Request::ConclaveWait(r) => near(r.auth.timestamp, SIGNATURE_TOLERANCE, method),
        Request::RevokedSubaccounts(r) => near(r.timestamp, SIGNATURE_TOLERANCE, method),
        _ => Ok(()),
    }
}

fn check_store(store: &Store, now: Timestamp) -> Result<(), Answer> {
    let life = store.expiry().since(store.timestamp);
    if life < MIN_TTL || life > store.namespace.max_ttl() {
        return Err(Answer::error(403, "Provided expiry/TTL is not valid."));
    }
    if store.timestamp > now.plus(STORE_TOLERANCE) || store.expiry() < now.minus(STORE_TOLERANCE) {
        return Err(Answer::error(406, "Timestamp error: check your clock"));
    }
    Ok(())
}

fn check_count(messages: usize) -> Result<(), Answer> {
    if messages > MAX_NAMED {
        return Err(RpcError::invalid(format_args!("more than {MAX_NAMED} message hashes at once")).into());
    }
    Ok(())
}
