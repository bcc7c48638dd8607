//! `conclave_wait`: a request that is answered when there is something to read (docs/protocol/extensions).

use std::sync::Arc;
use std::time::Duration;

use conclave_proto::rpc::answers::RetrieveAnswer;
use conclave_proto::rpc::{Answer, Request, Wait, WaitAnswer};
use rand_core::{OsRng, RngCore as _};
use tokio::time::Instant;

use crate::node::Shared;
use crate::peer::BUSY;
use crate::rpc::{self, Via};
use crate::store::Query;
use crate::work::Work;

/// The most that one answer carries, in accounted bytes; what is more is read with `retrieve`.
const MAX_NEWS: u64 = 512 * 1024;

/// Answers a client's request, whatever way it came: at once, or when it has waited.
pub(crate) async fn answer(shared: &Arc<Shared>, request: Request, via: Via, work: &Work) -> Answer {
    match request {
        Request::ConclaveWait(wait) => match rpc::allow_wait(shared, &wait).await {
            Ok(()) => wait_for_news(shared, &wait, work).await,
            Err(refused) => refused,
        },
        request => rpc::answer(shared, request, via).await,
    }
}

async fn wait_for_news(shared: &Arc<Shared>, wait: &Wait, work: &Work) -> Answer {
    let until = Instant::now() + Duration::from_millis(wait.max_ms);
    let Some(_hold) = work.rest(&shared.held) else { return Answer::error(503, BUSY) };
    let waiting = shared.news.wait(wait.account);
    let mut has_waited = false;
    loop {
        // Registered before looking, so that nothing that comes in between is missed.
        let news = waiting.news();
        tokio::pin!(news);
        news.as_mut().enable();
        match look(shared, wait).await {
            Ok(found) if !found.news.is_empty() => {
                if has_waited {
                    // When exactly something came is not for those who only see that an answer goes out.
                    tokio::time::sleep(jitter(shared.wait_jitter)).await;
                }
                return found.to_answer(shared.stamp());
            }
            Ok(_) => {}
            Err(refused) => return refused,
        }
        has_waited = true;
        tokio::select! {
            () = &mut news => {}
            () = tokio::time::sleep_until(until) => return WaitAnswer::default().to_answer(shared.stamp()),
            // The client asks again at once, another member if it is wise.
            () = shared.stopping_begins() => return WaitAnswer::default().to_answer(shared.stamp()),
        }
    }
}

/// What lies behind the positions now.
async fn look(shared: &Arc<Shared>, wait: &Wait) -> Result<WaitAnswer, Answer> {
    let (account, positions) = (wait.account, wait.positions.clone());
    let share = MAX_NEWS / u64::try_from(positions.len()).unwrap_or(u64::MAX).max(1);
    let looking = shared.read(move |store| {
        let mut news = Vec::new();
        for (namespace, after) in positions {
            let query = Query { owner: &account, namespace, after, max_count: None, max_size: share };
            let page = store.retrieve(&query)?;
            if !page.messages.is_empty() {
                news.push((namespace, RetrieveAnswer { messages: page.messages, more: page.more }));
            }
        }
        Ok(WaitAnswer { news })
    });
    looking.await
}

/// Up to `most`, at random.
fn jitter(most: Duration) -> Duration {
    most.mul_f64(f64::from(OsRng.next_u32()) / f64::from(u32::MAX))
}
