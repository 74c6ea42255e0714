use std::{
    fs,
    os::unix::{
        fs::{PermissionsExt, chown, symlink},
        net::UnixListener,
    },
    path::PathBuf,
    process::Command,
    sync::mpsc,
    thread,
    time::Duration,
};

use tempfile::TempDir;

use super::*;
use crate::admission::manifest::{FileWatermark, Watermark};

const MAX: usize = 1024;

struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        path
    }
}

/// What each of those who read answers, none of which may hang.
fn refusals(path: &Path) -> [String; 3] {
    let (sender, answers) = mpsc::channel();
    let path = path.to_owned();
    thread::spawn(move || {
        for error in [
            read(&path, MAX).unwrap_err(),
            read_secret(&path).unwrap_err(),
            FileWatermark::new(&path).load().unwrap_err(),
        ] {
            sender.send(error.to_string()).unwrap();
        }
    });
    std::array::from_fn(|_| answers.recv_timeout(Duration::from_secs(10)).unwrap())
}

#[test]
fn what_is_no_regular_file_is_refused_and_not_waited_for() {
    let place = Place::new();
    let pipe = place.path("pipe");
    let made = Command::new("mkfifo")
        .args(["-m", "600"])
        .arg(&pipe)
        .status();
    assert!(made.unwrap().success());
    let to_pipe = place.path("to-pipe");
    symlink(&pipe, &to_pipe).unwrap();
    let socket = place.path("socket");
    let _listener = UnixListener::bind(&socket).unwrap();
    let endless = PathBuf::from("/dev/zero");
    for path in [pipe, to_pipe, socket, endless, place.0.path().to_owned()] {
        for refusal in refusals(&path) {
            assert_eq!(refusal, "not a regular file", "{}", path.display());
        }
    }
}

/// As Kubernetes mounts a secret.
#[test]
fn a_link_is_followed_and_what_it_leads_to_is_looked_at() {
    let place = Place::new();
    let file = place.file("file", "hunter2\n");
    let link = place.path("link");
    symlink(&file, &link).unwrap();
    assert_eq!(&**read_secret(&link).unwrap(), "hunter2");
    assert_eq!(read(&link, MAX).unwrap(), b"hunter2\n");
    fs::set_permissions(&file, PermissionsExt::from_mode(0o640)).unwrap();
    read_secret(&link).unwrap_err();
    fs::remove_file(&file).unwrap();
    let dangling = read_secret(&link).unwrap_err();
    assert_eq!(dangling.kind(), io::ErrorKind::NotFound);
    let circle = place.path("circle");
    symlink(&circle, &circle).unwrap();
    read(&circle, MAX).unwrap_err();
}

#[test]
fn no_more_of_a_file_is_read_than_there_may_be_of_it() {
    let place = Place::new();
    let huge = place.file("huge", "");
    // Larger than the memory of any machine, and empty.
    File::options()
        .write(true)
        .open(&huge)
        .unwrap()
        .set_len(1 << 42)
        .unwrap();
    assert_eq!(read(&huge, MAX).unwrap().len(), MAX + 1);
    let refusal = read_secret(&huge).unwrap_err();
    assert_eq!(refusal.to_string(), "more than 4096 bytes");
    FileWatermark::new(&huge).load().unwrap_err();
    let just = place.file("just", &"x".repeat(4096));
    assert_eq!(read_secret(&just).unwrap().len(), 4096);
}

/// Needs to be root, as whoever is not cannot give a file away.
#[test]
fn a_secret_of_somebody_else_is_refused_and_a_manifest_is_read_whoever_owns_it() {
    let place = Place::new();
    let path = place.file("a", "hunter2");
    let user = geteuid().as_raw();
    if chown(&path, Some(user + 1), None).is_err() {
        return;
    }
    let refusal = read_secret(&path).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "not this user's, or others may read or write it"
    );
    assert_eq!(read(&path, MAX).unwrap(), b"hunter2");
}
