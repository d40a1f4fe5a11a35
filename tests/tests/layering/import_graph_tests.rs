//! Tests of the import graph on small synthetic crates.

use std::path::Path;

use crate::{
    import_graph::ImportGraph,
    module_reader::{SourceFiles, read_modules},
};

fn graph(files: &[(&str, &str)]) -> ImportGraph {
    let files: SourceFiles = files.iter().map(|(path, text)| (path.into(), (*text).to_owned())).collect();
    ImportGraph::of(&read_modules(&files, Path::new("lib.rs")))
}

/// Returns the imports as `importer > imported`, by the names of the files without `.rs`.
fn imports(files: &[(&str, &str)]) -> Vec<String> {
    let graph = graph(files);
    let name = |path: &Path| path.with_extension("").display().to_string();
    let pairs = graph.pairs().into_iter();
    let mut imports: Vec<_> =
        pairs.map(|(importer, imported)| format!("{} > {}", name(importer), name(imported))).collect();
    imports.sort();
    imports
}

#[test]
fn an_import_leads_to_the_file_that_defines_the_item() {
    let files = [("lib.rs", "mod a; mod b;"), ("a.rs", "use crate::b::B;"), ("b.rs", "pub struct B;")];
    assert_eq!(imports(&files), ["a > b"]);
}

#[test]
fn groups_and_paths_in_code_are_imports() {
    let files = [
        ("lib.rs", "mod a; mod b; mod c; mod d;"),
        ("a.rs", "use crate::{b::{self, B}, c}; fn f() { c::g(); super::d::h() }"),
        ("b.rs", ""),
        ("c.rs", ""),
        ("d.rs", ""),
    ];
    assert_eq!(imports(&files), ["a > b", "a > c", "a > d"]);
}

#[test]
fn a_module_that_is_imported_and_not_used_counts_as_no_import() {
    let files = [("lib.rs", "mod a; mod b;"), ("a.rs", "use crate::b;"), ("b.rs", "")];
    assert!(imports(&files).is_empty());
}

#[test]
fn re_exports_are_followed_to_the_definition() {
    let files = [
        ("lib.rs", "mod a; mod b; pub use b::B;"),
        ("a.rs", "use crate::B;"),
        ("b/mod.rs", "mod c; pub(crate) use self::c::D as B;"),
        ("b/c.rs", "pub struct D;"),
    ];
    assert_eq!(imports(&files), ["a > b/c"]);
}

#[test]
fn an_item_of_another_crate_is_not_an_import() {
    let files = [("lib.rs", "mod a; pub use url::Url;"), ("a.rs", "use crate::Url; fn f() -> crate::Url {}")];
    assert!(imports(&files).is_empty());
}

#[test]
fn a_re_export_counts_where_the_file_uses_the_name() {
    let files = [("lib.rs", "mod a; pub use a::{A, B}; fn f(_: B) {}"), ("a.rs", "use crate::f;")];
    assert_eq!(imports(&files), ["a > lib", "lib > a"]);
}

#[test]
fn items_of_the_parent_are_imports_of_its_children() {
    let files = [("lib.rs", "mod a;"), ("a.rs", "mod b; struct A; use b::B;"), ("a/b.rs", "use super::A; struct B;")];
    assert_eq!(imports(&files), ["a > a/b", "a/b > a"]);
    assert_eq!(graph(&files).cycles().len(), 1);
}

#[test]
fn a_function_with_the_name_of_its_module_is_found_in_it() {
    let files = [("lib.rs", "mod a; mod b; pub use b::b;"), ("a.rs", "use crate::b;"), ("b.rs", "pub fn b() {}")];
    assert_eq!(imports(&files), ["a > b"]);
}

#[test]
fn tests_and_comments_import_nothing() {
    let a = "
        //! See [`crate::b::B`].
        #[cfg(test)] use crate::b::{B, C};
        #[cfg(test)] mod tests { use crate::b::B; }
        #[cfg(all(test, unix))] fn f() -> crate::b::B { crate::b::B }
        #[cfg(test)] mod more;
        pub struct A;
    ";
    let files = [("lib.rs", "mod a; mod b;"), ("a.rs", a), ("b.rs", "use crate::a::A;")];
    assert_eq!(imports(&files), ["b > a"]);
}

#[test]
fn code_that_is_compiled_outside_tests_is_read() {
    let a = r#"
        #[cfg(not(test))] use crate::b::B;
        struct S { #[cfg(test)] x: crate::c::C, y: crate::d::D }
        #[cfg(any(test, feature = "x"))] fn f(_: crate::e::E) {}
    "#;
    let lib = "mod a; mod b; mod c; mod d; mod e;";
    let files = [("lib.rs", lib), ("a.rs", a), ("b.rs", ""), ("c.rs", ""), ("d.rs", ""), ("e.rs", "")];
    assert_eq!(imports(&files), ["a > b", "a > d", "a > e"]);
}

#[test]
fn inline_modules_belong_to_their_file() {
    let files = [
        ("lib.rs", "mod a; mod b;"),
        ("a.rs", "mod inner { use super::super::b::B; use super::X; mod deep; } struct X;"),
        ("a/inner/deep.rs", "use super::super::X;"),
        ("b.rs", "use crate::a::inner::Y;"),
    ];
    assert_eq!(imports(&files), ["a > b", "a/inner/deep > a", "b > a"]);
}

#[test]
fn both_files_of_a_conditional_path_are_read() {
    let lib = r#"#[cfg_attr(not(feature = "x"), path = "without.rs")] mod with; mod b;"#;
    let files = [("lib.rs", lib), ("with.rs", "use crate::b::B;"), ("without.rs", "use crate::b::B;"), ("b.rs", "")];
    assert_eq!(imports(&files), ["with > b", "without > b"]);
}

#[test]
fn serde_attributes_name_modules() {
    let a = r#"struct S { #[serde(default, with = "crate::b::hex")] x: u8, #[doc = "crate::c::C"] y: u8 }"#;
    let files = [("lib.rs", "mod a; mod b; mod c;"), ("a.rs", a), ("b.rs", ""), ("c.rs", "")];
    assert_eq!(imports(&files), ["a > b"]);
}

#[test]
fn macros_name_their_own_crate() {
    let files = [("lib.rs", "mod a; mod b;"), ("a.rs", "macro_rules! m { () => { $crate::b::f() } }"), ("b.rs", "")];
    assert_eq!(imports(&files), ["a > b"]);
}

#[test]
fn macro_arguments_are_code() {
    let a = r#"fn f() { println!("{} {}", crate::b::LIMIT, vec![super::c::g::<u8>()].len()) }"#;
    let files = [("lib.rs", "mod a; mod b; mod c;"), ("a.rs", a), ("b.rs", ""), ("c.rs", "")];
    assert_eq!(imports(&files), ["a > b", "a > c"]);
}

#[test]
fn a_glob_of_variants_names_their_enum() {
    let files = [("lib.rs", "mod a; mod b;"), ("a.rs", "use crate::b::Color::*;"), ("b.rs", "pub enum Color { Red }")];
    assert_eq!(imports(&files), ["a > b"]);
}

#[test]
fn visibility_and_other_crates_are_no_imports() {
    let files = [
        ("lib.rs", "mod a; mod b;"),
        ("a.rs", "pub(in crate::b) fn f() {} use b::B; use std::fmt; use ::b::C; fn g() { fmt::Error; Self::h() }"),
        ("b.rs", ""),
    ];
    assert!(imports(&files).is_empty());
}

#[test]
fn a_cycle_is_found_through_several_files_and_described() {
    let files = [
        ("lib.rs", "mod a; mod b; mod c; mod d;"),
        ("a.rs", "use crate::b::B;"),
        ("b.rs", "use crate::c::C;"),
        ("c.rs", "\nuse crate::a::A;"),
        ("d.rs", "use crate::a::A;"),
    ];
    let graph = graph(&files);
    let cycles = graph.cycles();
    assert_eq!(cycles.len(), 1);
    let expected = "cycle of 3 files:
    a.rs:1 uses crate::b::B of b.rs
    b.rs:1 uses crate::c::C of c.rs
    c.rs:2 uses crate::a::A of a.rs
";
    assert_eq!(graph.describe(&cycles[0]), expected);
}

#[test]
fn separate_cycles_are_separate() {
    let files = [
        ("lib.rs", "mod a; mod b; mod c; mod d;"),
        ("a.rs", "use crate::b::B;"),
        ("b.rs", "use crate::a::A; use crate::c::C;"),
        ("c.rs", "use crate::d::D;"),
        ("d.rs", "use crate::c::C;"),
    ];
    assert_eq!(graph(&files).cycles().len(), 2);
}
