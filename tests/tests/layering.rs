//! Who may know whom. The design names the layers; this reads what Cargo and the source files really say.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Every crate of the workspace, with those of the workspace that it may depend on. `*` is all of them.
const MAY_KNOW: &[(&str, &[&str])] = &[
    ("quire-tasks", &[]),
    ("quire-telemetry", &[]),
    ("quire-egress", &[]),
    ("quire-formats", &["quire-tasks"]),
    ("quire-native-libs", &[]),
    ("quire-platform", &["quire-tasks"]),
    ("quire-callback", &["quire-tasks"]),
    ("quire-redact", &["quire-tasks"]),
    ("quire-tenants", &["quire-tasks", "quire-platform", "quire-callback", "quire-telemetry"]),
    ("quire-document", &["quire-tasks"]),
    ("quire-ocr", &["quire-document", "quire-tasks"]),
    ("quire-openai-engine", &["quire-document", "quire-egress", "quire-ocr", "quire-tasks"]),
    ("quire-routes", &["quire-tasks", "quire-platform", "quire-telemetry"]),
    (
        "quire-submit",
        &[
            "quire-tasks",
            "quire-platform",
            "quire-routes",
            "quire-document",
            "quire-formats",
            "quire-redact",
            "quire-tenants",
            "quire-callback",
            "quire-egress",
            "quire-telemetry",
        ],
    ),
    (
        "quire-worker",
        &[
            "quire-tasks",
            "quire-platform",
            "quire-routes",
            "quire-document",
            "quire-ocr",
            "quire-redact",
            "quire-openai-engine",
            "quire-telemetry",
        ],
    ),
    (
        "quire-notifier",
        &["quire-tasks", "quire-platform", "quire-callback", "quire-tenants", "quire-egress", "quire-telemetry"],
    ),
    ("quire-dead-letter", &["quire-tasks", "quire-platform", "quire-redact", "quire-telemetry"]),
    ("quire-package", &["quire-native-libs"]),
    ("quire", &["*"]),
    ("quire-tests", &[]),
    ("quire-batch-simulation", &["quire-ocr", "quire-worker"]),
];

/// Crates from outside, and the few of ours that may know them. A name that ends in `*` is a prefix.
const HIDDEN: &[(&str, &[&str])] = &[
    ("rusqlite", &[PLATFORM]),
    ("aws-sdk-*", &[PLATFORM]),
    ("aws-config", &[PLATFORM]),
    ("aws-smithy-*", &[PLATFORM]),
    // The command may speak to its own server, as a client does.
    ("reqwest", &["quire-egress", "quire-openai-engine", "quire"]),
    ("ort", &["quire-ocr"]),
    ("pdfium-render", &["quire-document"]),
    ("image", &["quire-document"]),
    ("tiff", &["quire-document"]),
];

const PLATFORM: &str = "quire-platform";

/// A file that is longer has more than one subject. Half as long is the aim.
const MAX_LINES: usize = 450;

/// What each crate of the workspace needs in order to run: neither for its tests, nor for its build.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--offline", "--no-deps", "--format-version", "1"])
        .current_dir(root())
        .output()
        .expect("cargo starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo writes JSON");
    let packages = metadata["packages"].as_array().expect("packages are a list");
    packages.iter().map(|package| (name(package), needed(package))).collect()
}

fn needed(package: &Value) -> BTreeSet<String> {
    let dependencies = package["dependencies"].as_array().expect("dependencies are a list");
    dependencies.iter().filter(|dependency| dependency["kind"].is_null()).map(name).collect()
}

fn name(value: &Value) -> String {
    value["name"].as_str().expect("it has a name").to_owned()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this crate is in the repository").to_owned()
}

/// Every Rust file of the repository, by its path from the root.
fn sources() -> Vec<(PathBuf, String)> {
    let (root, mut files) = (root(), Vec::new());
    collect(&root, &mut files);
    assert!(files.len() > MAY_KNOW.len(), "the repository is somewhere else");
    files.sort();
    let relative = |path: &Path| path.strip_prefix(&root).expect("it is below the root").to_owned();
    files.iter().map(|path| (relative(path), fs::read_to_string(path).expect("it is UTF-8"))).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the folder can be read") {
        let path = entry.expect("the folder can be read").path();
        let name = path.file_name().expect("an entry has a name").to_string_lossy();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn matches(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == name, |prefix| name.starts_with(prefix))
}

#[test]
fn every_crate_has_its_place_in_the_layers() {
    let listed: BTreeSet<String> = MAY_KNOW.iter().map(|(name, _)| (*name).to_owned()).collect();
    let present: BTreeSet<String> = dependencies().into_keys().collect();
    assert_eq!(present, listed);
}

#[test]
fn no_crate_knows_one_above_it() {
    let dependencies = dependencies();
    for (name, allowed) in MAY_KNOW {
        let ours = dependencies[*name].iter().filter(|dependency| dependencies.contains_key(*dependency));
        let forbidden: Vec<_> = ours.filter(|found| !allowed.iter().any(|allowed| matches(allowed, found))).collect();
        assert!(forbidden.is_empty(), "{name} must not depend on {forbidden:?}");
    }
}

#[test]
fn what_one_crate_hides_no_other_depends_on() {
    for (name, needed) in dependencies() {
        for (hidden, owners) in HIDDEN.iter().filter(|(_, owners)| !owners.contains(&name.as_str())) {
            let found: Vec<_> = needed.iter().filter(|dependency| matches(hidden, dependency)).collect();
            assert!(found.is_empty(), "{name} must not depend on {found:?}, which only {owners:?} may");
        }
    }
}

#[test]
fn only_platform_names_the_database_and_the_cloud() {
    let platforms = HIDDEN.iter().filter(|(_, owners)| owners.contains(&PLATFORM));
    let hidden: Vec<_> = platforms.map(|(name, _)| name.trim_end_matches("-*").replace('-', "_")).collect();
    let knows = |path: &Path| path.starts_with("shared/platform") || path == Path::new(file!());
    let found: Vec<_> = sources()
        .into_iter()
        .filter(|(path, text)| !knows(path) && hidden.iter().any(|name| text.contains(name.as_str())))
        .map(|(path, _)| path)
        .collect();
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn no_file_is_too_long_to_read() {
    let found: Vec<_> = sources()
        .into_iter()
        .map(|(path, text)| (path, text.lines().count()))
        .filter(|(_, lines)| *lines >= MAX_LINES)
        .collect();
    assert!(found.is_empty(), "{MAX_LINES} lines or more: {found:?}");
}
