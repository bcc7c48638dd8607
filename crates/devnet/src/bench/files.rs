//! How fast a file goes from one person to another through the swarms, beside what the same file takes without them on the
//! same loopback: `scp`, where an SSH server is installed, and plain HTTPS from one node, chunk after chunk.
//!
//! Both people's programs run here. What they write is read back from caches of the operating system, as it would be after
//! any download, so the figures are about programs and loopback, not about a disk.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use conclave_client::profile::{DataDir, ProfileName, Protection};
use conclave_client::types::{
    AttachmentState, Event, Message, MessageId, MessageState, NewAttachment, NewMessage,
};
use conclave_client::{Account, ClientOptions, accounts};
use conclave_crypto::hash::Blake2b;
use serde_json::json;

use super::load::Connection;
use super::{BenchError, Figure, Settings, failed, io, network, requests, tls};
use crate::Devnet;

const NODES: usize = 10;
const MB: f64 = 1e6;
/// How long a gigabyte may take on a slow machine.
const PATIENCE: Duration = Duration::from_secs(3_600);
/// How often the start of the SSH server is looked for.
const TRIES: u32 = 100;

pub(super) async fn measure(
    settings: &Settings,
    tell: &mut (dyn FnMut(&Figure) + Send),
) -> Result<(), BenchError> {
    let folder = settings.data_dir.join("files-people");
    std::fs::create_dir_all(&folder).map_err(io("making a folder"))?;
    let source = folder.join("source");
    write(&source, settings.file_bytes).map_err(io("writing a file"))?;
    let net = network(settings, "files", NODES).await?;
    let outcome = through_swarms(settings, &net, &folder, &source, tell).await;
    let outcome = match outcome {
        Ok(()) => from_one_node(&net, tell).await,
        failed => failed,
    };
    net.stop().await;
    outcome?;
    with_scp(&folder, &source, settings.file_bytes, tell)
}

/// A file whose pieces all differ.
fn write(path: &Path, bytes: u64) -> std::io::Result<()> {
    let mut file = std::io::BufWriter::new(std::fs::File::create(path)?);
    for (number, rest) in (0..bytes).rev().step_by(64).map(|left| left.min(63) + 1).enumerate() {
        let piece: [u8; 64] = Blake2b::new().hash(&[&number.to_be_bytes()]);
        file.write_all(piece.get(..usize::try_from(rest).unwrap_or(64)).unwrap_or(&piece))?;
    }
    file.flush()
}

async fn person(net: &Devnet, folder: &Path, name: &str) -> Result<(Account, String), BenchError> {
    let profile = ProfileName::new(name).map_err(failed)?;
    let file = Some(net.network_file());
    let dir = DataDir::new(folder.join(name));
    let (owned, info) = accounts::create(&dir, &profile, name, &Protection::KeyFile, file).map_err(failed)?;
    Ok((Account::own(owned, ClientOptions::default()).await.map_err(failed)?, info.account_id))
}

async fn through_swarms(
    settings: &Settings,
    net: &Devnet,
    folder: &Path,
    source: &Path,
    tell: &mut (dyn FnMut(&Figure) + Send),
) -> Result<(), BenchError> {
    let ((alice, _), (bob, to)) = (person(net, folder, "alice").await?, person(net, folder, "bob").await?);
    let mut heard = bob.events().await.map_err(failed)?;
    // Paths and connections stand when it counts.
    alice.send_text(&to, "hello").await.map_err(failed)?;
    next(&mut heard, |message| (!message.outgoing).then_some(())).await?;

    let megabytes = settings.file_bytes as f64 / MB;
    let file = NewAttachment { path: source.display().to_string(), ..NewAttachment::default() };
    let began = Instant::now();
    let new = NewMessage { attachments: vec![file], ..NewMessage::text(to, "") };
    let sent = alice.send(new).await.map_err(failed)?;
    let prepared = began.elapsed();
    let state = alice.wait_for(&sent.id, MessageState::Stored, PATIENCE).await.map_err(failed)?;
    if state.state < MessageState::Stored {
        return Err(BenchError::Failed(format!("a file that was sent is {:?}", state.state)));
    }
    let took = began.elapsed();
    tell(&Figure::new("file, encrypting it into the profile", megabytes / prepared.as_secs_f64(), "MB/s"));
    tell(&Figure::new(
        "file, from the call until a majority of each swarm has it",
        megabytes / took.as_secs_f64(),
        "MB/s",
    ));

    let received: MessageId =
        next(&mut heard, |message| (!message.attachments.is_empty()).then(|| message.id.clone())).await?;
    let began = Instant::now();
    bob.fetch_file(&received, 0).await.map_err(failed)?;
    let is_here = |message: &Message| {
        let here = message.attachments.first().is_some_and(|file| file.state == AttachmentState::Here);
        (message.id == received && here).then_some(())
    };
    next(&mut heard, is_here).await?;
    let fetched = began.elapsed();
    let copy = folder.join("copy");
    bob.save_file(&received, 0, Some(&copy.display().to_string())).await.map_err(failed)?;
    let took = began.elapsed();
    tell(&Figure::new("file, fetching it", megabytes / fetched.as_secs_f64(), "MB/s"));
    tell(&Figure::new("file, fetching it and saving its content", megabytes / took.as_secs_f64(), "MB/s"));
    if !same(source, &copy).map_err(io("comparing files"))? {
        return Err(BenchError::Failed("a file arrived as another".into()));
    }
    alice.close().await;
    bob.close().await;
    Ok(())
}

/// The first message of which something is found, as events tell of them.
async fn next<T>(
    heard: &mut conclave_client::Events,
    found: impl Fn(&Message) -> Option<T>,
) -> Result<T, BenchError> {
    let waiting = async {
        loop {
            match heard.next().await {
                Some(Event::Message(message) | Event::Changed(message)) => {
                    if let Some(found) = found(&message) {
                        return Ok(found);
                    }
                }
                Some(Event::Missed) => return Err(BenchError::Failed("events were missed".into())),
                Some(_) => {}
                None => return Err(BenchError::Failed("a client has ended".into())),
            }
        }
    };
    let waited = tokio::time::timeout(PATIENCE, waiting).await;
    waited.unwrap_or_else(|_| Err(BenchError::Failed("a file did not arrive".into())))
}

fn same(one: &Path, other: &Path) -> std::io::Result<bool> {
    let digest = |path: &Path| -> std::io::Result<[u8; 32]> {
        let mut hash = Blake2b::new().start::<32>();
        let mut file = std::fs::File::open(path)?;
        let mut piece = vec![0; 1 << 20];
        loop {
            match std::io::Read::read(&mut file, &mut piece)? {
                0 => return Ok(hash.finish()),
                read => drop(hash.update(piece.get(..read).unwrap_or_default())),
            }
        }
    };
    Ok(digest(one)? == digest(other)?)
}

/// The chunks that the first node keeps, asked for one after the other over one connection, without onions.
async fn from_one_node(net: &Devnet, tell: &mut (dyn FnMut(&Figure) + Send)) -> Result<(), BenchError> {
    let Some(node) = net.plan().nodes().first() else { return Ok(()) };
    let chunks =
        chunks(&net.plan().layout().node_dir(node.index).join("chunks")).map_err(io("looking for chunks"))?;
    let bytes: u64 = chunks.iter().map(|(_, bytes)| bytes).sum();
    let target = SocketAddr::from((node.record.ip, node.record.https_port));
    let mut connection = Connection::open(&tls::client()?, target, 0).await.map_err(io("dialling a node"))?;
    let mut request = Vec::new();
    let began = Instant::now();
    let mut wrong = 0;
    for (hash, _) in &chunks {
        request.clear();
        let body = json!({"method": "conclave_chunk_get", "params": {"hash": hash}}).to_string();
        requests::http("/storage_rpc/v1", body.as_bytes(), &mut request);
        let status = connection.ask(&request).await.map_err(io("asking a node"))?;
        wrong += u64::from(status != 200);
    }
    if wrong > 0 {
        return Err(BenchError::Wrong {
            what: "chunks from one node".into(),
            wrong,
            of: chunks.len() as u64,
        });
    }
    let rate = bytes as f64 / MB / began.elapsed().as_secs_f64();
    tell(&Figure::new("beside: plain HTTPS from one node, chunk after chunk", rate, "MB/s"));
    Ok(())
}

/// Names and sizes of the chunks below a folder.
fn chunks(folder: &Path) -> std::io::Result<Vec<(String, u64)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.extend(chunks(&entry.path())?);
        } else if let Ok(name) = entry.file_name().into_string()
            && name.len() == 64
        {
            found.push((name, entry.metadata()?.len()));
        }
    }
    Ok(found)
}

/// An SSH server of our own, on loopback. Ends with this.
struct Sshd(Child);

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The same with `scp`. Without a word where no SSH server can be started: some want to be started by the system only.
fn with_scp(
    folder: &Path,
    source: &Path,
    bytes: u64,
    tell: &mut (dyn FnMut(&Figure) + Send),
) -> Result<(), BenchError> {
    let program =
        ["/usr/sbin/sshd", "/usr/local/sbin/sshd"].map(PathBuf::from).into_iter().find(|path| path.exists());
    let Some(program) = program else { return Ok(()) };
    let starting = io("starting an SSH server");
    let key = |name: &str| -> Result<PathBuf, BenchError> {
        let path = folder.join(name);
        let made = quiet(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&path));
        made.map_err(io("making an SSH key"))?
            .then_some(path)
            .ok_or_else(|| BenchError::Failed("ssh-keygen failed".into()))
    };
    let (host, user) = (key("host")?, key("user")?);
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|held| held.local_addr())
        .map_err(&starting)?
        .port();
    let config = folder.join("sshd_config");
    let lines = format!(
        "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\nStrictModes no\nUsePAM no\nPidFile none\nPasswordAuthentication no\nSubsystem sftp internal-sftp\n",
        host.display(),
        user.with_extension("pub").display(),
    );
    std::fs::write(&config, lines).map_err(&starting)?;
    let server = Command::new(program).args(["-D", "-e", "-f"]).arg(&config).stderr(Stdio::null()).spawn();
    let mut server = Sshd(server.map_err(&starting)?);
    let copy = |from: &Path| {
        let target = format!("127.0.0.1:{}", folder.join("by-scp").display());
        quiet(
            Command::new("scp")
                .args([
                    "-q",
                    "-P",
                    &port.to_string(),
                    "-o",
                    "StrictHostKeyChecking=no",
                    "-o",
                    "UserKnownHostsFile=/dev/null",
                ])
                .args(["-o", "BatchMode=yes", "-o", "LogLevel=ERROR", "-i"])
                .args([&user, from])
                .arg(target),
        )
    };
    // A small one first: until it arrives the server is not there yet.
    for _ in 0..TRIES {
        if copy(&config).map_err(io("starting scp"))? {
            let began = Instant::now();
            if copy(source).map_err(io("starting scp"))? {
                tell(&Figure::new("beside: scp", bytes as f64 / MB / began.elapsed().as_secs_f64(), "MB/s"));
            }
            return Ok(());
        }
        if server.0.try_wait().map_err(&starting)?.is_some() {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    // It may want to be started in another way here. Then there is nothing to compare with.
    Ok(())
}

fn quiet(command: &mut Command) -> std::io::Result<bool> {
    Ok(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status()?.success())
}
