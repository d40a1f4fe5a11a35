//! Crash safety: after `kill -9` at any moment, every accepted task exists, and no page ended twice.

use std::{
    collections::BTreeSet,
    env,
    io::{Read, Write, stderr},
    path::Path,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use quire_platform::{Backend, Consumer, QueueName, now, send};
use quire_platform_embedded::Embedded;
use quire_tasks::{
    Counts, Document, DocumentFormat, DocumentState, ObjectKey, Outcome, PageMessage, PageRef, SplitDocument, Task,
    TaskId, Tenant, UnixMillis,
};
use uuid::Uuid;

/// If set, this test is the process to kill, and the value is its data folder.
const CHILD: &str = "QUIRE_TEST_CRASH";
const PAGES: u32 = 3;

/// What the processes reported before they were killed.
#[derive(Default)]
struct ProcessLog {
    accepted: BTreeSet<TaskId>,
    ended: Vec<String>,
}

#[test]
fn a_killed_process_loses_nothing_and_repeats_nothing() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    if let Some(dir) = env::var_os(CHILD) {
        return runtime.block_on(work_until_killed(Path::new(&dir)));
    }
    let dir = tempfile::tempdir().expect("a temporary folder");
    let mut log = ProcessLog::default();
    for round in 0..8 {
        // From the middle of its start to the middle of its work.
        log.parse(&run_and_kill(dir.path(), Duration::from_millis(20 + 70 * round)));
    }
    assert!(log.accepted.len() > 10 && log.ended.len() > 10, "the processes worked for a while");
    runtime.block_on(finish(dir.path(), log));
}

impl ProcessLog {
    fn parse(&mut self, text: &str) {
        // The last line may be truncated.
        let complete = text.rfind('\n').map_or("", |end| &text[..end]);
        for line in complete.lines() {
            match line.split_once(' ') {
                Some(("accepted", id)) => assert!(self.accepted.insert(id.parse().expect("a task's id"))),
                Some(("ended", page)) => self.ended.push(page.to_owned()),
                _ => panic!("unexpected output: {text}"),
            }
        }
    }
}

fn run_and_kill(dir: &Path, after: Duration) -> String {
    let test = "crash::a_killed_process_loses_nothing_and_repeats_nothing";
    let mut child = Command::new(env::current_exe().expect("the path of this program"))
        .args([test, "--exact", "--nocapture"])
        .env(CHILD, dir)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a child process");
    let mut log = child.stderr.take().expect("its standard error is piped");
    let listener = thread::spawn(move || {
        let mut all = String::new();
        log.read_to_string(&mut all).expect("UTF-8 output");
        all
    });
    thread::sleep(after);
    child.kill().expect("the process is still running");
    child.wait().expect("the process has ended");
    listener.join().expect("the process's output")
}

fn report(line: &str) {
    // In one write, so that only the last line can be truncated.
    stderr().write_all(format!("{line}\n").as_bytes()).expect("standard error is open");
}

async fn work_until_killed(dir: &Path) {
    let embedded = Embedded::open(dir, "child").expect("open the backend");
    embedded.expire_leases().await.expect("expired");
    let backend = embedded.backend();
    tokio::join!(submit(&backend), submit(&backend), read(&backend), read(&backend));
}

async fn submit(backend: &Backend) {
    loop {
        let state = DocumentState::Split(SplitDocument { format: DocumentFormat::Pdf, pages: PAGES });
        let documents = vec![Document::new(1, None, state)];
        let task = Task::new(TaskId::new(Uuid::now_v7()), Tenant::default(), now(), documents, None);
        backend.tasks.create(task.clone()).await.expect("created");
        report(&format!("accepted {}", task.id));
        dispatch(backend, &task).await;
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn dispatch(backend: &Backend, task: &Task) {
    let messages = task.page_messages();
    send(&*backend.queue(QueueName::Pages), task, messages).await.expect("sent");
    backend.tasks.mark_dispatched(task.id).await.expect("marked");
}

async fn read(backend: &Backend) {
    let consumer = Consumer::<PageMessage>::new(backend.queue(QueueName::Pages), Duration::from_mins(1));
    loop {
        read_some(backend, &consumer, Duration::from_secs(1), |page| report(&format!("ended {page}"))).await;
    }
}

/// Reads up to ten pages. Returns their number, and reports the pages it completed.
async fn read_some(
    backend: &Backend,
    consumer: &Consumer<PageMessage>,
    wait: Duration,
    mut ended: impl FnMut(PageRef),
) -> usize {
    let deliveries = consumer.receive(10, wait).await.expect("received");
    let count = deliveries.len();
    for delivery in deliveries {
        let delivery = delivery.expect("a page message");
        let PageMessage { page, round, .. } = delivery.message;
        let key = ObjectKey::PageText { page, round }.to_string();
        backend.objects.put_new(&key, text(page).into()).await.expect("stored");
        let succeeded = Outcome::succeeded(None);
        if backend.tasks.complete_page(page, round, succeeded).await.expect("completed").changed() {
            ended(page);
        }
        delivery.lease.acknowledge().await.expect("acknowledged");
    }
    count
}

fn text(page: PageRef) -> String {
    format!("{page}").repeat(100)
}

async fn finish(dir: &Path, mut log: ProcessLog) {
    let embedded = Embedded::open(dir, "last").expect("open the backend");
    embedded.expire_leases().await.expect("expired");
    let backend = embedded.backend();
    let undispatched = backend.tasks.list_undispatched(UnixMillis(i64::MAX), 10_000).await.expect("undispatched");
    for task in undispatched {
        log.accepted.insert(task.id);
        dispatch(&backend, &task).await;
    }
    let consumer = Consumer::<PageMessage>::new(backend.queue(QueueName::Pages), Duration::from_mins(1));
    while read_some(&backend, &consumer, Duration::ZERO, |page| log.ended.push(page.to_string())).await > 0 {}
    for id in log.accepted {
        let task = backend.tasks.task(id).await.expect("an accepted task exists");
        assert_eq!(task.counts, Counts { succeeded: PAGES, ..Counts::default() }, "{id}");
        assert!(task.ended_at.is_some());
        for page in task.pages() {
            let stored = backend
                .objects
                .read(&ObjectKey::PageText { page, round: 1 }.to_string())
                .await
                .expect("the page's text exists");
            assert_eq!(stored, text(page), "the text is complete");
        }
    }
    let ended = log.ended.len();
    let different: BTreeSet<String> = log.ended.into_iter().collect();
    assert_eq!(different.len(), ended, "no page ended twice");
    for name in [QueueName::Pages, QueueName::DeadPages] {
        assert_eq!(backend.queue(name).depth().await.expect("depth"), quire_platform::QueueDepth::default());
    }
}
