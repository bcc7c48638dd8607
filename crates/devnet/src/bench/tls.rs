//! TLS for the measuring side: as the program's own clients dial, and a server that does nothing but answer.

use std::net::SocketAddr;
use std::sync::Arc;

use conclave_transport::https::{Certificate, Trust};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::{BenchError, failed, io};

/// As long as an answer to `info`.
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 74\r\ndate: Thu, 01 Jan 1970 00:00:00 GMT\r\n\r\n{\"hf\":[22,0],\"t\":1700000000000,\"version\":[2,12,0],\"timestamp\":170000000000}";

/// Dials nodes. Every connection makes a whole handshake.
pub(super) fn client() -> Result<TlsConnector, BenchError> {
    let config = Trust::AnyCertificate.client_config().map_err(failed)?;
    Ok(TlsConnector::from(Arc::new(config)))
}

pub(super) fn name() -> ServerName<'static> {
    ServerName::try_from("localhost").expect("it is a name")
}

/// Answers whatever comes in one read, over TLS, without reading it. Ends with the runtime.
pub(super) async fn bare_server() -> Result<SocketAddr, BenchError> {
    let config = Certificate::generate()?.server_config()?;
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(io("listening"))?;
    let address = listener.local_addr().map_err(io("listening"))?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(acceptor.clone(), stream));
        }
    });
    Ok(address)
}

async fn answer(acceptor: TlsAcceptor, stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = acceptor.accept(stream).await?;
    let mut buffer = vec![0; 16 * 1024];
    while stream.read(&mut buffer).await? > 0 {
        stream.write_all(ANSWER).await?;
        stream.flush().await?;
    }
    Ok(())
}
