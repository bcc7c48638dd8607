//! `conclave doctor`: looks at everything a message depends on, one thing after the other, and says the next step.

use std::time::Duration;

use conclave_client::types::Status;
use conclave_client::{Account, Error};
use serde::Serialize;

use super::Context;
use crate::failure::{Exit, Failure};
use crate::network;
use crate::output::tame;

/// A clock that is off by more makes nodes refuse what is signed with it (storage-and-onion: signatures live a minute).
/// The program corrects for it; other programs on this machine cannot.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(60);
/// How long sending what waits is given.
const QUEUE_PATIENCE: Duration = Duration::from_secs(10);

/// How one thing is: `{"event":"check",…}`.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename = "check")]
struct Check {
    /// What was looked at.
    check: &'static str,
    /// `ok`, `warning` or `failed`.
    result: Outcome,
    /// What was found.
    detail: String,
    /// The next step, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Ok,
    Warning,
    Failed,
}

/// Tells each check as it is made, and remembers the worst.
struct Report<'a> {
    context: &'a Context,
    failed: Option<Exit>,
}

impl Report<'_> {
    fn tell(&self, check: &'static str, result: Outcome, detail: String, hint: Option<String>) {
        let check = Check { check, result, detail, hint };
        self.context.output.progress_done();
        self.context.output.line(&check, || {
            // The word, not a colour, says how it is.
            let word = match check.result {
                Outcome::Ok => "ok",
                Outcome::Warning => "warning",
                Outcome::Failed => "FAILED",
            };
            let next = check.hint.as_ref().map(|hint| format!("\n          next: {}", tame(hint)));
            format!("{word:<8}  {:<9} {}{}", check.check, tame(&check.detail), next.unwrap_or_default())
        });
    }

    fn ok(&self, check: &'static str, detail: impl Into<String>) {
        self.tell(check, Outcome::Ok, detail.into(), None);
    }

    fn warn(&self, check: &'static str, detail: impl Into<String>, hint: impl Into<String>) {
        self.tell(check, Outcome::Warning, detail.into(), Some(hint.into()));
    }

    fn fail(&mut self, check: &'static str, failure: Failure) {
        self.failed.get_or_insert(failure.exit);
        self.tell(check, Outcome::Failed, failure.message, Some(failure.hint));
    }

    fn working(&self, on: &str) {
        self.context.output.progress(on);
    }
}

pub(super) async fn run(context: &Context) -> Result<(), Failure> {
    let mut report = Report { context, failed: None };
    report.ok("program", format!("conclave {}, {}", env!("CARGO_PKG_VERSION"), std::env::consts::OS));
    look(context, &mut report).await;
    match report.failed {
        None => Ok(()),
        Some(exit) => Err(Failure {
            kind: "unwell".to_owned(),
            message: "not everything is as it should be".to_owned(),
            hint: "the checks above say what to do".to_owned(),
            exit,
        }),
    }
}

async fn look(context: &Context, report: &mut Report<'_>) {
    let place = context.data_dir.path().display();
    match context.data_dir.profiles() {
        Ok(profiles) if profiles.is_empty() => {
            report.warn(
                "data",
                format!("no profiles in {place}"),
                "`conclave account create --name NAME` makes one",
            );
        }
        Ok(profiles) => report.ok("data", format!("{} in {place}", count(profiles.len(), "profile"))),
        Err(error) => report.fail("data", error.into()),
    }
    if let Err(failure) = network::of_data_dir(&context.data_dir) {
        report.fail("network", failure);
    }
    // Before it is opened, which takes others' rights to the key away.
    rights(context, report);
    let session = match context.open(true).await {
        Ok(session) => session,
        Err(failure) => return report.fail("profile", failure),
    };
    report
        .ok("profile", if session.is_owner() { "opened" } else { "opened through the process that owns it" });
    with_profile(report, &session).await;
    session.close().await;
}

/// Whether other users of this machine can get at the profile.
fn rights(context: &Context, report: &mut Report<'_>) {
    // What is wrong with its name, or that there is none, is said when it is opened.
    let Ok(name) = context.profile() else { return };
    let profile = context.data_dir.profile(&name);
    if !profile.exists() {
        return;
    }
    match profile.open_to_others() {
        Ok(open) if open.is_empty() => report.ok("rights", "only you can read the profile's files"),
        Ok(open) => {
            let names: Vec<_> = open.iter().map(|path| path.display().to_string()).collect();
            report.warn(
                "rights",
                format!("others on this machine can get at {}", names.join(", ")),
                chmod(&open),
            );
        }
        Err(error) => report.fail("rights", Error::from(error).into()),
    }
}

/// What to type so that paths are their owner's alone.
fn chmod(paths: &[std::path::PathBuf]) -> String {
    let quoted = |path: &std::path::Path| format!("'{}'", path.display().to_string().replace('\'', r"'\''"));
    let commands: Vec<_> = paths
        .iter()
        .map(|path| format!("chmod {} {}", if path.is_dir() { "700" } else { "600" }, quoted(path)))
        .collect();
    commands.join(" && ")
}

async fn with_profile(report: &mut Report<'_>, session: &Account) {
    match session.status().await {
        Ok(Status { locked: true, .. }) => {
            return report.warn("profile", "it is locked", "`conclave unlock` asks for its passphrase");
        }
        Ok(_) => {}
        Err(error) => return report.fail("profile", error.into()),
    }
    report.working("reading the database …");
    match session.check_database().await {
        Ok(()) => report.ok("database", "every page is sound"),
        Err(error) => report.fail("database", error.into()),
    }
    report.working("asking the network …");
    let fetched = session.fetch().await;
    let status = match session.status().await {
        Ok(status) => status,
        Err(error) => return report.fail("network", error.into()),
    };
    network_of(report, &status, fetched.as_ref().err());
    if let Ok(fetched) = &fetched {
        let detail =
            format!("{} of {} members of this account's swarm answered", fetched.answered, fetched.members);
        if fetched.answered * 2 > fetched.members {
            report.ok("swarm", detail);
        } else {
            report.warn(
                "swarm",
                detail,
                "messages may come late; the network is in trouble, or filtered on the way",
            );
        }
        clock(report, &status);
    }
    queue(report, session, &status).await;
}

fn network_of(report: &mut Report<'_>, status: &Status, unreachable: Option<&Error>) {
    let name = status.network_id.as_deref().unwrap_or("none");
    if let Some(error) = unreachable {
        let record = error.record();
        let known = format!("{name}, {} known: {}", count(status.nodes as usize, "node"), record.message);
        return report.fail("network", Failure::unreachable(&record.kind, known, record.hint));
    }
    report.ok("network", format!("{name}, {}", count(status.nodes as usize, "node")));
    match &status.guard {
        Some(guard) => {
            let short = guard.get(..8).unwrap_or(guard);
            report.ok("guard", format!("{short} answers; {} in use", count(status.paths.len(), "path")));
        }
        None => report.warn("guard", "none is chosen yet", "one is with the first request; try again"),
    }
}

fn clock(report: &Report<'_>, status: &Status) {
    let offset = Duration::from_millis(status.clock_offset_ms.unsigned_abs());
    let detail = format!("{} ms from the network's", status.clock_offset_ms);
    if offset <= CLOCK_TOLERANCE {
        report.ok("clock", detail);
    } else {
        report.warn("clock", detail, "this program corrects for it; set the machine's clock for all others");
    }
}

async fn queue(report: &mut Report<'_>, session: &Account, status: &Status) {
    if status.queued == 0 {
        return report.ok("queue", "nothing waits to be sent");
    }
    report.working("sending what waits …");
    match session.wait_until_sent(QUEUE_PATIENCE).await {
        Ok(0) => report.ok("queue", format!("{} waited, and went out just now", count(status.queued as usize, "message"))),
        // What other devices are to know waits too, and is no message: the same number as `status` has.
        Ok(left) => report.warn(
            "queue",
            match session.status().await.map_or(left, |status| status.queued) {
                0 => "the messages went out; what your other devices are to know still waits".to_owned(),
                queued => format!("{} still to be sent", count(queued as usize, "message")),
            },
            "they are tried again as long as a conclave process owns the profile, `conclave listen` for instance",
        ),
        Err(error) => report.fail("queue", error.into()),
    }
}

fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chmod_to_type_can_be_typed_whatever_the_path() {
        let dir = tempfile::tempdir().unwrap();
        let odd = dir.path().join("it's mine");
        std::fs::create_dir(&odd).unwrap();
        let key = odd.join("key.json");
        std::fs::write(&key, "").unwrap();
        let command = chmod(&[odd.clone(), key.clone()]);
        let status = std::process::Command::new("sh").arg("-c").arg(&command).status().unwrap();
        assert!(status.success(), "{command}");
        use std::os::unix::fs::PermissionsExt as _;
        let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&odd), mode(&key)), (0o700, 0o600), "{command}");
    }
}
