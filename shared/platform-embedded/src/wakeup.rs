//! Cross-process wake-up: a commit in one process notifies the waiting ones within about a millisecond.
//!
//! Each process has a Unix datagram socket in the backend's `bells` folder. A process that commits a change sends
//! one datagram to every socket. A notification is only a hint: waiting code polls every [`POLL_INTERVAL`], so
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

/// The poll interval: how long a lost notification can delay a waiting process.
pub(crate) const POLL_INTERVAL: Duration = Duration::from_millis(250);
/// The longest path of a socket: `sun_path` has 104 bytes on macOS and 108 on Linux, including the terminating zero.
const MAX_SOCKET_PATH: usize = 100;
/// A longer notification is sent as [`CommittedChange::Anything`]: the default limit of a datagram on macOS is 2048
/// bytes.
const MAX_NOTIFICATION_BYTES: usize = 1500;
/// The capacity of the broadcast channel. A listener that lags behind more than this polls instead.
const CHANNEL_CAPACITY: usize = 256;

/// A change that other processes may wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum CommittedChange {
    /// More changes than one notification can hold.
    Anything,
    /// The visibility of messages in this queue has changed.
    Queue(QueueName),
    /// The version of this task has changed.
    Task(TaskId),
}

/// The changes of one transaction.
pub(crate) type Changes = BTreeSet<CommittedChange>;

/// Notifies this process and the others.
#[derive(Debug)]
pub(crate) struct WakeupNotifier {
    changes: broadcast::Sender<Arc<Changes>>,
    sockets: Option<SocketFolder>,
}

/// The folder with the sockets of all processes.
#[derive(Debug)]
struct SocketFolder {
    folder: PathBuf,
    own: String,
    sender: UnixDatagram,
    // A symbolic link to the folder, if its own path is too long for a socket's address.
    _alias: Option<TempDir>,
}

/// Receives every change after its creation.
#[derive(Debug)]
pub(crate) struct ChangeListener(broadcast::Receiver<Arc<Changes>>);

impl WakeupNotifier {
    /// Binds this process's socket. Without a socket, changes by other processes are noticed by polling.
    pub(crate) fn bind(folder: &Path) -> Self {
        let (changes, _) = broadcast::channel(CHANNEL_CAPACITY);
        let sockets = match SocketFolder::join(folder, changes.clone()) {
            Ok(sockets) => Some(sockets),
            Err(error) => {
                let folder = folder.display();
                warn!(%error, %folder, "cannot bind the wake-up socket; polling for changes of other processes");
                None
            }
        };
        Self { changes, sockets }
    }

    /// Subscribes to changes. To avoid a race, subscribe first and read the state then.
    pub(crate) fn listen(&self) -> ChangeListener {
        ChangeListener(self.changes.subscribe())
    }

    /// Notifies all listeners, in this process and the others.
    pub(crate) fn notify(&self, changes: Changes) {
        if changes.is_empty() {
            return;
        }
        let notification = encode(&changes);
        // Without a listener there is nothing to do.
        let _ = self.changes.send(Arc::new(changes));
        if let Some(sockets) = &self.sockets {
            sockets.notify(notification.as_bytes());
        }
    }
}

impl SocketFolder {
    fn join(folder: &Path, changes: broadcast::Sender<Arc<Changes>>) -> io::Result<Self> {
        let own = format!("{}.sock", Uuid::now_v7().simple());
        let too_long = folder.join(&own).as_os_str().len() > MAX_SOCKET_PATH;
        let (folder, alias) = if too_long { shorten(folder)? } else { (folder.to_owned(), None) };
        let sender = UnixDatagram::unbound()?;
        sender.set_nonblocking(true)?;
        let socket = UnixDatagram::bind(folder.join(&own))?;
        thread::Builder::new()
            .name("quire-wakeup".to_owned())
            .spawn(move || forward_notifications(&socket, &changes))?;
        Ok(Self { folder, own, sender, _alias: alias })
    }

    fn notify(&self, notification: &[u8]) {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) => return debug!(%error, "cannot read the folder of wake-up sockets"),
        };
        for entry in entries.flatten().filter(|entry| entry.file_name() != *self.own) {
            let socket = self.folder.join(entry.file_name());
            // A full socket buffer is fine: its owner has notifications to wake up for.
            let sent = self.sender.send_to(notification, &socket);
            if sent.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused) {
                // The process is dead. Two processes may both try to delete its socket.
                let _ = fs::remove_file(&socket);
            }
        }
    }
}

impl Drop for SocketFolder {
    fn drop(&mut self) {
        let socket = self.folder.join(&self.own);
        // An empty datagram ends the receiving thread. If it is lost, the thread ends with the process.
        let _ = self.sender.send_to(&[], &socket);
        let _ = fs::remove_file(&socket);
    }
}

impl ChangeListener {
    /// Waits for a change of `what`, up to a timeout.
    pub(crate) async fn wait_for(&mut self, what: CommittedChange, within: Duration) {
        let concerned = async {
            loop {
                match self.0.recv().await {
                    Ok(changes) if changes.contains(&what) || changes.contains(&CommittedChange::Anything) => return,
                    Ok(_) => {}
                    Err(broadcast::error::RecvError::Lagged(_)) => return,
                    Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
                }
            }
        };
        // A timeout is one of the two normal results.
        let _ = tokio::time::timeout(within, concerned).await;
    }
}

/// Returns a short path to a folder: a symbolic link in the folder for temporary files.
fn shorten(folder: &Path) -> io::Result<(PathBuf, Option<TempDir>)> {
    let alias = tempfile::Builder::new().prefix("quire-").tempdir()?;
    let link = alias.path().join("b");
    symlink(folder, &link)?;
    Ok((link, Some(alias)))
}

/// Forwards notifications of other processes until the socket is closed by an empty datagram.
fn forward_notifications(socket: &UnixDatagram, changes: &broadcast::Sender<Arc<Changes>>) {
    let mut notification = [0; MAX_NOTIFICATION_BYTES];
    loop {
        match socket.recv(&mut notification) {
            Ok(0) => return,
            Ok(length) => {
                let _ = changes.send(Arc::new(decode(&notification[..length])));
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return warn!(%error, "the wake-up socket failed; polling for changes of other processes"),
        }
    }
}

/// Serializes changes, one on each line.
fn encode(changes: &Changes) -> String {
    let lines = changes.iter().map(|change| match change {
        CommittedChange::Anything => "*\n".to_owned(),
        CommittedChange::Queue(name) => format!("{}\n", name.as_str()),
        CommittedChange::Task(id) => format!("{id}\n"),
    });
    let notification: String = lines.collect();
    if notification.len() > MAX_NOTIFICATION_BYTES { "*\n".to_owned() } else { notification }
}

/// Parses changes. An unknown line, e.g. of a later version, may mean anything.
fn decode(notification: &[u8]) -> Changes {
    let change = |line: &str| {
        let queue = QueueName::ALL.into_iter().find(|name| name.as_str() == line).map(CommittedChange::Queue);
        queue.or_else(|| line.parse().ok().map(CommittedChange::Task)).unwrap_or(CommittedChange::Anything)
    };
    String::from_utf8_lossy(notification).lines().map(change).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(n: u128) -> CommittedChange {
        CommittedChange::Task(TaskId::new(Uuid::from_u128(n)))
    }

    #[test]
    fn a_long_notification_means_anything() {
        let few = Changes::from([CommittedChange::Queue(QueueName::DeadPages), task(1), task(2)]);
        assert_eq!(decode(encode(&few).as_bytes()), few);
        let many: Changes = (0..100).map(task).collect();
        assert_eq!(decode(encode(&many).as_bytes()), Changes::from([CommittedChange::Anything]));
        assert_eq!(decode(b"an unknown line"), Changes::from([CommittedChange::Anything]));
    }

    async fn assert_wakes_up(folder: &Path) {
        let this = WakeupNotifier::bind(folder);
        let other = WakeupNotifier::bind(folder);
        assert!(this.sockets.is_some() && other.sockets.is_some(), "both have bound sockets");
        let mut listener = other.listen();
        this.notify(Changes::from([task(7)]));
        let started = std::time::Instant::now();
        listener.wait_for(task(7), Duration::from_secs(10)).await;
        assert!(started.elapsed() < Duration::from_secs(5), "the listener was notified");
    }

    #[tokio::test]
    async fn a_notification_wakes_up_another_process() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        assert_wakes_up(dir.path()).await;
        let left = fs::read_dir(dir.path()).expect("the folder is readable").count();
        assert_eq!(left, 0, "sockets are deleted");
    }

    #[tokio::test]
    async fn a_folder_with_a_long_path_works() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let long = dir.path().join("n".repeat(120));
        fs::create_dir(&long).expect("a long folder");
        assert_wakes_up(&long).await;
    }

    #[tokio::test]
    async fn the_socket_of_a_dead_process_is_deleted() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let dead = dir.path().join("dead.sock");
        drop(UnixDatagram::bind(&dead).expect("a socket"));
        assert!(dead.exists());
        WakeupNotifier::bind(dir.path()).notify(Changes::from([CommittedChange::Anything]));
        assert!(!dead.exists());
    }
}
