//! The emulator (ministack): installed once, started once for all tests, and stopped with them.

use std::{
    env,
    fs::{self, File},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};

/// The emulator and its dependencies, pinned by hash, since its behavior changes from release to release.
const REQUIREMENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../localstack/requirements.txt");
/// The start timeout, for a loaded machine.
const START_LIMIT: Duration = Duration::from_mins(2);
/// Stops the emulator when its standard input is closed, i.e. when this process has ended, even by a signal.
const WATCH: &str = r#""$@" & started=$!; cat > /dev/null; kill "$started"; wait "$started""#;

/// Returns the emulator's URL.
pub(crate) fn url() -> String {
    static RUNNING: OnceLock<(String, Child)> = OnceLock::new();
    RUNNING.get_or_init(start).0.clone()
}

fn start() -> (String, Child) {
    let folder = installed();
    let port = free_port();
    let log = File::create(folder.with_file_name(format!("ministack-{port}.log"))).expect("a log");
    let child = Command::new("sh")
        .args(["-c", WATCH, "sh", "python3", "-m", "ministack"])
        .env("PYTHONPATH", &folder)
        // The emulator runs code on request, so it must listen on this machine only.
        .env("BIND_HOST", "127.0.0.1")
        .env("GATEWAY_PORT", port.to_string())
        // These services would listen on all addresses.
        .envs([("IOT_MTLS_ENABLED", "0"), ("SFTP_ENABLED", "0")])
        // These two ignore the bind address.
        .env("IOT_MTLS_ENABLED", "0")
        .env("SFTP_ENABLED", "0")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::piped())
        .stdout(log.try_clone().expect("the log"))
        .stderr(log)
        .spawn()
        .expect("sh can be started");
    let deadline = Instant::now() + START_LIMIT;
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < deadline, "ministack does not answer; see its log beside {}", folder.display());
        thread::sleep(Duration::from_millis(100));
    }
    (format!("http://127.0.0.1:{port}"), child)
}

/// Returns the folder with the emulator, installed atomically and by one process at a time.
fn installed() -> PathBuf {
    let parent = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let folder = parent.join(format!("ministack-{}", version()));
    fs::create_dir_all(parent).expect("a folder");
    let lock = File::create(parent.join("ministack.lock")).expect("a lock");
    lock.lock().expect("the lock");
    if !folder.exists() {
        let staging = tempfile::tempdir_in(parent).expect("a folder");
        let pip = Command::new("python3")
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes", "--target"])
            .arg(staging.path())
            .args(["--requirement", REQUIREMENTS])
            .output()
            .expect("python3 can be started");
        assert!(pip.status.success(), "{REQUIREMENTS}: {}", String::from_utf8_lossy(&pip.stderr));
        fs::rename(staging.keep(), &folder).expect("moved to its place");
    }
    folder
}

fn version() -> String {
    let requirements = fs::read_to_string(REQUIREMENTS).expect("they are in the repository");
    let pinned = requirements.split_whitespace().find_map(|word| word.strip_prefix("ministack=="));
    pinned.expect("the emulator is pinned").to_owned()
}

fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    listener.local_addr().expect("its address").port()
}
