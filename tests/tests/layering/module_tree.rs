//! The modules of one crate target, and which file a path inside the crate leads to.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::module_source::{ChildFile, ModuleSource};

/// The source files of a workspace by their paths.
pub(crate) type SourceFiles = BTreeMap<PathBuf, String>;

/// The modules of one crate target. The root has index 0.
#[derive(Debug)]
pub(crate) struct ModuleTree {
    modules: Vec<Module>,
}

#[derive(Debug)]
pub(crate) struct Module {
    /// The file that the module is written in. Inline modules share the file of their parent.
    pub(crate) file: PathBuf,
    pub(crate) source: ModuleSource,
    parent: usize,
    children: BTreeMap<String, usize>,
}

/// What a path leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    Module(usize),
    /// An item that this module defines.
    ItemOf(usize),
}

impl ModuleTree {
    /// Reads the modules below `root`, e.g. `src/lib.rs`, as its `mod` declarations lead to them.
    pub(crate) fn read(files: &SourceFiles, root: &Path) -> Self {
        let mut tree = Self { modules: Vec::new() };
        let folder = parent_folder(root);
        let text = files.get(root).unwrap_or_else(|| panic!("{} must be a source file", root.display()));
        tree.add(files, root, &folder, ModuleSource::parse(text), 0);
        tree
    }

    pub(crate) fn modules(&self) -> impl Iterator<Item = (usize, &Module)> {
        self.modules.iter().enumerate()
    }

    pub(crate) fn file(&self, module: usize) -> &Path {
        &self.modules[module].file
    }

    /// Adds a module and its children, whose files are in `folder`. Returns its index.
    fn add(
        &mut self,
        files: &SourceFiles,
        file: &Path,
        folder: &Path,
        mut source: ModuleSource,
        parent: usize,
    ) -> usize {
        let index = self.modules.len();
        let child_files = std::mem::take(&mut source.child_files);
        let inline_modules = std::mem::take(&mut source.inline_modules);
        self.modules.push(Module { file: file.to_owned(), source, parent, children: BTreeMap::new() });
        for (name, child_source) in inline_modules {
            let child = self.add(files, file, &folder.join(&name), child_source, index);
            self.modules[index].children.insert(name, child);
        }
        for declaration in child_files {
            self.add_files(files, file, folder, &declaration, index);
        }
        index
    }

    /// Adds the file of `mod name;`. A `path` attribute under `cfg_attr` adds a second one; paths lead to the default.
    fn add_files(&mut self, files: &SourceFiles, file: &Path, folder: &Path, declaration: &ChildFile, parent: usize) {
        let name = &declaration.name;
        let other_file = declaration.other_file.as_ref().map(|path| parent_folder(file).join(path));
        let default_files = [folder.join(format!("{name}.rs")), folder.join(name).join("mod.rs")];
        let mut found = 0;
        for child_file in other_file.into_iter().chain(default_files) {
            let Some(text) = files.get(&child_file) else { continue };
            let child = self.add(files, &child_file, &folder.join(name), ModuleSource::parse(text), parent);
            self.modules[parent].children.insert(name.clone(), child);
            found += 1;
        }
        assert!(found > 0, "{} declares `mod {name};`, which has no file", file.display());
    }

    /// Returns what a path in the source of `module` leads to, through re-exports, or `None` when it leaves the crate.
    pub(crate) fn resolve(&self, module: usize, segments: &[String]) -> Option<Target> {
        self.resolve_path(module, segments, &mut Vec::new())
    }

    fn resolve_path(&self, module: usize, segments: &[String], visited: &mut Vec<(usize, String)>) -> Option<Target> {
        let (first, rest) = segments.split_first()?;
        let mut target = match first.as_str() {
            "crate" => Target::Module(0),
            "self" => Target::Module(module),
            "super" => Target::Module(self.modules[module].parent),
            name => self.lookup(module, name, !rest.is_empty(), visited)?,
        };
        for (position, name) in rest.iter().enumerate() {
            let Target::Module(current) = target else { break };
            let is_last = position + 1 == rest.len();
            target = match name.as_str() {
                "super" => Target::Module(self.modules[current].parent),
                name => self.lookup(current, name, !is_last, visited).unwrap_or(Target::ItemOf(current)),
            };
        }
        Some(target)
    }

    /// Looks a name up among the children and the imports of a module. Prefers a child where more of the path follows:
    /// a function may have the name of its module.
    fn lookup(
        &self,
        module: usize,
        name: &str,
        prefers_child: bool,
        visited: &mut Vec<(usize, String)>,
    ) -> Option<Target> {
        let child = self.modules[module].children.get(name).map(|child| Target::Module(*child));
        if prefers_child && child.is_some() {
            return child;
        }
        self.lookup_import(module, name, visited).or(child)
    }

    fn lookup_import(&self, module: usize, name: &str, visited: &mut Vec<(usize, String)>) -> Option<Target> {
        let step = (module, name.to_owned());
        if visited.contains(&step) {
            return None;
        }
        visited.push(step);
        let mut imports = self.modules[module].source.imports.iter().filter(|import| import.name == name);
        let target = imports.find_map(|import| self.resolve_path(module, &import.segments, visited));
        visited.pop();
        target
    }
}

fn parent_folder(file: &Path) -> PathBuf {
    file.parent().expect("a file is in a folder").to_owned()
}
