//! The protections of the child processes that parse documents, as this platform has them.

use std::collections::BTreeMap;

use quire_document::DocumentLimits;
use quire_sandbox::{Lockdown, ProbeReport, Protection, Sandbox, SandboxLimits, SandboxProgram};
use serde::Serialize;

/// The protections, and what a child can do in spite of them.
#[derive(Debug, Default, Serialize)]
pub(super) struct SandboxInfo {
    /// The state of each protection: rlimits, `no_new_privs`, landlock and seccomp.
    pub(super) protections: BTreeMap<&'static str, Protection>,
    /// What a child could do when it tried.
    pub(super) attempts: Option<ProbeReport>,
    /// The memory limit of a child in MB, beyond the pixels of a page.
    pub(super) memory_mb: u64,
    pub(super) page_seconds: u64,
    pub(super) inspection_seconds: u64,
    /// The number of children that work concurrently, per worker.
    pub(super) children: usize,
    /// Why no child could be started.
    pub(super) problem: Option<String>,
    pub(super) advice: Vec<String>,
}

impl SandboxInfo {
    /// Starts a child and lets it try what a hostile document must not be able to do.
    pub(super) fn of_this_machine() -> Self {
        match try_child() {
            Ok((limits, lockdown, attempts)) => Self {
                advice: advice(&lockdown, attempts),
                protections: lockdown.protections().map(|(name, protection)| (name, protection.clone())).into(),
                attempts: Some(attempts),
                memory_mb: limits.memory >> 20,
                page_seconds: limits.page.as_secs(),
                inspection_seconds: limits.inspection.as_secs(),
                children: limits.children,
                problem: None,
            },
            Err(error) => Self { problem: Some(format!("{error:#}")), ..Self::default() },
        }
    }

    /// Describes the protections in one line.
    pub(super) fn summary(&self) -> String {
        if let Some(problem) = &self.problem {
            return problem.clone();
        }
        let describe = |(name, protection): (&&str, &Protection)| match protection {
            Protection::Enforced => (*name).to_owned(),
            Protection::Partial { reason } => format!("{name} in part ({reason})"),
            Protection::Missing { reason } => format!("no {name} ({reason})"),
        };
        let protections: Vec<String> = self.protections.iter().map(describe).collect();
        let is_contained = self.attempts.is_some_and(|attempts| attempts.is_contained());
        let verdict = if is_contained { "tried: contained" } else { "tried: NOT contained" };
        format!("{}; {verdict}", protections.join(", "))
    }
}

fn try_child() -> anyhow::Result<(SandboxLimits, Lockdown, ProbeReport)> {
    let limits = SandboxLimits::from_env()?;
    let sandbox = Sandbox::new(SandboxProgram::this()?, None, DocumentLimits::default(), limits);
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("file");
    std::fs::write(&file, "x")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (lockdown, report) = runtime.block_on(sandbox.probe(&file))?;
    Ok((limits, lockdown, report))
}

fn advice(lockdown: &Lockdown, attempts: ProbeReport) -> Vec<String> {
    let mut advice = Vec::new();
    if cfg!(not(target_os = "linux")) {
        advice.push(
            "Only Linux has landlock and seccomp: on this system a document that takes over its parser has the rights \
             of this user. Read documents of strangers on Linux."
                .to_owned(),
        );
        return advice;
    }
    if !lockdown.landlock.is_enforced() {
        advice.push(
            "Use Linux 5.13 or newer with landlock enabled (`lsm=landlock,…` on the kernel's command line): without \
             it, the children cannot use the fonts of the system either, and some PDFs are read worse."
                .to_owned(),
        );
    }
    if !lockdown.seccomp.is_enforced() {
        advice
            .push("Use a kernel, and a container runtime, that allow a process to install seccomp filters.".to_owned());
    }
    if advice.is_empty() && !attempts.is_contained() {
        advice.push("A child could do what it must not: report this, with the output of --format json.".to_owned());
    }
    advice
}
