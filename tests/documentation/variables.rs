//! The table of environment variables lists exactly the variables that the source reads.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use crate::{collect, documents, root};

const REFERENCE: &str = "functions/quire/README.md";
/// What a variable of ours starts with.
const PREFIX: &str = "QUIRE_";
/// Scripts that read variables.
const SCRIPTS: [&str; 3] = ["infra/check", "localstack/up", "localstack/emulators.py"];
/// Folders of code that customers and operators run.
const CODE: [&str; 3] = ["functions", "shared", "infra/package"];

#[test]
fn the_reference_lists_exactly_the_variables_that_the_source_reads() {
    let read: BTreeSet<String> = read_by_programs().into_iter().chain(read_by_scripts()).collect();
    let documents = documents();
    let reference = documents.iter().find(|document| document.path == REFERENCE).expect("the reference exists");
    let cells = reference.lines.iter().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let listed: Vec<String> = cells.map(|(name, _)| name.to_owned()).filter(|name| name.starts_with(PREFIX)).collect();
    let unique: BTreeSet<String> = listed.iter().cloned().collect();
    assert_eq!(listed.len(), unique.len(), "a variable is listed twice");
    let missing: Vec<_> = read.difference(&unique).collect();
    let unknown: Vec<_> = unique.difference(&read).collect();
    assert!(missing.is_empty() && unknown.is_empty(), "{REFERENCE} lacks {missing:?} and wrongly lists {unknown:?}");
}

/// String literals that are the name of a variable, outside of tests.
fn read_by_programs() -> BTreeSet<String> {
    let mut files = Vec::new();
    for folder in CODE {
        collect(&root().join(folder), "rs", &mut files);
    }
    let sources = files.iter().filter(|path| is_source(path));
    let texts = sources.map(|path| fs::read_to_string(path).expect("source is UTF-8"));
    texts.flat_map(|text| literals(without_tests(&text))).collect()
}

/// Whether the file is part of a program or library: below `src`, and not a module of tests.
fn is_source(path: &Path) -> bool {
    let parts: Vec<_> = path.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    let Some(src) = parts.iter().position(|part| part == "src") else { return false };
    parts[src..].iter().all(|part| part != "tests" && part != "tests.rs")
}

/// Returns the text before its module of unit tests, which is the last item of a file.
fn without_tests(text: &str) -> &str {
    text.split_once("#[cfg(test)]\nmod tests {").map_or(text, |(code, _)| code)
}

fn literals(text: &str) -> Vec<String> {
    let names = text.split('"').filter(|part| part.starts_with(PREFIX));
    names.filter(|name| is_name(name)).map(str::to_owned).collect()
}

fn is_name(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
}

/// Variables that scripts read: `${NAME…}` in a shell, `os.environ` in Python.
fn read_by_scripts() -> BTreeSet<String> {
    let scripts = SCRIPTS.map(|path| root().join(path));
    let texts = scripts.iter().map(|path: &PathBuf| fs::read_to_string(path).expect("the script exists"));
    texts.flat_map(|text| script_reads(&text)).collect()
}

fn script_reads(text: &str) -> Vec<String> {
    let reads = ["${", "environ.get(\"", "environ[\""];
    let places = reads.iter().flat_map(|read| text.split(read).skip(1));
    let names = places.map(|rest| rest.chars().take_while(|c| is_name(c.encode_utf8(&mut [0; 4]))).collect::<String>());
    names.filter(|name| name.starts_with(PREFIX)).collect()
}
