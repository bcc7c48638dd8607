//! Closing so that the last reply arrives.
//!
//! A TCP socket closed while unread bytes wait in it sends a reset, and a reset makes the other
//! side forget what it has received but not yet read. A client refused in the middle of its upload
//! (413) would then see a broken connection instead of the refusal.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// How long a client has for reading the reply and closing.
const LINGER_TIME: Duration = Duration::from_secs(2);
/// How much of a refused upload is read and thrown away.
const LINGER_BYTES: u64 = 16 * 1024 * 1024;

/// Says that nothing more comes, then discards what still arrives, within bounds.
pub(super) async fn linger<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) {
    let discard = async {
        stream.shutdown().await?;
        tokio::io::copy(&mut stream.take(LINGER_BYTES), &mut tokio::io::sink()).await
    };
    // However it ends, the connection is over.
    let _ = tokio::time::timeout(LINGER_TIME, discard).await;
}
