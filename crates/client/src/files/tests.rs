//! A file that was prepared comes out again as it was, and damaged ones do not.

use conclave_crypto::{Account, RecoveryPhrase};
use conclave_proto::chunk::{CHUNK_SIZE, ChunkHash};
use rand_core::OsRng;

use super::*;

const LIMITS: Limits = Limits { max: 1 << 30, to_server: false };

fn account() -> Account {
    Account::from_phrase(&RecoveryPhrase::from_seed16(&[1; 16]))
}

fn content(size: usize) -> Vec<u8> {
    (0..size).map(|n| (n * 7 % 251) as u8).collect()
}

#[test]
fn a_file_of_any_size_comes_out_as_it_was_and_its_chunks_are_its_encrypted_bytes() {
    let place = tempfile::tempdir().unwrap();
    let folder = Folder::of(place.path());
    for (size, deterministic) in
        [(0, false), (1, false), (CHUNK_SIZE, false), (600_000, false), (10_000_001, true)]
    {
        let source = place.path().join(format!("{size}.txt"));
        std::fs::write(&source, content(size)).unwrap();
        let name = Folder::new_name();
        let description = Description { caption: Some("a caption".to_owned()), ..Description::default() };
        let prepared = prepare(
            Source::Plain(source.clone()),
            &name,
            &folder,
            description,
            LIMITS,
            &account(),
            &mut OsRng,
        )
        .unwrap();
        assert_eq!(prepared.deterministic, deterministic);
        let file = &prepared.new.file;
        assert_eq!((file.size, file.name.as_deref()), (size as u64, Some(format!("{size}.txt").as_str())));
        assert_eq!(file.content_type.as_deref(), Some("text/plain"));
        let blob = std::fs::read(folder.blob(&name)).unwrap();
        assert_eq!(blob.len() as u64, prepared.manifest.size());
        let hashes: Vec<_> = blob.chunks(CHUNK_SIZE).map(ChunkHash::of).collect();
        assert_eq!(prepared.manifest.chunks(), hashes);
        let piece = content(size);
        assert!(size < 64 || !blob.windows(64).any(|window| window == &piece[..64]), "it is encrypted");
        let to = place.path().join(format!("{size}.out"));
        export(&folder.blob(&name), &prepared.new.pointer, size as u64, None, &to).unwrap();
        assert_eq!(std::fs::read(to).unwrap(), content(size));
    }
}

#[test]
fn the_largest_file_that_a_network_can_allow_is_a_blob_that_a_list_of_chunks_can_name() {
    use conclave_crypto::attachment::stream::encrypted_length;
    use conclave_proto::chunk::{MAX_BLOB, MAX_FILE};
    assert!(encrypted_length(usize::try_from(MAX_FILE).unwrap()) as u64 <= MAX_BLOB);
}

#[test]
fn the_same_file_has_another_file_key_each_time_so_that_deleting_one_deletes_no_other() {
    let place = tempfile::tempdir().unwrap();
    let folder = Folder::of(place.path());
    let source = place.path().join("a");
    for (size, same) in [(4, false), (10_000_001, true)] {
        std::fs::write(&source, content(size)).unwrap();
        let prepared = || {
            let name = Folder::new_name();
            prepare(
                Source::Plain(source.clone()),
                &name,
                &folder,
                Description::default(),
                LIMITS,
                &account(),
                &mut OsRng,
            )
            .unwrap()
        };
        let (one, other) = (prepared(), prepared());
        assert_eq!(one.manifest == other.manifest, same, "the newer format encrypts alike");
        assert_ne!(one.new.file_key, other.new.file_key);
    }
}

#[test]
fn a_damaged_file_is_never_handed_out_not_even_in_part() {
    let place = tempfile::tempdir().unwrap();
    let folder = Folder::of(place.path());
    for size in [5_000, 10_000_001] {
        let source = place.path().join("whole");
        std::fs::write(&source, content(size)).unwrap();
        let name = Folder::new_name();
        let prepared = prepare(
            Source::Plain(source.clone()),
            &name,
            &folder,
            Description::default(),
            LIMITS,
            &account(),
            &mut OsRng,
        )
        .unwrap();
        let path = folder.blob(&name);
        let whole = std::fs::read(&path).unwrap();
        let export_to = |pointer: &crate::said::Pointer, announced: usize| {
            export(&path, pointer, announced as u64, Some("x"), place.path())
        };
        for at in [0, whole.len() / 2, whole.len() - 1] {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            std::fs::write(&path, damaged).unwrap();
            assert!(
                matches!(export_to(&prepared.new.pointer, size), Err(FileError::Damaged(_))),
                "{size} at {at}"
            );
        }
        std::fs::write(&path, &whole[..whole.len() - 1]).unwrap();
        assert!(export_to(&prepared.new.pointer, size).is_err());
        std::fs::write(&path, &whole).unwrap();
        assert!(export_to(&prepared.new.pointer, size + 100_000_000).is_err(), "longer than it is");
        let mut other = prepared.new.pointer.clone();
        // The part that proves the bytes: with another first part one in 256 files would end as if it were whole.
        *other.key.last_mut().unwrap() ^= 1;
        assert!(export_to(&other, size).is_err(), "another key");
        assert!(!place.path().join("x").exists(), "nothing is left behind");
        export_to(&prepared.new.pointer, size).unwrap();
        std::fs::remove_file(place.path().join("x")).unwrap();
    }
}

#[test]
fn what_cannot_be_sent_says_why_and_leaves_nothing() {
    let place = tempfile::tempdir().unwrap();
    let folder = Folder::of(place.path());
    let sends = |path: &std::path::Path| {
        prepare(
            Source::Plain(path.to_owned()),
            "name",
            &folder,
            Description::default(),
            LIMITS,
            &account(),
            &mut OsRng,
        )
        .map(drop)
    };
    assert!(matches!(sends(&place.path().join("absent")), Err(FileError::Io { .. })));
    assert!(matches!(sends(place.path()), Err(FileError::NotAFile(_))));
    assert!(matches!(sends(std::path::Path::new("/dev/zero")), Err(FileError::NotAFile(_))));
    let huge = place.path().join("huge");
    std::fs::File::create(&huge).unwrap().set_len(2 << 30).unwrap();
    assert!(matches!(sends(&huge), Err(FileError::TooLarge { .. })));
    assert!(!folder.blob("name").exists());
}

#[test]
fn only_what_belongs_to_no_message_is_cleared_away() {
    let place = tempfile::tempdir().unwrap();
    let folder = Folder::of(place.path());
    make_folder(folder.downloads()).unwrap();
    for name in ["used", "preparing", "rubbish"] {
        folder.create(name).unwrap();
    }
    let (written, left) = (folder.downloads().join("written"), folder.downloads().join("left"));
    for path in [&written, &left] {
        std::fs::write(path, b"content").unwrap();
    }
    let files = Arc::new(Files::default());
    let kept = files.keep("preparing");
    let clear = || {
        let paths = [written.to_string_lossy().into_owned()];
        folder.clear(&["used".to_owned()], &paths, |name| files.is_kept(name));
    };
    clear();
    let exists = |name: &str| folder.blob(name).exists();
    assert_eq!((exists("used"), exists("preparing"), exists("rubbish")), (true, true, false));
    assert_eq!((written.exists(), left.exists()), (true, false));
    drop(kept);
    clear();
    assert!(!exists("preparing"));
}
