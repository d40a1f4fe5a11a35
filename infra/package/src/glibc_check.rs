//! Checks that Amazon Linux 2023 can load a program or a library: its ELF format, glibc version and shared libraries.

use std::{fs, path::Path};

use anyhow::{Context, bail, ensure};
use object::{
    Endianness,
    elf::{DT_NEEDED, EM_X86_64, FileHeader64, VER_FLG_WEAK},
    read::elf::{Dyn, FileHeader},
};

/// The glibc version of Amazon Linux 2023, which does not change during its lifetime.
pub(crate) const GLIBC: (u32, u32) = (2, 34);

/// The shared libraries of `provided.al2023` that the functions may need.
const AVAILABLE_LIBRARIES: [&str; 7] =
    ["ld-linux-x86-64.so.2", "libc.so.6", "libdl.so.2", "libgcc_s.so.1", "libm.so.6", "libpthread.so.0", "librt.so.1"];

/// Fails unless the file is ELF for x86-64 and needs only available libraries and glibc symbols.
pub(crate) fn check(file: &Path) -> anyhow::Result<()> {
    let bytes = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    check_bytes(&bytes).with_context(|| format!("Lambda cannot load {}", file.display()))
}

fn check_bytes(bytes: &[u8]) -> anyhow::Result<()> {
    let header = FileHeader64::<Endianness>::parse(bytes).context("it is not a 64-bit ELF file")?;
    let endian = header.endian()?;
    ensure!(header.e_machine(endian) == EM_X86_64, "it is not for x86-64");
    let sections = header.sections(endian, bytes)?;
    if let Some((mut libraries, link)) = sections.gnu_verneed(endian, bytes)? {
        let strings = sections.strings(endian, bytes, link)?;
        while let Some((_, mut versions)) = libraries.next()? {
            while let Some(version) = versions.next()? {
                let name = String::from_utf8_lossy(version.name(endian, strings)?);
                // The loader ignores missing weak versions.
                let is_weak = version.vna_flags.get(endian).contains(VER_FLG_WEAK);
                ensure!(is_weak || is_available(&name), "it needs {name}, but glibc is {}.{}", GLIBC.0, GLIBC.1);
            }
        }
    }
    if let Some((entries, link)) = sections.dynamic(endian, bytes)? {
        let strings = sections.strings(endian, bytes, link)?;
        for entry in entries.iter().filter(|entry| entry.tag(endian) == DT_NEEDED) {
            let name = String::from_utf8_lossy(entry.string(endian, strings)?);
            if !AVAILABLE_LIBRARIES.contains(&&*name) {
                bail!("it needs the shared library {name}, which is not available");
            }
        }
    }
    Ok(())
}

/// Whether a symbol version is available. Only glibc versions are checked: those of other libraries are old enough.
fn is_available(version: &str) -> bool {
    let Some(number) = version.strip_prefix("GLIBC_") else { return true };
    let mut parts = number.split('.').map(str::parse::<u32>);
    // Versions without a number are newer, e.g. GLIBC_ABI_DT_RELR of glibc 2.36.
    let (Some(Ok(major)), Some(Ok(minor))) = (parts.next(), parts.next()) else { return false };
    (major, minor) <= GLIBC
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_up_to_the_glibc_version_are_available() {
        for available in ["GLIBC_2.2.5", "GLIBC_2.17", "GLIBC_2.34", "GCC_3.3"] {
            assert!(is_available(available), "{available}");
        }
        for newer in ["GLIBC_2.35", "GLIBC_2.100", "GLIBC_3.0", "GLIBC_ABI_DT_RELR", "GLIBC_"] {
            assert!(!is_available(newer), "{newer}");
        }
    }

    #[test]
    fn files_that_are_not_programs_for_lambda_are_rejected() {
        let refused = check_bytes(b"#!/bin/sh\n").expect_err("a script is rejected");
        assert_eq!(refused.to_string(), "it is not a 64-bit ELF file");
        let mut program = fs::read("/proc/self/exe").expect("the test program can be read");
        assert!(check_bytes(&program[..1000]).is_err(), "a truncated program");
        // Bytes 18 and 19 are e_machine; 183 is EM_AARCH64.
        program[18] = 183;
        assert_eq!(check_bytes(&program).expect_err("another machine is rejected").to_string(), "it is not for x86-64");
    }

    #[test]
    fn a_program_that_needs_a_newer_glibc_is_rejected() {
        let program = fs::read("/proc/self/exe").expect("the test program can be read");
        // Replaces a version that every test program needs by a future one.
        let old = b"GLIBC_2.34\0";
        let new = b"GLIBC_2.99\0";
        let position = program.windows(old.len()).position(|bytes| bytes == old);
        let start = position.expect("a program built on this machine needs glibc 2.34");
        let mut newer = program.clone();
        newer[start..start + new.len()].copy_from_slice(new);
        let refused = check_bytes(&newer).expect_err("a newer glibc is rejected");
        assert_eq!(refused.to_string(), "it needs GLIBC_2.99, but glibc is 2.34");
    }
}
