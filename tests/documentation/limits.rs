//! The documentation stays readable: a short root README, and lines that fit a terminal.

use crate::{assert_no_problems, documents};

const ROOT_README_LINES: usize = 150;
const ROOT_README_WORDS: usize = 900;
const LINE_CHARACTERS: usize = 120;

#[test]
fn the_root_readme_is_short() {
    let documents = documents();
    let readme = documents.iter().find(|document| document.path == "README.md").expect("the root has a README");
    let words: usize = readme.lines.iter().map(|line| line.split_whitespace().count()).sum();
    assert!(readme.lines.len() <= ROOT_README_LINES, "{} lines, at most {ROOT_README_LINES}", readme.lines.len());
    assert!(words <= ROOT_README_WORDS, "{words} words, at most {ROOT_README_WORDS}");
}

/// Tables and links cannot be wrapped.
#[test]
fn no_line_is_too_long() {
    let mut problems = Vec::new();
    for document in documents() {
        for (index, line) in document.lines.iter().enumerate() {
            let may_be_long = line.starts_with('|') || line.contains("](");
            if !may_be_long && line.chars().count() > LINE_CHARACTERS {
                problems.push(format!("{}:{}: over {LINE_CHARACTERS} characters", document.path, index + 1));
            }
        }
    }
    assert_no_problems(&problems);
}
