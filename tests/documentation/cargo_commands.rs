//! Cargo commands in the documentation. Building for release or running all tests takes minutes, so a cheap equivalent
//! is checked: the program runs as the test's own build, and names of packages, examples and tests must exist.

use std::{collections::BTreeMap, process::Command, sync::OnceLock};

use serde_json::Value;

use crate::root;

/// The targets of a package, as `KIND NAME`, e.g. `example queue_rate`.
type Targets = Vec<String>;

/// Returns the replacement of a line of a shell block; `Ok(None)` if the line is not a Cargo command.
///
/// # Errors
/// What is wrong with the command.
pub(crate) fn equivalent(line: &str) -> Result<Option<String>, String> {
    let command = line.split(" #").next().unwrap_or(line).trim();
    let words: Vec<&str> = command.split_whitespace().skip_while(|word| word.contains('=')).collect();
    if words.first() != Some(&"cargo") {
        return Ok(None);
    }
    if let Some((_, arguments)) = command.split_once(" -- ")
        && option(&words, "-p").is_none()
        && words[1] == "run"
    {
        return Ok(Some(format!("quire {arguments}")));
    }
    match words[1..] {
        ["test", "--workspace"] => {}
        ["install", "--path", folder] if root().join(folder).join("Cargo.toml").is_file() => {}
        ["test" | "run" | "build", ..] => check_names(&words)?,
        _ => return Err("a Cargo command that the test does not know".to_owned()),
    }
    Ok(Some(":".to_owned()))
}

/// Checks that the package and the targets of the command exist.
fn check_names(words: &[&str]) -> Result<(), String> {
    let package = option(words, "-p").ok_or("a Cargo command without -p")?;
    let targets = packages().get(package).ok_or_else(|| format!("no such package: {package}"))?;
    for (flag, kind) in [("--example", "example"), ("--test", "test"), ("--bin", "bin")] {
        if let Some(name) = option(words, flag)
            && !targets.contains(&format!("{kind} {name}"))
        {
            return Err(format!("the package {package} has no {kind} {name}"));
        }
    }
    let runs_a_program = words[1] == "run" && option(words, "--example").is_none();
    if runs_a_program && !targets.iter().any(|target| target.starts_with("bin ")) {
        return Err(format!("the package {package} has no program"));
    }
    Ok(())
}

fn option<'a>(words: &[&'a str], flag: &str) -> Option<&'a str> {
    let at = words.iter().position(|word| *word == flag)?;
    words.get(at + 1).copied()
}

/// The packages of the workspace.
fn packages() -> &'static BTreeMap<String, Targets> {
    static PACKAGES: OnceLock<BTreeMap<String, Targets>> = OnceLock::new();
    PACKAGES.get_or_init(|| {
        let output = Command::new(env!("CARGO"))
            .args(["metadata", "--offline", "--no-deps", "--format-version", "1"])
            .current_dir(root())
            .output()
            .expect("cargo starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo writes JSON");
        let packages = metadata["packages"].as_array().expect("packages are a list");
        packages.iter().map(|package| (text(&package["name"]), targets(package))).collect()
    })
}

fn targets(package: &Value) -> Targets {
    let targets = package["targets"].as_array().expect("targets are a list");
    targets.iter().map(|target| format!("{} {}", text(&target["kind"][0]), text(&target["name"]))).collect()
}

fn text(value: &Value) -> String {
    value.as_str().expect("a string").to_owned()
}

#[test]
fn cargo_commands_are_replaced_or_checked() {
    assert_eq!(equivalent("ls -l"), Ok(None));
    assert_eq!(equivalent("cargo run --release -- read a.pdf # text"), Ok(Some("quire read a.pdf".to_owned())));
    assert_eq!(equivalent("X=1 cargo test -p quire --test documentation"), Ok(Some(":".to_owned())));
    assert_eq!(equivalent("cargo test --workspace"), Ok(Some(":".to_owned())));
    assert!(equivalent("cargo run -p quire --example no_such").is_err_and(|why| why.contains("no example")));
    assert!(equivalent("cargo test -p no-such").is_err_and(|why| why.contains("no such package")));
    assert!(equivalent("cargo fix").is_err());
}
