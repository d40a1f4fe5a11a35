//! The programs, by Cargo.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    ffi::OsString,
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context, ensure};
use serde_json::Value;

use crate::{FUNCTIONS, Programs, elf::GLIBC, root, zig::Zig};

/// Built with what is here.
pub(crate) fn on_this_machine() -> anyhow::Result<Programs> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut build = Command::new(cargo);
    build.arg("build");
    functions(build)
}

/// Built against the C library of Lambda.
pub(crate) fn with_zig(zig: &Zig) -> anyhow::Result<Programs> {
    let mut build = Command::new(&zig.cargo_zigbuild);
    build.args(["zigbuild", "--target"]).arg(format!("x86_64-unknown-linux-gnu.{}.{}", GLIBC.0, GLIBC.1));
    build.env("CARGO_ZIGBUILD_ZIG_PATH", &zig.zig);
    functions(build)
}

fn functions(mut build: Command) -> anyhow::Result<Programs> {
    let packages: BTreeSet<_> = FUNCTIONS.iter().map(|function| function.package).collect();
    for package in packages {
        build.args(["--package", package]);
    }
    build.args(["--release", "--locked", "--bins", "--message-format", "json-render-diagnostics"]);
    let output = build.current_dir(root()).stderr(Stdio::inherit()).output().context("Cargo cannot be started")?;
    ensure!(output.status.success(), "the functions could not be built: Cargo ended with {}", output.status);
    let executables: BTreeMap<String, PathBuf> =
        output.stdout.split(|byte| *byte == b'\n').filter_map(executable).collect();
    let found = |name: &str| executables.get(name).cloned().with_context(|| format!("Cargo built no {name}"));
    FUNCTIONS.into_iter().map(|function| Ok((function, found(function.name)?))).collect()
}

/// The name and the path of a program that a line of Cargo's is about.
fn executable(line: &[u8]) -> Option<(String, PathBuf)> {
    let message: Value = serde_json::from_slice(line).ok()?;
    let path = message["executable"].as_str()?;
    Some((message["target"]["name"].as_str()?.to_owned(), PathBuf::from(path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_among_all_that_cargo_says() {
        let program = br#"{"reason":"compiler-artifact","target":{"name":"notifier"},"executable":"/t/notifier"}"#;
        assert_eq!(executable(program), Some(("notifier".to_owned(), PathBuf::from("/t/notifier"))));
        let library = br#"{"reason":"compiler-artifact","target":{"name":"serde"},"executable":null}"#;
        assert_eq!((executable(library), executable(b""), executable(b"{}")), (None, None, None));
    }
}
