//! What the machine does without us: TLS and disk.

use std::io::{Seek as _, SeekFrom, Write as _};
use std::sync::Arc;
use std::time::Instant;

use super::load::Load;
use super::requests::{self, MESSAGE};
use super::{BenchError, Figure, Settings, io, tls};

/// Blocks that are written over and over.
const BLOCKS: u64 = 4_096;

pub(super) async fn measure(
    settings: &Settings,
    tell: &mut (dyn FnMut(&Figure) + Send),
) -> Result<(), BenchError> {
    let server = tls::bare_server().await?;
    let load = |what: &str, connections, is_fresh| Load {
        what: what.to_owned(),
        targets: vec![server],
        connections,
        is_fresh,
        duration: settings.duration,
        requests: Arc::new(|_, _, into| requests::http("/", b"{}", into)),
        wrong_words: None,
    };
    tell(&load("bare TLS, 16 connections", 16, false).run().await?);
    tell(&load("bare TLS, 64 connections", 64, false).run().await?);
    tell(&load("bare TLS, a new connection per request", 16, true).run().await?);
    tell(&syncs(settings)?);
    Ok(())
}

/// One after the other, in place: what a store's log does for every commit.
fn syncs(settings: &Settings) -> Result<Figure, BenchError> {
    std::fs::create_dir_all(&settings.data_dir).map_err(io("making the folder"))?;
    let mut file = std::fs::File::create(settings.data_dir.join("bare")).map_err(io("writing a file"))?;
    let block = [0x5a; MESSAGE];
    for _ in 0..BLOCKS {
        file.write_all(&block).map_err(io("writing a file"))?;
    }
    file.sync_all().map_err(io("writing a file"))?;
    let (began, mut count) = (Instant::now(), 0u64);
    while began.elapsed() < settings.duration {
        file.seek(SeekFrom::Start(count % BLOCKS * MESSAGE as u64)).map_err(io("writing a file"))?;
        file.write_all(&block).map_err(io("writing a file"))?;
        file.sync_data().map_err(io("syncing a file"))?;
        count += 1;
    }
    Ok(Figure::new("bare write and fdatasync", count as f64 / began.elapsed().as_secs_f64(), "/s"))
}
