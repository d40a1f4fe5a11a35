//! Tries, in a child, what a hostile document must not be able to do.

use std::{
    fs::File,
    net::{TcpListener, TcpStream, UdpSocket},
    path::Path,
    process::Command,
    thread,
};

use serde::{Deserialize, Serialize};

/// What a child could do after it has given up its rights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is one attempt")]
pub struct ProbeReport {
    /// Whether an existing file could be read.
    pub can_read_files: bool,
    /// Whether a file could be created.
    pub can_write_files: bool,
    /// Whether a socket could be opened.
    pub can_use_network: bool,
    /// Whether a program could be started.
    pub can_start_programs: bool,
    /// Whether a thread could be started.
    pub can_start_threads: bool,
    /// The number of environment variables.
    pub variables: usize,
}

impl ProbeReport {
    /// Returns whether nothing was possible.
    pub const fn is_contained(&self) -> bool {
        !(self.can_read_files
            || self.can_write_files
            || self.can_use_network
            || self.can_start_programs
            || self.can_start_threads)
            && self.variables == 0
    }
}

/// Tries everything; `file` is an existing file, beside which a file is created.
pub(crate) fn try_everything(file: &Path) -> ProbeReport {
    ProbeReport {
        can_read_files: File::open(file).is_ok(),
        can_write_files: File::create_new(file.with_extension("probe")).is_ok(),
        can_use_network: TcpListener::bind("127.0.0.1:0").is_ok()
            || UdpSocket::bind("127.0.0.1:0").is_ok()
            // A refused connection was attempted.
            || TcpStream::connect("127.0.0.1:9").map_or_else(|error| is_refused(&error), |_| true),
        can_start_programs: Command::new("/bin/true").spawn().is_ok(),
        can_start_threads: thread::Builder::new().spawn(|| {}).is_ok(),
        variables: std::env::vars_os().count(),
    }
}

fn is_refused(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::ConnectionRefused
}
