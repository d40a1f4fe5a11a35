//! Reads the modules of a crate target from its source files, with `syn`.
//!
//! Macro bodies have no syntax tree. Every name and every `a::b::c` in their tokens counts as a path.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use proc_macro2::{Ident, TokenStream, TokenTree};
use syn::{
    Attribute, Expr, ExprLit, ItemMod, ItemUse, Lit, LitStr, Macro, Meta, MetaList, MetaNameValue, Token, UseTree,
    VisRestricted, Visibility,
    ext::IdentExt,
    punctuated::Punctuated,
    visit::{self, Visit},
};

use crate::module_tree::{Module, ModulePath, ModuleTree, NamedPath};

/// The source files of a workspace by their paths.
pub(crate) type SourceFiles = BTreeMap<PathBuf, String>;

/// Reads the modules below `root`, e.g. `src/lib.rs`, as its `mod` declarations lead to them.
pub(crate) fn read_modules(files: &SourceFiles, root: &Path) -> ModuleTree {
    let mut tree = ModuleTree::default();
    let folder = parent_folder(root);
    ModuleReader { files, tree: &mut tree, module: Vec::new(), file: root.to_owned(), folder }.read_file();
    tree
}

/// Reads one module and its children into the tree.
struct ModuleReader<'a> {
    files: &'a SourceFiles,
    tree: &'a mut ModuleTree,
    module: ModulePath,
    file: PathBuf,
    /// Where the files of child modules are.
    folder: PathBuf,
}

impl ModuleReader<'_> {
    fn read_file(&mut self) {
        let file = self.file.clone();
        let text = self.files.get(&file).unwrap_or_else(|| panic!("{} must be a source file", file.display()));
        let syntax = syn::parse_file(text).unwrap_or_else(|error| panic!("{} must be Rust: {error}", file.display()));
        self.module().file = file;
        self.visit_file(&syntax);
    }

    fn module(&mut self) -> &mut Module {
        self.tree.modules.entry(self.module.clone()).or_default()
    }

    fn child(&mut self, name: &str, file: PathBuf) -> ModuleReader<'_> {
        let module = [self.module.as_slice(), &[name.to_owned()]].concat();
        ModuleReader { files: self.files, tree: self.tree, module, file, folder: self.folder.join(name) }
    }

    /// Returns the files of `mod name;`. A `path` attribute under `cfg_attr` adds a second one, before the default.
    fn child_files(&self, name: &str, attributes: &[Attribute]) -> Vec<PathBuf> {
        let other_file = path_attribute(attributes).map(|path| parent_folder(&self.file).join(path));
        let default_files = [self.folder.join(format!("{name}.rs")), self.folder.join(name).join("mod.rs")];
        let found: Vec<_> =
            other_file.into_iter().chain(default_files).filter(|file| self.files.contains_key(file)).collect();
        assert!(!found.is_empty(), "{} declares `mod {name};`, which has no file", self.file.display());
        found
    }

    fn add_path<'a>(&mut self, names: impl IntoIterator<Item = &'a Ident>) {
        let names: Vec<_> = names.into_iter().collect();
        let Some(last) = names.last() else { return };
        let path = NamedPath { segments: segments(&names), file: self.file.clone(), line: last.span().start().line };
        self.module().named_paths.push(path);
    }

    fn read_use_tree(&mut self, tree: &UseTree, prefix: &[&Ident], is_re_export: bool) {
        match tree {
            UseTree::Path(path) => {
                self.read_use_tree(&path.tree, &[prefix, &[&path.ident]].concat(), is_re_export);
            }
            UseTree::Group(group) => {
                group.items.iter().for_each(|tree| self.read_use_tree(tree, prefix, is_re_export));
            }
            UseTree::Name(name) => self.add_import(prefix, &name.ident, None, is_re_export),
            UseTree::Rename(rename) => self.add_import(prefix, &rename.ident, Some(&rename.rename), is_re_export),
            // Clippy forbids globs of modules. A glob of variants names their enum.
            UseTree::Glob(_) => self.add_path(prefix.iter().copied()),
        }
    }

    fn add_import(&mut self, prefix: &[&Ident], name: &Ident, alias: Option<&Ident>, is_re_export: bool) {
        // `a::{self}` binds `a`.
        let path = if name == "self" { prefix.to_vec() } else { [prefix, &[name]].concat() };
        let Some(bound) = alias.or(path.last().copied()) else { return };
        self.module().imports.push((bound.unraw().to_string(), segments(&path)));
        if !is_re_export {
            self.add_path(path);
        }
    }

    /// Reads the paths among the tokens of a macro or an attribute.
    fn read_tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<Ident> = Vec::new();
        let mut separator = String::new();
        for token in tokens {
            match token {
                TokenTree::Ident(name) => {
                    if separator != "::" {
                        self.add_path(&path);
                        path.clear();
                    }
                    separator.clear();
                    path.push(name);
                }
                TokenTree::Punct(punctuation) => separator.push(punctuation.as_char()),
                TokenTree::Literal(_) => separator.push('"'),
                TokenTree::Group(group) => {
                    separator.push('(');
                    self.read_tokens(group.stream());
                }
            }
        }
        self.add_path(&path);
    }
}

/// Visits nodes of these types, except those that only tests have.
macro_rules! visit_without_tests {
    ($($visit:ident: $Node:ident),*) => {
        $(fn $visit(&mut self, node: &syn::$Node) {
            if !is_for_tests(&node.attrs) {
                visit::$visit(self, node);
            }
        })*
    };
}

impl Visit<'_> for ModuleReader<'_> {
    visit_without_tests! {
        visit_item_const: ItemConst, visit_item_enum: ItemEnum, visit_item_fn: ItemFn, visit_item_impl: ItemImpl,
        visit_item_macro: ItemMacro, visit_item_static: ItemStatic, visit_item_struct: ItemStruct,
        visit_item_trait: ItemTrait, visit_item_type: ItemType, visit_impl_item_const: ImplItemConst,
        visit_impl_item_fn: ImplItemFn, visit_trait_item_fn: TraitItemFn, visit_field: Field, visit_variant: Variant,
        visit_arm: Arm, visit_field_value: FieldValue, visit_local: Local
    }

    fn visit_item_mod(&mut self, item: &ItemMod) {
        if is_for_tests(&item.attrs) {
            return;
        }
        let name = item.ident.unraw().to_string();
        if let Some((_, items)) = &item.content {
            let file = self.file.clone();
            let mut child = self.child(&name, file.clone());
            child.module().file = file;
            for item in items {
                child.visit_item(item);
            }
            return;
        }
        for file in self.child_files(&name, &item.attrs) {
            self.child(&name, file).read_file();
        }
    }

    fn visit_item_use(&mut self, item: &ItemUse) {
        // `::name` is always an external crate.
        if !is_for_tests(&item.attrs) && item.leading_colon.is_none() {
            self.read_use_tree(&item.tree, &[], !matches!(item.vis, Visibility::Inherited));
        }
    }

    fn visit_path(&mut self, path: &syn::Path) {
        if path.leading_colon.is_none() {
            self.add_path(path.segments.iter().map(|segment| &segment.ident));
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, invocation: &Macro) {
        self.visit_path(&invocation.path);
        self.read_tokens(invocation.tokens.clone());
    }

    /// Reads the strings of serde too, where it takes paths in them: `with = "crate::hex"`.
    fn visit_attribute(&mut self, attribute: &Attribute) {
        let Meta::List(list) = &attribute.meta else { return };
        self.read_tokens(list.tokens.clone());
        if list.path.is_ident("serde") {
            let arguments = arguments(list);
            let paths = arguments.iter().filter_map(|argument| string_value(argument)?.parse().ok());
            paths.for_each(|path| self.visit_path(&path));
        }
    }

    /// Leaves out the path of `pub(in path)`.
    fn visit_vis_restricted(&mut self, _: &VisRestricted) {}
}

fn is_for_tests(attributes: &[Attribute]) -> bool {
    let mut conditions = attributes.iter().filter(|attribute| attribute.path().is_ident("cfg"));
    conditions.any(|attribute| attribute.parse_args().is_ok_and(|condition| requires_test(&condition)))
}

fn requires_test(condition: &Meta) -> bool {
    match condition {
        Meta::Path(path) => path.is_ident("test"),
        Meta::List(list) if list.path.is_ident("all") => arguments(list).iter().any(requires_test),
        Meta::List(list) if list.path.is_ident("any") => arguments(list).iter().all(requires_test),
        Meta::List(_) | Meta::NameValue(_) => false,
    }
}

/// Returns the file of `path = "file.rs"`, also where it is an argument of `cfg_attr`.
fn path_attribute(attributes: &[Attribute]) -> Option<String> {
    let file = |meta: &Meta| string_value(meta).filter(|_| meta.path().is_ident("path")).map(LitStr::value);
    attributes.iter().find_map(|attribute| match &attribute.meta {
        Meta::List(list) if list.path.is_ident("cfg_attr") => arguments(list).iter().find_map(file),
        meta => file(meta),
    })
}

/// Returns the string of `name = "string"`.
fn string_value(meta: &Meta) -> Option<&LitStr> {
    let Meta::NameValue(MetaNameValue { value: Expr::Lit(ExprLit { lit: Lit::Str(text), .. }), .. }) = meta else {
        return None;
    };
    Some(text)
}

fn arguments(list: &MetaList) -> Vec<Meta> {
    let arguments = list.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated);
    arguments.into_iter().flatten().collect()
}

fn segments(names: &[&Ident]) -> Vec<String> {
    names.iter().map(|name| name.unraw().to_string()).collect()
}

fn parent_folder(file: &Path) -> PathBuf {
    file.parent().expect("a file is in a folder").to_owned()
}
