//! The server that a `quire serve` block starts.

use std::{
    fs::File,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Loading models takes seconds on a slow machine.
const STARTS_WITHIN: Duration = Duration::from_mins(1);

/// A running `quire serve`; killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    pub(crate) port: u16,
}

impl Server {
    /// Starts this command line in `bash`. Waits until the server is healthy or, without workers, until it responds.
    ///
    /// # Errors
    /// Its log, if it does not start.
    pub(crate) fn start(line: &str, port: u16, folder: &Path, mut bash: Command) -> Result<Self, String> {
        let log = folder.join("serve.log");
        let file = File::create(&log).expect("the log can be created");
        let child = bash.arg(format!("exec {line}")).stdin(Stdio::null()).stdout(Stdio::null()).stderr(file).spawn();
        let mut server = Self { child: child.expect("bash starts"), port };
        let needs_a_worker = !line.contains("--workers 0");
        let started = Instant::now();
        while started.elapsed() < STARTS_WITHIN {
            match health(port) {
                Some(200) => return Ok(server),
                Some(_) if !needs_a_worker => return Ok(server),
                _ => thread::sleep(Duration::from_millis(50)),
            }
            if server.child.try_wait().expect("the process can be waited for").is_some() {
                break;
            }
        }
        Err(format!("the server does not start:\n{}", std::fs::read_to_string(&log).unwrap_or_default()))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Error: it has ended already, which is as good. Its workers end when their standard input closes.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Below the ephemeral ports, which the system could give to another connection at any time.
pub(crate) fn free_port() -> u16 {
    let mut ports = std::iter::repeat_with(|| rand::random_range(15_000..32_000));
    ports.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).expect("the iterator is endless")
}

/// The status of `GET /healthz`; `None` while nothing listens.
fn health(port: u16) -> Option<u16> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").ok()?;
    let mut head = [0; 12];
    stream.read_exact(&mut head).ok()?;
    std::str::from_utf8(&head).ok()?.strip_prefix("HTTP/1.1 ")?.parse().ok()
}
