//! Every relative link leads to a file of the repository and, with an anchor, to one of its headings.

use std::{collections::BTreeMap, path::Path};

use crate::{assert_no_problems, documents, root};

#[test]
fn every_link_leads_to_a_file_and_heading() {
    let documents = documents();
    let anchors: BTreeMap<_, _> =
        documents.iter().map(|document| (root().join(&document.path), document.anchors())).collect();
    let mut problems = Vec::new();
    for document in &documents {
        let file = root().join(&document.path);
        for link in document.links().iter().filter(|link| !link.contains("://")) {
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() { file.clone() } else { sibling(&file, path) };
            let Ok(target) = target.canonicalize() else {
                problems.push(format!("{}: no such file: {link}", document.path));
                continue;
            };
            let has_anchor = anchors.get(&target).is_some_and(|known| known.iter().any(|one| one == anchor));
            if !anchor.is_empty() && !has_anchor {
                problems.push(format!("{}: no such heading: {link}", document.path));
            }
        }
    }
    assert_no_problems(&problems);
}

fn sibling(file: &Path, path: &str) -> std::path::PathBuf {
    file.parent().expect("a file is in a folder").join(path)
}
