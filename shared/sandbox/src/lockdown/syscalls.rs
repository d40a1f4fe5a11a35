//! System calls: those that parsing needs. By seccomp.
//!
//! An allow-list: a new system call of a future kernel is forbidden until it is listed. Everything else fails with
//! `ENOSYS`, as if the kernel did not have it, so that a newer glibc falls back to an older call instead of ending the
//! process. A block of memory beyond the limit ends the process: pdfium would ignore the failure and leave out a part
//! of the page.

use std::collections::BTreeMap;

use libc::c_long;
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, apply_filter,
};

use super::{protection::Protection, resources::MemoryLimits};

type Rules = BTreeMap<c_long, Vec<SeccompRule>>;

/// Calls without conditions: on memory, on open descriptors, on time and on this process.
const ALLOWED: &[c_long] = &[
    libc::SYS_brk,
    libc::SYS_clock_getres,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_close,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_fcntl,
    libc::SYS_fstat,
    libc::SYS_futex,
    libc::SYS_getegid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_getrandom,
    libc::SYS_getrusage,
    libc::SYS_gettid,
    libc::SYS_gettimeofday,
    libc::SYS_getuid,
    libc::SYS_lseek,
    libc::SYS_madvise,
    libc::SYS_membarrier,
    libc::SYS_munmap,
    libc::SYS_nanosleep,
    libc::SYS_ppoll,
    libc::SYS_pread64,
    libc::SYS_preadv,
    libc::SYS_read,
    libc::SYS_readv,
    // On the one socket that there is: none can be created or connected.
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_restart_syscall,
    libc::SYS_rseq,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_yield,
    libc::SYS_sendmsg,
    libc::SYS_sendto,
    libc::SYS_set_robust_list,
    libc::SYS_sigaltstack,
    libc::SYS_sysinfo,
    libc::SYS_uname,
    libc::SYS_write,
    libc::SYS_writev,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_poll,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_time,
];

/// Calls that look for fonts; landlock restricts what they find.
const FONT_CALLS: &[c_long] = &[
    libc::SYS_faccessat,
    libc::SYS_fstatfs,
    libc::SYS_getdents64,
    libc::SYS_newfstatat,
    libc::SYS_readlinkat,
    libc::SYS_statx,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_access,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_lstat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_readlink,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_stat,
];

/// Flags with which a file is opened to be changed.
const CHANGING: i32 = libc::O_ACCMODE | libc::O_CREAT | libc::O_TRUNC | libc::O_APPEND;

/// Forbids all other system calls. `may_read_fonts` allows to open files for reading.
pub(super) fn filter(memory: MemoryLimits, may_read_fonts: bool) -> Protection {
    let installed = large_blocks(memory.block())
        .and_then(|blocks| Ok((blocks, allowed(may_read_fonts)?)))
        .map_err(seccompiler::Error::Backend)
        // The list is the last: it does not allow to install another filter.
        .and_then(|(blocks, allowed)| apply_filter(&blocks).and_then(|()| apply_filter(&allowed)));
    match installed {
        Ok(()) => Protection::Enforced,
        Err(error) => Protection::missing(&error),
    }
}

/// Ends the process when it asks for a block of more than `bytes`.
fn large_blocks(bytes: u64) -> Result<BpfProgram, BackendError> {
    let mut rules = Rules::new();
    for (call, length) in [(libc::SYS_mmap, 1), (libc::SYS_mremap, 2)] {
        let is_large = SeccompCondition::new(length, SeccompCmpArgLen::Qword, SeccompCmpOp::Gt, bytes)?;
        rules.insert(call, vec![SeccompRule::new(vec![is_large])?]);
    }
    program(rules, SeccompAction::Allow, SeccompAction::KillProcess)
}

fn allowed(may_read_fonts: bool) -> Result<BpfProgram, BackendError> {
    let mut rules: Rules = ALLOWED.iter().map(|call| (*call, Vec::new())).collect();
    rules.insert(libc::SYS_mremap, Vec::new());
    // No code is created: pdfium is built without a JIT compiler.
    for call in [libc::SYS_mmap, libc::SYS_mprotect] {
        rules.insert(call, vec![without_flags(2, libc::PROT_EXEC)?]);
    }
    // The limits and signals of this process only: `abort` sends one.
    rules.insert(libc::SYS_prlimit64, vec![equals(0, 0)?]);
    rules.insert(libc::SYS_tgkill, vec![equals(0, std::process::id())?]);
    if may_read_fonts {
        rules.extend(FONT_CALLS.iter().map(|call| (*call, Vec::new())));
        rules.insert(libc::SYS_openat, vec![without_flags(2, CHANGING)?]);
        #[cfg(target_arch = "x86_64")]
        rules.insert(libc::SYS_open, vec![without_flags(1, CHANGING)?]);
    }
    program(rules, SeccompAction::Errno(libc::ENOSYS as u32), SeccompAction::Allow)
}

fn program(rules: Rules, otherwise: SeccompAction, on_match: SeccompAction) -> Result<BpfProgram, BackendError> {
    let arch = std::env::consts::ARCH.try_into()?;
    SeccompFilter::new(rules, otherwise, on_match, arch)?.try_into()
}

fn without_flags(argument: u8, flags: i32) -> Result<SeccompRule, BackendError> {
    let operator = SeccompCmpOp::MaskedEq(flags as u64);
    SeccompRule::new(vec![SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, 0)?])
}

fn equals(argument: u8, value: u32) -> Result<SeccompRule, BackendError> {
    SeccompRule::new(vec![SeccompCondition::new(
        argument,
        SeccompCmpArgLen::Dword,
        SeccompCmpOp::Eq,
        u64::from(value),
    )?])
}
