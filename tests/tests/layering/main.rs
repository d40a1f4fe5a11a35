//! Tests of the architecture: which crate may depend on which, no cycles among the files of a crate, and the length of
//! files. Reads `cargo metadata` and the source files.

mod import_graph;
mod import_graph_tests;
mod module_reader;
mod module_tree;
mod workspace;

use std::collections::BTreeSet;
use std::path::Path;

use import_graph::ImportGraph;
use module_reader::read_modules;
use workspace::{crate_roots, dependencies, name, packages, source_files};

/// Every crate of the workspace, with the crates of the workspace it may depend on. `*` allows all of them.
const MAY_KNOW: &[(&str, &[&str])] = &[
    ("quire-tasks", &[]),
    ("quire-telemetry", &[]),
    ("quire-egress", &["quire-telemetry"]),
    ("quire-fair-share", &[]),
    ("quire-formats", &["quire-tasks"]),
    ("quire-layout", &["quire-tasks"]),
    ("quire-native-libs", &[]),
    ("quire-platform", &["quire-fair-share", "quire-tasks"]),
    ("quire-platform-embedded", &["quire-fair-share", "quire-platform", "quire-tasks"]),
    ("quire-platform-aws", &["quire-platform", "quire-tasks"]),
    ("quire-callback", &["quire-formats", "quire-tasks"]),
    ("quire-redact", &["quire-tasks"]),
    ("quire-tenants", &["quire-tasks", "quire-platform", "quire-callback", "quire-telemetry"]),
    ("quire-document", &["quire-tasks"]),
    ("quire-sandbox", &["quire-document", "quire-tasks", "quire-telemetry"]),
    ("quire-hunyuan-ocr", &["quire-document", "quire-inference", "quire-ocr", "quire-tasks"]),
    ("quire-inference", &["quire-telemetry"]),
    ("quire-ocr", &["quire-document", "quire-tasks"]),
    ("quire-pp-ocr", &["quire-document", "quire-inference", "quire-tasks", "quire-telemetry"]),
    ("quire-openai-engine", &["quire-document", "quire-egress", "quire-ocr", "quire-tasks"]),
    ("quire-tesseract-engine", &["quire-document", "quire-tasks"]),
    ("quire-routes", &["quire-tasks", "quire-telemetry"]),
    (
        "quire-submit",
        &[
            "quire-tasks",
            "quire-platform",
            "quire-platform-aws",
            "quire-routes",
            "quire-document",
            "quire-sandbox",
            "quire-formats",
            "quire-redact",
            "quire-tenants",
            "quire-callback",
            "quire-egress",
            "quire-fair-share",
            "quire-telemetry",
        ],
    ),
    (
        "quire-worker",
        &[
            "quire-fair-share",
            "quire-layout",
            "quire-tasks",
            "quire-platform",
            "quire-routes",
            "quire-document",
            "quire-sandbox",
            "quire-ocr",
            "quire-pp-ocr",
            "quire-redact",
            "quire-openai-engine",
            "quire-telemetry",
            "quire-tesseract-engine",
        ],
    ),
    (
        "quire-notifier",
        &[
            "quire-tasks",
            "quire-platform",
            "quire-platform-aws",
            "quire-callback",
            "quire-tenants",
            "quire-egress",
            "quire-fair-share",
            "quire-telemetry",
        ],
    ),
    ("quire-dead-letter", &["quire-tasks", "quire-platform", "quire-platform-aws", "quire-redact", "quire-telemetry"]),
    ("quire-package", &["quire-native-libs"]),
    ("quire", &["*"]),
    ("quire-tests", &[]),
    ("quire-batch-simulation", &["quire-pp-ocr", "quire-worker"]),
];

/// External crates that only the listed crates may depend on. A name that ends in `*` is a prefix.
const HIDDEN: &[(&str, &[&str])] = &[
    ("rusqlite", &[EMBEDDED]),
    ("aws-sdk-*", &[AWS]),
    ("aws-config", &[AWS]),
    ("aws-smithy-*", &[AWS]),
    // The command is a client of its own server.
    ("reqwest", &["quire-egress", "quire-openai-engine", "quire"]),
    ("ort", &["quire-inference"]),
    ("hayro-syntax", &["quire-document"]),
    ("pdfium-render", &["quire-document"]),
    ("landlock", &["quire-sandbox"]),
    ("seccompiler", &["quire-sandbox"]),
    ("image", &["quire-document"]),
    ("tiff", &["quire-document"]),
    ("ttf-parser", &["quire-document"]),
];

/// The adapters of the platform. Only binaries choose one.
const EMBEDDED: &str = "quire-platform-embedded";
const AWS: &str = "quire-platform-aws";

/// A longer file has more than one subject. The aim is under 300 lines.
const MAX_LINES: usize = 450;

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
fn no_crate_depends_on_one_above_it() {
    let dependencies = dependencies();
    for (name, allowed) in MAY_KNOW {
        let ours = dependencies[*name].iter().filter(|dependency| dependencies.contains_key(*dependency));
        let forbidden: Vec<_> = ours.filter(|found| !allowed.iter().any(|allowed| matches(allowed, found))).collect();
        assert!(forbidden.is_empty(), "{name} must not depend on {forbidden:?}");
    }
}

#[test]
fn hidden_dependencies_stay_in_their_crates() {
    for (name, needed) in dependencies() {
        for (hidden, owners) in HIDDEN.iter().filter(|(_, owners)| !owners.contains(&name.as_str())) {
            let found: Vec<_> = needed.iter().filter(|dependency| matches(hidden, dependency)).collect();
            assert!(found.is_empty(), "{name} must not depend on {found:?}, which only {owners:?} may");
        }
    }
}

#[test]
fn only_the_adapters_name_the_database_and_the_cloud() {
    for (adapter, folder) in [(EMBEDDED, "shared/platform-embedded"), (AWS, "shared/platform-aws")] {
        let hidden = HIDDEN.iter().filter(|(_, owners)| owners.contains(&adapter));
        let hidden: Vec<_> = hidden.map(|(name, _)| name.trim_end_matches("-*").replace('-', "_")).collect();
        let may_name = |path: &Path| path.starts_with(folder) || path == Path::new(file!());
        let found: Vec<_> = source_files()
            .into_iter()
            .filter(|(path, text)| !may_name(path) && hidden.iter().any(|name| text.contains(name.as_str())))
            .map(|(path, _)| path)
            .collect();
        assert!(found.is_empty(), "only {adapter} may name {hidden:?}: {found:?}");
    }
}

#[test]
fn a_library_depends_on_an_adapter_only_for_optional_binaries() {
    for package in &packages() {
        let dependencies = package["dependencies"].as_array().expect("dependencies are a list");
        let forbidden: Vec<_> = dependencies
            .iter()
            .filter(|dependency| dependency["kind"].is_null() && dependency["optional"] == false)
            .map(name)
            .filter(|dependency| dependency == AWS || (dependency == EMBEDDED && name(package) != "quire"))
            .collect();
        assert!(forbidden.is_empty(), "{} must not depend on {forbidden:?}", name(package));
    }
}

#[test]
fn no_crate_has_a_cycle_of_files() {
    let files = source_files();
    let mut found = Vec::new();
    for (name, root) in crate_roots() {
        let graph = ImportGraph::of(&read_modules(&files, &root));
        found.extend(graph.cycles().iter().map(|cycle| format!("{name}: {}", graph.describe(cycle))));
    }
    assert!(
        found.is_empty(),
        "{} cycles of files; see import_graph.rs for what counts\n{}",
        found.len(),
        found.join("")
    );
}

#[test]
fn no_file_is_too_long_to_read() {
    let found: Vec<_> = source_files()
        .into_iter()
        .map(|(path, text)| (path, text.lines().count()))
        .filter(|(_, lines)| *lines >= MAX_LINES)
        .collect();
    assert!(found.is_empty(), "{MAX_LINES} lines or more: {found:?}");
}
