//! The modules of one crate target, and which module defines what a path inside the crate names.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// The names from the crate root to a module. The path of the root is empty.
pub(crate) type ModulePath = Vec<String>;

#[derive(Debug, Default)]
pub(crate) struct ModuleTree {
    pub(crate) modules: BTreeMap<ModulePath, Module>,
}

#[derive(Debug, Default)]
pub(crate) struct Module {
    /// The file that the module is written in. Inline modules share the file of their parent.
    pub(crate) file: PathBuf,
    /// Each name that a `use` declaration binds, with the path it stands for.
    pub(crate) imports: Vec<(String, Vec<String>)>,
    /// The paths that make the file import others, in the order of the source.
    pub(crate) named_paths: Vec<NamedPath>,
}

#[derive(Debug)]
pub(crate) struct NamedPath {
    /// E.g. `["crate", "limits", "MAX_PAGES"]`.
    pub(crate) segments: Vec<String>,
    pub(crate) file: PathBuf,
    pub(crate) line: usize,
}

/// What a path leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    Module(ModulePath),
    /// An item that this module defines.
    ItemOf(ModulePath),
}

impl ModuleTree {
    /// Returns what a path in the source of `module` leads to, through re-exports. Returns `None` when it leaves the
    /// crate or names an item of `module` itself.
    pub(crate) fn resolve(&self, module: &ModulePath, segments: &[String]) -> Option<Target> {
        self.resolve_path(module, segments, &mut Vec::new())
    }

    fn resolve_path(
        &self,
        module: &ModulePath,
        segments: &[String],
        visited: &mut Vec<(ModulePath, String)>,
    ) -> Option<Target> {
        let mut target = Target::Module(module.clone());
        for (position, name) in segments.iter().enumerate() {
            let Target::Module(current) = &target else { break };
            let is_last = position + 1 == segments.len();
            let found = match name.as_str() {
                "crate" => Some(Target::Module(Vec::new())),
                "self" => Some(target.clone()),
                "super" => Some(Target::Module(current[..current.len().saturating_sub(1)].to_vec())),
                name if is_last => {
                    self.lookup_import(current, name, visited).or_else(|| self.lookup_child(current, name))
                }
                // A function may have the name of its module: where more of the path follows, it is the module.
                name => self.lookup_child(current, name).or_else(|| self.lookup_import(current, name, visited)),
            };
            target = match found {
                Some(found) => found,
                None if position == 0 || self.binds(current, name) => return None,
                None => Target::ItemOf(current.clone()),
            };
        }
        Some(target)
    }

    fn lookup_child(&self, module: &ModulePath, name: &str) -> Option<Target> {
        let child = [module.as_slice(), &[name.to_owned()]].concat();
        self.modules.contains_key(&child).then_some(Target::Module(child))
    }

    /// Whether a `use` declaration of a module binds `name`, also to an item of another crate.
    fn binds(&self, module: &ModulePath, name: &str) -> bool {
        self.modules[module].imports.iter().any(|(bound, _)| bound == name)
    }

    /// Follows the `use` declarations of a module that bind `name`. `visited` ends imports that lead to each other.
    fn lookup_import(
        &self,
        module: &ModulePath,
        name: &str,
        visited: &mut Vec<(ModulePath, String)>,
    ) -> Option<Target> {
        let step = (module.clone(), name.to_owned());
        if visited.contains(&step) {
            return None;
        }
        visited.push(step);
        let mut imports = self.modules[module].imports.iter().filter(|(bound, _)| bound == name);
        let target = imports.find_map(|(_, segments)| self.resolve_path(module, segments, visited));
        visited.pop();
        target
    }
}
