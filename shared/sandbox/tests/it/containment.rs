//! What a child may do, seen from inside and from outside.

#![cfg(target_os = "linux")]

use std::{collections::BTreeMap, fs, path::PathBuf, time::Duration};

use quire_sandbox::{Protection, SandboxError, SandboxLimits};

use crate::{bombs, sample, sandbox, short};

#[tokio::test]
async fn a_child_can_neither_open_files_nor_sockets_nor_start_programs() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("secret");
    fs::write(&file, "secret").expect("written");
    let (lockdown, report) = sandbox(SandboxLimits::default()).probe(&file).await.expect("a report");
    assert!(report.is_contained(), "{report:?} with {lockdown:?}");
    assert_eq!(lockdown.rlimits, Protection::Enforced);
    assert_eq!(lockdown.no_new_privs, Protection::Enforced);
    assert!(!file.with_extension("probe").exists());
}

/// Returns the children of this process.
fn children() -> Vec<u32> {
    let is_child = |pid: &u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let parent = stat.rsplit_once(')').and_then(|(_, fields)| fields.split_whitespace().nth(1)?.parse().ok());
        parent == Some(std::process::id())
    };
    let pids = fs::read_dir("/proc").expect("/proc").flatten();
    pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(is_child).collect()
}

/// Returns the children that have this file open.
fn children_with(file: &PathBuf) -> Vec<u32> {
    let has_it = |pid: &u32| {
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        descriptors.map(|entry| fs::read_link(entry.path())).any(|target| target.is_ok_and(|target| target == *file))
    };
    children().into_iter().filter(has_it).collect()
}

async fn child_with(file: &PathBuf) -> u32 {
    for _ in 0..500 {
        if let [pid] = children_with(file)[..] {
            return pid;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("no child has opened {}", file.display());
}

/// Returns the soft limits of a process, by their name in `/proc`.
fn limits_of(pid: u32) -> BTreeMap<String, String> {
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).expect("the process runs");
    let limit = |line: &str| Some((line.get(..26)?.trim().to_owned(), line.get(26..47)?.trim().to_owned()));
    limits.lines().skip(1).filter_map(limit).collect()
}

#[tokio::test]
async fn a_child_has_no_environment_and_bounded_resources() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("invoice.pdf");
    fs::copy(sample("invoice.pdf"), &file).expect("copied");
    let sandbox = sandbox(SandboxLimits::default());
    sandbox.page(&file, 1).await.expect("the page is rendered");
    let pid = child_with(&file).await;
    assert_eq!(fs::read(format!("/proc/{pid}/environ")).expect("the child runs"), b"");
    // The test harness runs the child's code on a thread that is not its first.
    let threads = fs::read_dir(format!("/proc/{pid}/task")).expect("the child runs").flatten();
    let is_locked_down = threads.into_iter().any(|thread| {
        let status = fs::read_to_string(thread.path().join("status")).expect("the child runs");
        ["NoNewPrivs:\t1", "Seccomp:\t2"].iter().all(|line| status.lines().any(|found| found == *line))
    });
    assert!(is_locked_down);
    let limits = limits_of(pid);
    for (name, expected) in [("Max file size", "0"), ("Max core file size", "0"), ("Max open files", "16")] {
        assert_eq!(limits.get(name).map(String::as_str), Some(expected), "{name}: {limits:?}");
    }
    for name in ["Max address space", "Max cpu time"] {
        assert!(limits[name].parse::<u64>().is_ok_and(|limit| limit < 10 << 30), "{name}: {limits:?}");
    }
}

#[tokio::test]
async fn a_child_that_is_killed_from_outside_is_replaced_and_its_page_succeeds() {
    let folder = tempfile::tempdir().expect("a folder");
    let sandbox = sandbox(short());
    for signal in ["KILL", "TERM"] {
        let file = folder.path().join(format!("{signal}.pdf"));
        // Takes a second, so that it can be killed meanwhile; the retry has as much time.
        fs::write(&file, bombs::many_rectangles(40_000)).expect("written");
        let rendering = tokio::spawn({
            let (sandbox, file) = (sandbox.clone(), file.clone());
            async move { sandbox.page(&file, 1).await }
        });
        let pid = child_with(&file).await;
        let killed = std::process::Command::new("kill").args([&format!("-{signal}"), &pid.to_string()]).status();
        assert!(killed.is_ok_and(|status| status.success()));
        let rendered = rendering.await.expect("no panic");
        assert!(rendered.is_ok(), "{signal}: {:?}", rendered.err());
    }
}

#[tokio::test]
async fn a_dropped_call_ends_its_child() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("bomb.pdf");
    fs::write(&file, bombs::nested_forms()).expect("written");
    let sandbox = sandbox(SandboxLimits::default());
    let rendering = tokio::spawn({
        let (sandbox, file) = (sandbox.clone(), file.clone());
        async move { sandbox.page(&file, 1).await }
    });
    child_with(&file).await;
    rendering.abort();
    for _ in 0..500 {
        if children_with(&file).is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the child still runs");
}

#[tokio::test]
async fn a_child_that_is_always_killed_is_an_infrastructure_error() {
    let program =
        quire_sandbox::SandboxProgram { path: "/bin/sh".into(), arguments: vec!["-c".into(), "kill -9 $$".into()] };
    let documents = quire_document::DocumentLimits::default();
    let sandbox = quire_sandbox::Sandbox::new(program, None, documents, SandboxLimits::default());
    let result = sandbox.page(&sample("invoice.pdf"), 1).await;
    assert!(matches!(result, Err(SandboxError::Infrastructure { .. })), "{result:?}");
}
