//! What a file of a message is shown as, and how far it has come.

use conclave_client::types::{Attachment, AttachmentState};
use schemars::JsonSchema;
use serde::Serialize;

/// Pictures and sounds up to this size are fetched when they come into view: as long as other programs' files can be.
const UNASKED_UP_TO: u64 = 10_000_000;

/// What a file is shown as, by what its sender says it is: whoever shows it looks for themself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FileKind {
    /// A picture made of points.
    Picture,
    /// A video.
    Video,
    /// A voice message.
    Voice,
    /// Any other sound.
    Audio,
    /// Anything else.
    File,
}

impl FileKind {
    /// Of what its sender says.
    pub fn of(content_type: Option<&str>, voice: bool) -> Self {
        let kind = content_type.unwrap_or_default().to_ascii_lowercase();
        match kind.split_once('/') {
            _ if voice => Self::Voice,
            // A drawing is a program that draws.
            Some(("image", kind)) if !kind.starts_with("svg") => Self::Picture,
            Some(("video", _)) => Self::Video,
            Some(("audio", _)) => Self::Audio,
            _ => Self::File,
        }
    }
}

/// A file of a message, beside what the message itself says of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct FileLine {
    /// What it is shown as.
    pub kind: FileKind,
    /// How far it has come, while it is moved.
    pub moved: Option<Moved>,
    /// It may be fetched as soon as somebody looks at it: a small picture or sound of a contact. Others are fetched when their
    /// reader wants them.
    pub unasked: bool,
    /// It is not on this machine, and older than nodes keep files.
    pub expired: bool,
}

/// Encrypted bytes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Moved {
    /// That have been moved.
    pub done: u64,
    /// In all.
    pub total: u64,
}

/// The line of a file. `trusted`: somebody its reader writes with sent it; `age`: milliseconds since it was sent.
pub(crate) fn line(file: &Attachment, trusted: bool, age: u64, moved: Option<Moved>) -> FileLine {
    let kind = FileKind::of(file.content_type.as_deref(), file.voice);
    let elsewhere = matches!(file.state, AttachmentState::Remote | AttachmentState::Failed);
    let life = u64::try_from(conclave_client::FILE_LIFE.as_millis()).unwrap_or(u64::MAX);
    let expired = elsewhere && age > life;
    let small =
        matches!(kind, FileKind::Picture | FileKind::Voice | FileKind::Audio) && file.size <= UNASKED_UP_TO;
    let unasked = trusted && small && !expired && file.state == AttachmentState::Remote;
    let moves = matches!(file.state, AttachmentState::Fetching | AttachmentState::Sending);
    FileLine { kind, moved: moved.filter(|_| moves), unasked, expired }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(content_type: &str, state: AttachmentState) -> Attachment {
        let file = serde_json::json!({"name": "x", "path": null, "size": 1_000, "content_type": content_type, "state": state});
        serde_json::from_value(file).unwrap()
    }

    #[test]
    fn a_file_is_shown_as_what_its_sender_says_and_a_drawing_is_no_picture() {
        for (content_type, kind) in [
            ("image/jpeg", FileKind::Picture),
            ("IMAGE/PNG", FileKind::Picture),
            ("image/svg+xml", FileKind::File),
            ("video/mp4", FileKind::Video),
            ("audio/ogg", FileKind::Audio),
            ("text/html", FileKind::File),
            ("image", FileKind::File),
            ("", FileKind::File),
        ] {
            assert_eq!(FileKind::of(Some(content_type), false), kind, "{content_type}");
            assert_eq!(FileKind::of(Some(content_type), true), FileKind::Voice);
        }
        assert_eq!(FileKind::of(None, false), FileKind::File);
    }

    #[test]
    fn only_small_pictures_and_sounds_of_contacts_are_fetched_unasked_and_only_once() {
        let unasked = |file: &Attachment, trusted, age| line(file, trusted, age, None).unasked;
        let picture = file("image/jpeg", AttachmentState::Remote);
        assert!(unasked(&picture, true, 0));
        assert!(!unasked(&picture, false, 0), "a stranger's");
        assert!(!unasked(&picture, true, u64::MAX), "it is not kept any more");
        assert!(!unasked(&Attachment { size: UNASKED_UP_TO + 1, ..picture }, true, 0));
        for state in [AttachmentState::Fetching, AttachmentState::Here, AttachmentState::Failed] {
            assert!(!unasked(&file("image/jpeg", state), true, 0), "{state:?}");
        }
        for kind in ["video/mp4", "application/pdf", "image/svg+xml"] {
            assert!(!unasked(&file(kind, AttachmentState::Remote), true, 0), "{kind}");
        }
    }

    #[test]
    fn what_is_here_does_not_expire_and_progress_ends_with_the_way() {
        let here = line(
            &file("image/jpeg", AttachmentState::Here),
            true,
            u64::MAX,
            Some(Moved { done: 1, total: 2 }),
        );
        assert_eq!((here.expired, here.moved), (false, None));
        let moved = Some(Moved { done: 1, total: 2 });
        assert_eq!(line(&file("image/jpeg", AttachmentState::Sending), false, 0, moved).moved, moved);
        assert!(line(&file("image/jpeg", AttachmentState::Failed), true, u64::MAX, None).expired);
    }
}
