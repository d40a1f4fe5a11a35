//! Bells: how a commit in one process ends the waiting in all of them within about a millisecond.
//!
//! Each process has a datagram socket in the backend's `bells` folder. Whoever commits something that others may wait for
//! sends one datagram to each. A bell is a hint only: those who wait look again after [`LONGEST_DEAFNESS`] anyway, so
//! that a lost datagram costs time and nothing else.

use std::{
    collections::BTreeSet,
    fs, io,
    os::unix::{fs::symlink, net::UnixDatagram},
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::Duration,
};

use quire_platform::QueueName;
use quire_tasks::TaskId;
use tempfile::TempDir;
use tokio::sync::broadcast;
use tracing::{debug, warn};
use uuid::Uuid;

/// How long a lost hint can delay anybody.
pub(crate) const LONGEST_DEAFNESS: Duration = Duration::from_millis(250);
/// The longest path a socket may have: 104 bytes on macOS, 108 on Linux, less the end mark and some room.
const LONGEST_SOCKET_PATH: usize = 100;
/// A longer hint says only that much has changed: macOS takes no datagram over 2048 bytes.
const LONGEST_HINT: usize = 1500;
/// Hints that a slow listener may lag behind before it looks for itself.
const HINTS_KEPT: usize = 256;

/// What somebody may wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Change {
    /// More than a hint can hold.
    Anything,
    /// Messages of this queue became visible, or will at another time than before.
    Queue(QueueName),
    /// This task has another version.
    Task(TaskId),
}

/// What one transaction changed.
pub(crate) type Changes = BTreeSet<Change>;

/// This process's bell, and the way to the others'.
#[derive(Debug)]
pub(crate) struct Bells {
    heard: broadcast::Sender<Arc<Changes>>,
    street: Option<Street>,
}

/// The folder with everybody's sockets.
#[derive(Debug)]
struct Street {
    folder: PathBuf,
    own: String,
    voice: UnixDatagram,
    // A shorter way to the folder, where its own path is too long for a socket's address.
    _alias: Option<TempDir>,
}

/// Hears every change from its making on.
#[derive(Debug)]
pub(crate) struct Listener(broadcast::Receiver<Arc<Changes>>);

impl Bells {
    /// Hangs up this process's bell. Where no socket can be made, it does without.
    pub(crate) fn hang(folder: &Path) -> Self {
        let (heard, _) = broadcast::channel(HINTS_KEPT);
        let street = match Street::enter(folder, heard.clone()) {
            Ok(street) => Some(street),
            Err(error) => {
                warn!(%error, folder = %folder.display(), "no bell: changes by other processes are noticed later");
                None
            }
        };
        Self { heard, street }
    }

    /// Starts to listen. Whoever waits for a change listens first and looks then, so that none falls in between.
    pub(crate) fn listen(&self) -> Listener {
        Listener(self.heard.subscribe())
    }

    /// Tells everybody, here and in the other processes.
    pub(crate) fn ring(&self, changes: Changes) {
        if changes.is_empty() {
            return;
        }
        let hint = encode(&changes);
        // Nobody listens: then nobody waits.
        let _ = self.heard.send(Arc::new(changes));
        if let Some(street) = &self.street {
            street.ring(hint.as_bytes());
        }
    }
}

impl Street {
    fn enter(folder: &Path, heard: broadcast::Sender<Arc<Changes>>) -> io::Result<Self> {
        let own = format!("{}.sock", Uuid::now_v7().simple());
        let too_long = folder.join(&own).as_os_str().len() > LONGEST_SOCKET_PATH;
        let (folder, alias) = if too_long { shorten(folder)? } else { (folder.to_owned(), None) };
        let voice = UnixDatagram::unbound()?;
        voice.set_nonblocking(true)?;
        let bell = UnixDatagram::bind(folder.join(&own))?;
        thread::Builder::new().name("quire-bell".to_owned()).spawn(move || hear(&bell, &heard))?;
        Ok(Self { folder, own, voice, _alias: alias })
    }

    fn ring(&self, hint: &[u8]) {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) => return debug!(%error, "the bells' folder cannot be read"),
        };
        for entry in entries.flatten().filter(|entry| entry.file_name() != *self.own) {
            let bell = self.folder.join(entry.file_name());
            // A full buffer is as good as a hint: its owner has some to wake up for.
            let sent = self.voice.send_to(hint, &bell);
            if sent.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused) {
                // Its process was killed. That it is removed by two at once is fine.
                let _ = fs::remove_file(&bell);
            }
        }
    }
}

impl Drop for Street {
    fn drop(&mut self) {
        let bell = self.folder.join(&self.own);
        // The empty datagram ends the thread that hears. Where it does not get through, the thread ends with the process.
        let _ = self.voice.send_to(&[], &bell);
        let _ = fs::remove_file(&bell);
    }
}

impl Listener {
    /// Waits for a change of `what`, at most `within`.
    pub(crate) async fn heard(&mut self, what: Change, within: Duration) {
        let concerned = async {
            loop {
                match self.0.recv().await {
                    Ok(changes) if changes.contains(&what) || changes.contains(&Change::Anything) => return,
                    Ok(_) => {}
                    Err(broadcast::error::RecvError::Lagged(_)) => return,
                    Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
                }
            }
        };
        // Waiting in vain is one of the two ways in which this ends.
        let _ = tokio::time::timeout(within, concerned).await;
    }
}

/// A short path to a folder: a link to it from the folder for temporary files.
fn shorten(folder: &Path) -> io::Result<(PathBuf, Option<TempDir>)> {
    let alias = tempfile::Builder::new().prefix("quire-").tempdir()?;
    let link = alias.path().join("b");
    symlink(folder, &link)?;
    Ok((link, Some(alias)))
}

/// Passes on what other processes ring, until the bell is taken down.
fn hear(bell: &UnixDatagram, heard: &broadcast::Sender<Arc<Changes>>) {
    let mut hint = [0; LONGEST_HINT];
    loop {
        match bell.recv(&mut hint) {
            Ok(0) => return,
            Ok(length) => {
                let _ = heard.send(Arc::new(decode(&hint[..length])));
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return warn!(%error, "the bell broke: changes by other processes are noticed later"),
        }
    }
}

/// A line for each change.
fn encode(changes: &Changes) -> String {
    let lines = changes.iter().map(|change| match change {
        Change::Anything => "*\n".to_owned(),
        Change::Queue(name) => format!("{}\n", name.as_str()),
        Change::Task(id) => format!("{id}\n"),
    });
    let hint: String = lines.collect();
    if hint.len() > LONGEST_HINT { "*\n".to_owned() } else { hint }
}

/// The opposite of [`encode`]. What cannot be understood may mean anything.
fn decode(hint: &[u8]) -> Changes {
    let change = |line: &str| {
        let queue = QueueName::ALL.into_iter().find(|name| name.as_str() == line).map(Change::Queue);
        queue.or_else(|| line.parse().ok().map(Change::Task)).unwrap_or(Change::Anything)
    };
    String::from_utf8_lossy(hint).lines().map(change).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(n: u128) -> Change {
        Change::Task(TaskId::new(Uuid::from_u128(n)))
    }

    #[test]
    fn a_hint_reads_back_and_a_long_one_means_anything() {
        let few = Changes::from([Change::Queue(QueueName::DeadPages), task(1), task(2)]);
        assert_eq!(decode(encode(&few).as_bytes()), few);
        let many: Changes = (0..100).map(task).collect();
        assert_eq!(decode(encode(&many).as_bytes()), Changes::from([Change::Anything]));
        assert_eq!(decode(b"what a later version may say"), Changes::from([Change::Anything]));
    }

    async fn rings_through(folder: &Path) {
        let (here, there) = (Bells::hang(folder), Bells::hang(folder));
        assert!(here.street.is_some() && there.street.is_some(), "both have sockets");
        let mut listener = there.listen();
        here.ring(Changes::from([task(7)]));
        let started = std::time::Instant::now();
        listener.heard(task(7), Duration::from_secs(10)).await;
        assert!(started.elapsed() < Duration::from_secs(5), "the bell was heard");
    }

    #[tokio::test]
    async fn a_bell_is_heard_in_another_place() {
        let dir = tempfile::tempdir().expect("a folder");
        rings_through(dir.path()).await;
        let left = fs::read_dir(dir.path()).expect("the folder").count();
        assert_eq!(left, 0, "bells are taken down");
    }

    #[tokio::test]
    async fn a_folder_with_a_long_name_has_bells_too() {
        let dir = tempfile::tempdir().expect("a folder");
        let long = dir.path().join("n".repeat(120));
        fs::create_dir(&long).expect("a long folder");
        rings_through(&long).await;
    }

    #[tokio::test]
    async fn the_bell_of_a_dead_process_is_removed() {
        let dir = tempfile::tempdir().expect("a folder");
        let dead = dir.path().join("dead.sock");
        drop(UnixDatagram::bind(&dead).expect("a socket"));
        assert!(dead.exists());
        Bells::hang(dir.path()).ring(Changes::from([Change::Anything]));
        assert!(!dead.exists());
    }
}
