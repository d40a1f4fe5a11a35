//! Whether Amazon Linux 2023 can load a program or a library.

use std::{fs, path::Path};

use anyhow::{Context, bail, ensure};
use object::{
    Endianness,
    elf::{DT_NEEDED, EM_X86_64, FileHeader64, VER_FLG_WEAK},
    read::elf::{Dyn, FileHeader},
};

/// The C library of Amazon Linux 2023, which stays the same all its life.
pub(crate) const GLIBC: (u32, u32) = (2, 34);

/// The libraries that `provided.al2023` has, as far as we may need them.
const THERE: [&str; 7] =
    ["ld-linux-x86-64.so.2", "libc.so.6", "libdl.so.2", "libgcc_s.so.1", "libm.so.6", "libpthread.so.0", "librt.so.1"];

/// Refuses a file that is no ELF for x86-64, that needs a newer C library, or a library that is not there.
pub(crate) fn check(file: &Path) -> anyhow::Result<()> {
    let bytes = fs::read(file).with_context(|| format!("{} cannot be read", file.display()))?;
    check_bytes(&bytes).with_context(|| format!("Lambda cannot load {}", file.display()))
}

fn check_bytes(bytes: &[u8]) -> anyhow::Result<()> {
    let header = FileHeader64::<Endianness>::parse(bytes).context("it is no ELF file of 64 bits")?;
    let endian = header.endian()?;
    ensure!(header.e_machine(endian) == EM_X86_64, "it is not for x86-64");
    let sections = header.sections(endian, bytes)?;
    if let Some((mut libraries, link)) = sections.gnu_verneed(endian, bytes)? {
        let strings = sections.strings(endian, bytes, link)?;
        while let Some((_, mut versions)) = libraries.next()? {
            while let Some(version) = versions.next()? {
                let name = String::from_utf8_lossy(version.name(endian, strings)?);
                // Without what is needed weakly the loader goes on.
                let weak = version.vna_flags.get(endian).contains(VER_FLG_WEAK);
                ensure!(weak || is_there(&name), "it needs {name}, and there is glibc {}.{}", GLIBC.0, GLIBC.1);
            }
        }
    }
    if let Some((entries, link)) = sections.dynamic(endian, bytes)? {
        let strings = sections.strings(endian, bytes, link)?;
        for entry in entries.iter().filter(|entry| entry.tag(endian) == DT_NEEDED) {
            let name = String::from_utf8_lossy(entry.string(endian, strings)?);
            if !THERE.contains(&&*name) {
                bail!("it needs the library {name}");
            }
        }
    }
    Ok(())
}

/// Whether a version of a library's symbols is there. Those of other libraries than the C library are years old.
fn is_there(version: &str) -> bool {
    let Some(number) = version.strip_prefix("GLIBC_") else { return true };
    let mut parts = number.split('.').map(str::parse::<u32>);
    // What has no number is newer: GLIBC_ABI_DT_RELR, say, came with 2.36.
    let (Some(Ok(major)), Some(Ok(minor))) = (parts.next(), parts.next()) else { return false };
    (major, minor) <= GLIBC
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_are_there_up_to_the_version_of_the_c_library() {
        for there in ["GLIBC_2.2.5", "GLIBC_2.17", "GLIBC_2.34", "GCC_3.3"] {
            assert!(is_there(there), "{there}");
        }
        for newer in ["GLIBC_2.35", "GLIBC_2.100", "GLIBC_3.0", "GLIBC_ABI_DT_RELR", "GLIBC_"] {
            assert!(!is_there(newer), "{newer}");
        }
    }

    #[test]
    fn what_is_no_program_for_lambda_says_why() {
        let refused = check_bytes(b"#!/bin/sh\n").expect_err("a script");
        assert_eq!(refused.to_string(), "it is no ELF file of 64 bits");
        let mut program = fs::read("/proc/self/exe").expect("this program");
        assert!(check_bytes(&program[..1000]).is_err(), "half a program");
        // The machine stands in two bytes from the 18th on; 183 is arm64.
        program[18] = 183;
        assert_eq!(check_bytes(&program).expect_err("another machine").to_string(), "it is not for x86-64");
    }

    #[test]
    fn a_program_that_needs_a_newer_c_library_is_refused_with_the_symbol_s_version() {
        let program = fs::read("/proc/self/exe").expect("this program");
        // Every test program needs this version at least: pretend that it is one of the future.
        let (old, new) = (b"GLIBC_2.34\0", b"GLIBC_2.99\0");
        let at = program.windows(old.len()).position(|bytes| bytes == old);
        let at = at.expect("a program built on this machine needs glibc 2.34");
        let mut newer = program.clone();
        newer[at..at + new.len()].copy_from_slice(new);
        let refused = check_bytes(&newer).expect_err("a newer library is needed");
        assert_eq!(refused.to_string(), "it needs GLIBC_2.99, and there is glibc 2.34");
    }
}
