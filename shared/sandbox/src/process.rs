//! The parent's side of one child process: starts it, asks it, and ends it when it exceeds a limit.

use std::{
    ffi::OsString,
    fs::File,
    io,
    os::{fd::AsFd, unix::process::ExitStatusExt},
    path::PathBuf,
    process::Stdio,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, Interest},
    net::UnixStream,
    process::{Child, Command},
    time::{MissedTickBehavior, interval, timeout},
};

use crate::{
    child::ARGUMENT,
    error::SandboxError,
    large_child::{LARGE, LargeChildLock},
    lockdown::Lockdown,
    protocol::{Request, Response, Setup, frame, head_bytes, parse, send_with_descriptor},
    usage::Usage,
    verdict::{Ended, Exceeded, Step, StepLimits, StepUsage, after_end, after_limit, exceeded},
};

/// The interval at which a working child is measured. Reading its usage takes 20 µs, and in 10 ms a process can touch
/// some 20 MB.
const WATCH_INTERVAL: Duration = Duration::from_millis(10);
/// Timeout for a child to start and to give up its rights, which takes milliseconds: longer only on a machine that is
/// overloaded.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// Timeout for the exit status of a child that has closed its socket.
const END_TIMEOUT: Duration = Duration::from_secs(5);

/// The program that is started as a child. It must call [`run_if_child`](crate::run_if_child).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SandboxProgram {
    /// The executable.
    pub path: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
}

impl SandboxProgram {
    /// Returns the program at a path.
    pub fn at(path: PathBuf) -> Self {
        Self { path, arguments: vec![ARGUMENT.into()] }
    }

    /// Returns this process's own program. On Linux it is the same file even if an update has replaced it meanwhile.
    ///
    /// # Errors
    /// When the path of the program is unknown.
    pub fn this() -> io::Result<Self> {
        let link = PathBuf::from("/proc/self/exe");
        if cfg!(target_os = "linux") && link.exists() {
            Ok(Self::at(link))
        } else {
            std::env::current_exe().map(Self::at)
        }
    }
}

/// A running child. Killed on drop.
#[derive(Debug)]
pub(crate) struct SandboxProcess {
    child: Child,
    socket: UnixStream,
    pid: u32,
    /// The usage before the child has seen a document.
    base: Usage,
    large: LargeChildLock,
    pub(crate) lockdown: Lockdown,
    /// The number of steps.
    pub(crate) steps: u32,
}

impl SandboxProcess {
    /// Starts a child and waits until it has given up its rights. Must run on a thread that lives as long as the child,
    /// such as a thread of the async runtime: on Linux the child ends with the thread that has started it.
    ///
    /// # Errors
    /// [`SandboxError::Infrastructure`].
    pub(crate) async fn start(
        program: &SandboxProgram,
        setup: Setup,
        large: LargeChildLock,
    ) -> Result<Self, SandboxError> {
        let started = spawn(program).map_err(|error| {
            SandboxError::infrastructure(format!("cannot start a child process to parse a document: {error}"))
        })?;
        let (child, mut socket) = started;
        let request = Request::Setup(setup);
        let ready = match timeout(START_TIMEOUT, exchange(&mut socket, &request)).await {
            Ok(Ok((Response::Ready(lockdown), _))) => Ok(lockdown),
            Ok(Ok((Response::NotReady(reason), _))) => Err(reason),
            Ok(Ok(_)) => Err("it sent something else".to_owned()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("it was not ready within {} s", START_TIMEOUT.as_secs())),
        };
        let lockdown = ready.map_err(|reason| {
            SandboxError::infrastructure(format!("a child process that parses documents did not start: {reason}"))
        })?;
        let pid = child.id().unwrap_or(0);
        let base = Usage::of(pid).unwrap_or_default();
        Ok(Self { child, socket, pid, base, large, lockdown, steps: 0 })
    }

    /// Sends the child its document.
    ///
    /// # Errors
    /// [`SandboxError::Infrastructure`]: the child has ended.
    pub(crate) async fn open(&mut self, document: &File) -> Result<(), SandboxError> {
        let opened = async {
            let frame = frame(&Request::Open)?;
            let send = || send_with_descriptor(&self.socket, &frame, document.as_fd());
            let sent = self.socket.async_io(Interest::WRITABLE, send).await?;
            self.socket.write_all(&frame[sent..]).await
        };
        opened.await.map_err(|error: io::Error| {
            SandboxError::infrastructure(format!("a child process ended before it had a document: {error}"))
        })
    }

    /// Asks the child, within the limits. After an error the child must be dropped.
    ///
    /// # Errors
    /// [`SandboxError`] by the limit that was exceeded, or by the way in which the child has ended.
    pub(crate) async fn step(
        &mut self,
        step: Step,
        request: &Request,
        limits: StepLimits,
    ) -> Result<(Response, Vec<u8>), SandboxError> {
        self.steps += 1;
        let mut usage = StepUsage::default();
        let answered = {
            let before = Usage::of(self.pid).unwrap_or(self.base);
            let watched = Watched { pid: self.pid, before, base: self.base, large: &self.large };
            let watching = watched.watch(limits, &mut usage);
            tokio::select! {
                answered = exchange(&mut self.socket, request) => answered,
                exceeded = watching => {
                    // Waited for, so that its memory is free when the caller goes on.
                    let _ = self.child.kill().await;
                    return Err(after_limit(step, limits, exceeded));
                }
            }
        };
        match answered {
            Ok(answer) => Ok(answer),
            Err(_) => Err(after_end(step, limits, self.end().await, usage)),
        }
    }

    /// Returns how the child has ended, after its socket was closed or had nonsense on it.
    async fn end(&mut self) -> Ended {
        let Ok(Ok(status)) = timeout(END_TIMEOUT, self.child.wait()).await else {
            let _ = self.child.kill().await;
            return Ended::Protocol;
        };
        status.signal().map_or_else(|| Ended::Exit(status.code().unwrap_or(-1)), Ended::Signal)
    }

    /// Returns the growth of the child's address space in bytes.
    pub(crate) fn memory(&self) -> u64 {
        Usage::of(self.pid).map_or(0, |usage| usage.address_space.saturating_sub(self.base.address_space))
    }
}

fn spawn(program: &SandboxProgram) -> io::Result<(Child, UnixStream)> {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    let child = Command::new(&program.path)
        .args(&program.arguments)
        .env_clear()
        // A folder that cannot go away, and that is of no use.
        .current_dir("/")
        // Not in this process's group: a Ctrl-C, or a signal to the group, ends the child's parent only.
        .process_group(0)
        .stdin(Stdio::from(std::os::fd::OwnedFd::from(theirs)))
        .stdout(Stdio::null())
        // A panic's message may contain text of the document.
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    Ok((child, UnixStream::from_std(ours)?))
}

/// Sends a request and receives the response, with the data that follows it.
async fn exchange(socket: &mut UnixStream, request: &Request) -> io::Result<(Response, Vec<u8>)> {
    socket.write_all(&frame(request)?).await?;
    let mut prefix = [0; 4];
    socket.read_exact(&mut prefix).await?;
    let mut head = vec![0; head_bytes(prefix)?];
    socket.read_exact(&mut head).await?;
    let response: Response = parse(&head)?;
    let bytes = response.data_bytes().ok_or_else(|| io::Error::other("the size of a response is implausible"))?;
    let mut data = vec![0; bytes];
    socket.read_exact(&mut data).await?;
    Ok((response, data))
}

/// A child at work.
struct Watched<'a> {
    pid: u32,
    /// The usage before this step.
    before: Usage,
    /// The usage before the first step.
    base: Usage,
    large: &'a LargeChildLock,
}

impl Watched<'_> {
    /// Measures the child until it exceeds a limit; keeps the last measurement in `usage`. While the child waits for
    /// its turn to use much memory, its time stands still.
    async fn watch(&self, limits: StepLimits, usage: &mut StepUsage) -> Exceeded {
        let mut started = Instant::now();
        let mut permit = None;
        let mut ticks = interval(WATCH_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let now = Usage::of(self.pid).filter(|now| now.address_space > 0);
            let measured = now.map(|now| StepUsage::since(self.before, self.base.address_space, now));
            if let Some(measured) = measured {
                *usage = measured;
            }
            if let Some(exceeded) = exceeded(limits, started.elapsed(), measured) {
                return exceeded;
            }
            if usage.memory > LARGE && permit.is_none() {
                let asked = Instant::now();
                permit = Some(self.large.acquire_for(self.pid).await);
                started += asked.elapsed();
            }
        }
    }
}
