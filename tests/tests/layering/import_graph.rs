//! Which file of a crate imports which, and the cycles among them.
//!
//! What counts as an import of file B by file A:
//!
//! - `use` of an item that B **defines**, or a path to it in code. Re-exports are followed: `use crate::Page` counts as
//!   an import of `page.rs` where `lib.rs` only has `pub use page::Page`.
//! - The same holds between a module and its children: an item that a child takes from its parent, or a parent from its
//!   child, is an import.
//!
//! What does not count:
//!
//! - `mod child;`, and importing a module itself: `use crate::limits;` counts where the code names `limits::MAX_PAGES`.
//! - A re-export (`pub use`, `pub(crate) use`), unless the file's own code uses the name.
//! - `#[cfg(test)]` items, comments, and whatever is outside `src` (`tests`, `examples`, `benches`).
//! - Method calls on values: only names count, types are not inferred.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};

use crate::module_tree::{ModuleTree, NamedPath, Target};

/// The imports among the files of one crate target.
#[derive(Debug, Default)]
pub(crate) struct ImportGraph {
    imports: BTreeMap<PathBuf, BTreeMap<PathBuf, Reason>>,
}

/// The first path that makes one file import another.
#[derive(Debug, PartialEq, Eq)]
struct Reason {
    line: usize,
    path: String,
}

impl ImportGraph {
    pub(crate) fn of(tree: &ModuleTree) -> Self {
        let mut graph = Self::default();
        for (module_path, module) in &tree.modules {
            graph.imports.entry(module.file.clone()).or_default();
            for NamedPath { segments, file, line } in &module.named_paths {
                if let Some(Target::ItemOf(owner)) = tree.resolve(module_path, segments) {
                    let reason = Reason { line: *line, path: segments.join("::") };
                    graph.add(file, &tree.modules[&owner].file, reason);
                }
            }
        }
        graph
    }

    fn add(&mut self, importer: &Path, target: &Path, reason: Reason) {
        if importer != target {
            let imports = self.imports.entry(importer.to_owned()).or_default();
            imports.entry(target.to_owned()).or_insert(reason);
        }
    }

    /// Returns the pairs of importing and imported file.
    pub(crate) fn pairs(&self) -> Vec<(&Path, &Path)> {
        let pairs = self
            .imports
            .iter()
            .flat_map(|(importer, imports)| imports.keys().map(|imported| (importer.as_path(), imported.as_path())));
        pairs.collect()
    }

    /// Returns the largest sets of files of which each imports, directly or through others, all others.
    pub(crate) fn cycles(&self) -> Vec<BTreeSet<&Path>> {
        let reachable: BTreeMap<&Path, BTreeSet<&Path>> =
            self.imports.keys().map(|file| (file.as_path(), self.reachable_from(file))).collect();
        let mut cycles = BTreeSet::new();
        for (file, targets) in &reachable {
            let members: BTreeSet<&Path> =
                targets.iter().copied().filter(|target| reachable[target].contains(file)).collect();
            if !members.is_empty() {
                cycles.insert(members);
            }
        }
        cycles.into_iter().collect()
    }

    fn reachable_from(&self, file: &Path) -> BTreeSet<&Path> {
        let mut reached = BTreeSet::new();
        let mut waiting = vec![file];
        while let Some(importer) = waiting.pop() {
            for imported in self.imports.get(importer).into_iter().flat_map(BTreeMap::keys) {
                if reached.insert(imported.as_path()) {
                    waiting.push(imported);
                }
            }
        }
        reached
    }

    /// Describes a cycle: its number of files, and each import inside it with its line and path.
    pub(crate) fn describe(&self, cycle: &BTreeSet<&Path>) -> String {
        let mut text = format!("cycle of {} files:\n", cycle.len());
        for importer in cycle {
            let inside = self.imports[*importer].iter().filter(|(target, _)| cycle.contains(target.as_path()));
            for (target, Reason { line, path }) in inside {
                writeln!(text, "    {}:{line} uses {path} of {}", importer.display(), target.display())
                    .expect("a String accepts all text");
            }
        }
        text
    }
}
