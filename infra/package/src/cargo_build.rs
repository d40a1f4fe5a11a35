//! Builds the programs with Cargo.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    ffi::OsString,
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context, ensure};
use serde_json::Value;

use crate::{
    functions::{FUNCTIONS, Programs, repository},
    glibc_check::GLIBC,
    zig::Zig,
};

/// Builds with the local toolchain.
pub(crate) fn build_for_this_machine() -> anyhow::Result<Programs> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut build = Command::new(cargo);
    build.arg("build");
    run_build(build)
}

/// Builds against the C library of Amazon Linux 2023.
pub(crate) fn build_with_zig(zig: &Zig) -> anyhow::Result<Programs> {
    let mut build = Command::new(&zig.cargo_zigbuild);
    build.args(["zigbuild", "--target"]).arg(format!("x86_64-unknown-linux-gnu.{}.{}", GLIBC.0, GLIBC.1));
    build.env("CARGO_ZIGBUILD_ZIG_PATH", &zig.zig);
    run_build(build)
}

/// Runs a release build of all functions and returns the paths of their programs.
fn run_build(mut build: Command) -> anyhow::Result<Programs> {
    let packages: BTreeSet<_> = FUNCTIONS.iter().map(|function| function.package).collect();
    for package in packages {
        build.args(["--package", package]);
    }
    build.args(["--release", "--locked", "--bins", "--message-format", "json-render-diagnostics"]);
    let output = build.current_dir(repository()).stderr(Stdio::inherit()).output().context("cannot start Cargo")?;
    ensure!(output.status.success(), "cannot build the functions: Cargo exited with {}", output.status);
    let executables: BTreeMap<String, PathBuf> =
        output.stdout.split(|byte| *byte == b'\n').filter_map(parse_executable).collect();
    let find = |name: &str| executables.get(name).cloned().with_context(|| format!("Cargo did not build {name}"));
    FUNCTIONS.into_iter().map(|function| Ok((function, find(function.name)?))).collect()
}

/// Parses a JSON message of Cargo. Returns the name and the path of a built program, or `None` for other messages.
fn parse_executable(line: &[u8]) -> Option<(String, PathBuf)> {
    let message: Value = serde_json::from_slice(line).ok()?;
    let path = message["executable"].as_str()?;
    Some((message["target"]["name"].as_str()?.to_owned(), PathBuf::from(path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_among_other_messages() {
        let program = br#"{"reason":"compiler-artifact","target":{"name":"notifier"},"executable":"/t/notifier"}"#;
        assert_eq!(parse_executable(program), Some(("notifier".to_owned(), PathBuf::from("/t/notifier"))));
        let library = br#"{"reason":"compiler-artifact","target":{"name":"serde"},"executable":null}"#;
        assert_eq!((parse_executable(library), parse_executable(b""), parse_executable(b"{}")), (None, None, None));
    }
}
