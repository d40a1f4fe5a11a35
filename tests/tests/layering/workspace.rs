//! Reads the workspace: the crates from `cargo metadata`, and the source files from the repository.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::module_reader::SourceFiles;

/// Returns the normal dependencies of each crate of the workspace, without those of its tests and its build.
pub(crate) fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    packages().iter().map(|package| (name(package), normal_dependencies(package))).collect()
}

fn normal_dependencies(package: &Value) -> BTreeSet<String> {
    let dependencies = package["dependencies"].as_array().expect("dependencies are a list");
    dependencies.iter().filter(|dependency| dependency["kind"].is_null()).map(name).collect()
}

/// Returns the root file of each library and binary with the name of its crate. The path is relative to the repository.
pub(crate) fn crate_roots() -> Vec<(String, PathBuf)> {
    let root = repository();
    let mut roots = Vec::new();
    for package in packages() {
        for target in package["targets"].as_array().expect("targets are a list") {
            let kinds = target["kind"].as_array().expect("a target has kinds");
            if kinds.iter().any(|kind| kind == "lib" || kind == "bin") {
                let path = Path::new(target["src_path"].as_str().expect("a target has a root file"));
                roots.push((name(&package), relative_to(&root, path)));
            }
        }
    }
    assert!(!roots.is_empty(), "the workspace must have libraries");
    roots
}

/// Returns the packages of the workspace, as `cargo metadata` lists them.
pub(crate) fn packages() -> Vec<Value> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--offline", "--no-deps", "--format-version", "1"])
        .current_dir(repository())
        .output()
        .expect("cargo starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo writes JSON");
    metadata["packages"].as_array().expect("packages are a list").clone()
}

/// Returns the `name` of a package or a dependency.
pub(crate) fn name(value: &Value) -> String {
    value["name"].as_str().expect("it has a name").to_owned()
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this crate is in the repository").to_owned()
}

fn relative_to(root: &Path, path: &Path) -> PathBuf {
    path.strip_prefix(root).expect("the path is inside the repository").to_owned()
}

/// Returns every Rust file of the repository, by its path from the root.
pub(crate) fn source_files() -> SourceFiles {
    let root = repository();
    let mut paths = Vec::new();
    collect_rust_files(&root, &mut paths);
    assert!(paths.len() > 100, "{} must be the repository", root.display());
    paths
        .iter()
        .map(|path| (relative_to(&root, path), fs::read_to_string(path).expect("a source file is UTF-8")))
        .collect()
}

fn collect_rust_files(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the folder can be read") {
        let path = entry.expect("the folder can be read").path();
        let name = path.file_name().expect("an entry has a name").to_string_lossy();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            collect_rust_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}
