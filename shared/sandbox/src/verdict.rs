//! Decides what the end of a child means for its document. Pure: what happened is passed in.

use std::time::Duration;

use quire_tasks::{Failure, FailureCode};

use crate::{error::SandboxError, usage::Usage};

/// On an overloaded machine a child gets less processor time than time passes. It may take this many times its limit in
/// time, as long as it has not used half of it in processor time.
const MAX_OVERTIME: u32 = 8;

/// The signals with which a process ends itself, by an error of its own: crash, failed assertion or allocation.
const OWN_SIGNALS: [i32; 7] =
    [signal::ABRT, signal::BUS, signal::FPE, signal::ILL, signal::SEGV, signal::TRAP, signal::SYS];

mod signal {
    use rustix::process::Signal;

    pub(super) const ABRT: i32 = Signal::ABORT.as_raw();
    pub(super) const BUS: i32 = Signal::BUS.as_raw();
    pub(super) const FPE: i32 = Signal::FPE.as_raw();
    pub(super) const ILL: i32 = Signal::ILL.as_raw();
    pub(super) const SEGV: i32 = Signal::SEGV.as_raw();
    pub(super) const SYS: i32 = Signal::SYS.as_raw();
    pub(super) const TRAP: i32 = Signal::TRAP.as_raw();
    pub(super) const XCPU: i32 = Signal::XCPU.as_raw();
}

/// What a child was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Inspection,
    Page(u32),
}

/// The limits of one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StepLimits {
    /// Processor time, and time.
    pub(crate) time: Duration,
    /// Growth of the address space in bytes.
    pub(crate) memory: u64,
}

/// What a step has used until now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct StepUsage {
    pub(crate) cpu: Duration,
    pub(crate) memory: u64,
    pub(crate) resident: u64,
}

impl StepUsage {
    /// Returns the difference between the current usage and the usage before the step. Memory counts from the start of
    /// the process: what earlier pages have left behind is used, too.
    pub(crate) fn since(before: Usage, base_address_space: u64, now: Usage) -> Self {
        Self {
            cpu: now.cpu.saturating_sub(before.cpu),
            memory: now.address_space.saturating_sub(base_address_space),
            resident: now.resident,
        }
    }
}

/// Which limit a step has exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exceeded {
    CpuTime,
    Time,
    Memory,
    /// The machine was too busy to give the child its processor time. It is suspect if it has used far more than an
    /// ordinary page nevertheless: otherwise a busy machine would retry a hostile document forever.
    Starved {
        is_suspect: bool,
    },
}

/// Returns the limit that a running step has exceeded, if any. `usage` is `None` on a platform where it is unknown;
/// then only time counts.
pub(crate) fn exceeded(limits: StepLimits, elapsed: Duration, usage: Option<StepUsage>) -> Option<Exceeded> {
    let Some(usage) = usage else { return (elapsed >= limits.time).then_some(Exceeded::Time) };
    if usage.memory > limits.memory {
        Some(Exceeded::Memory)
    } else if usage.cpu >= limits.time {
        Some(Exceeded::CpuTime)
    } else if elapsed >= limits.time && usage.cpu >= limits.time / 2 {
        Some(Exceeded::Time)
    } else if elapsed >= limits.time * MAX_OVERTIME {
        Some(Exceeded::Starved { is_suspect: usage.cpu >= limits.time / 8 })
    } else {
        None
    }
}

/// How a child ended by itself, or by a signal that this process has not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    Signal(i32),
    Exit(i32),
    /// It is running, but its response violates the protocol.
    Protocol,
}

/// Returns the error for a step whose child was ended because of a limit.
pub(crate) fn after_limit(step: Step, limits: StepLimits, exceeded: Exceeded) -> SandboxError {
    let secs = limits.time.as_secs();
    let what = match step {
        Step::Inspection => "The document is too complex: validating it".to_owned(),
        Step::Page(page) => format!("Page {page} is too complex: rendering it"),
    };
    let message = match exceeded {
        Exceeded::CpuTime => format!("{what} needs more than {secs} s of processor time."),
        Exceeded::Time => format!("{what} takes longer than {secs} s."),
        Exceeded::Memory => format!("{what} needs more than {} MB of memory.", limits.memory >> 20),
        Exceeded::Starved { is_suspect } => {
            let longest = secs * u64::from(MAX_OVERTIME);
            let reason =
                format!("the machine is overloaded: a child got less than {secs} s of processor time in {longest} s");
            return SandboxError::Infrastructure { reason, is_suspect };
        }
    };
    SandboxError::Document(Failure::new(FailureCode::TooComplex, message))
}

/// Returns the error for a step whose child has ended.
pub(crate) fn after_end(step: Step, limits: StepLimits, ended: Ended, last: StepUsage) -> SandboxError {
    let used_most_memory = last.memory >= limits.memory / 4 * 3;
    match ended {
        Ended::Signal(signal::XCPU) => after_limit(step, limits, Exceeded::CpuTime),
        // The filter of system calls ends a child that asks for a block of memory beyond the limit.
        Ended::Signal(signal::SYS) => after_limit(step, limits, Exceeded::Memory),
        Ended::Signal(signal) if OWN_SIGNALS.contains(&signal) => {
            // pdfium ends its process when an allocation fails.
            if used_most_memory { after_limit(step, limits, Exceeded::Memory) } else { crashed(step) }
        }
        Ended::Signal(signal) => SandboxError::Infrastructure {
            reason: format!("a child process was killed by signal {signal}"),
            is_suspect: last.resident >= limits.memory / 2,
        },
        Ended::Exit(code) => SandboxError::infrastructure(format!("a child process ended with exit code {code}")),
        Ended::Protocol => crashed(step),
    }
}

fn crashed(step: Step) -> SandboxError {
    SandboxError::Document(match step {
        Step::Inspection => {
            Failure::new(FailureCode::UnreadableDocument, "The document cannot be opened: its parser crashed.")
        }
        Step::Page(page) => {
            Failure::new(FailureCode::UnreadablePage, format!("Page {page} cannot be rendered: the renderer crashed."))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: StepLimits = StepLimits { time: Duration::from_secs(10), memory: 100 << 20 };
    const PAGE: Step = Step::Page(3);

    fn usage(cpu_secs: u64, memory_mb: u64) -> StepUsage {
        StepUsage { cpu: Duration::from_secs(cpu_secs), memory: memory_mb << 20, resident: memory_mb << 20 }
    }

    fn code(error: &SandboxError) -> Option<FailureCode> {
        match error {
            SandboxError::Document(failure) => Some(failure.code),
            SandboxError::Infrastructure { .. } => None,
        }
    }

    #[test]
    fn a_step_within_its_limits_goes_on() {
        let after = |secs| exceeded(LIMITS, Duration::from_secs(secs), Some(usage(4, 100)));
        assert_eq!(after(1), None);
        assert_eq!(after(79), None, "it had little processor time");
        assert_eq!(after(80), Some(Exceeded::Starved { is_suspect: true }));
        let idle = exceeded(LIMITS, Duration::from_secs(80), Some(usage(1, 1)));
        assert_eq!(idle, Some(Exceeded::Starved { is_suspect: false }));
        assert_eq!(exceeded(LIMITS, Duration::from_secs(9), None), None);
    }

    #[test]
    fn each_limit_is_named() {
        let after = |secs, used| exceeded(LIMITS, Duration::from_secs(secs), Some(used));
        for (exceeded, expected) in [
            (after(10, usage(10, 1)), "Page 3 is too complex: rendering it needs more than 10 s of processor time."),
            (after(10, usage(5, 1)), "Page 3 is too complex: rendering it takes longer than 10 s."),
            (after(1, usage(1, 101)), "Page 3 is too complex: rendering it needs more than 100 MB of memory."),
        ] {
            let error = after_limit(PAGE, LIMITS, exceeded.expect("a limit is exceeded"));
            let failure = Failure::new(FailureCode::TooComplex, expected);
            assert_eq!(error, SandboxError::Document(failure));
        }
    }

    #[test]
    fn a_starved_child_is_not_the_documents_fault() {
        assert_eq!(code(&after_limit(PAGE, LIMITS, Exceeded::Starved { is_suspect: false })), None);
    }

    #[test]
    fn a_crash_near_the_memory_limit_is_memory_exhaustion() {
        for signal in OWN_SIGNALS.into_iter().filter(|signal| *signal != signal::SYS) {
            let ended = |used| code(&after_end(PAGE, LIMITS, Ended::Signal(signal), used));
            assert_eq!(ended(usage(1, 90)), Some(FailureCode::TooComplex), "{signal}");
            assert_eq!(ended(usage(1, 10)), Some(FailureCode::UnreadablePage), "{signal}");
        }
        let ended = |signal| code(&after_end(Step::Inspection, LIMITS, Ended::Signal(signal), usage(1, 10)));
        assert_eq!(ended(signal::SYS), Some(FailureCode::TooComplex));
        assert_eq!(ended(signal::XCPU), Some(FailureCode::TooComplex));
        assert_eq!(ended(signal::SEGV), Some(FailureCode::UnreadableDocument));
    }

    #[test]
    fn a_signal_from_outside_is_not_the_documents_fault() {
        use rustix::process::Signal;
        for signal in [Signal::KILL, Signal::TERM, Signal::INT, Signal::HUP, Signal::QUIT] {
            for (used, expected) in [(usage(1, 10), false), (usage(1, 90), true)] {
                let error = after_end(PAGE, LIMITS, Ended::Signal(signal.as_raw()), used);
                let SandboxError::Infrastructure { is_suspect, .. } = error else { panic!("{error:?}") };
                assert_eq!(is_suspect, expected);
            }
        }
    }
}
