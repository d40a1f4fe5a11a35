//! Missing runtimes. In a separate test binary, because a process can load a runtime only once.

use std::path::PathBuf;

use quire_pp_ocr::{Device, LoadError, ModelFiles, PpOcr, Provider};

#[test]
fn a_missing_or_invalid_runtime_is_an_error_with_the_variable_to_set() {
    let folder = tempfile::tempdir().expect("the folder can be created");
    let broken = folder.path().join("libonnxruntime.so");
    std::fs::write(&broken, "no library").expect("the file can be written");
    for library in [folder.path().join("none.so"), broken] {
        let files = ModelFiles::small(library, PathBuf::new(), PathBuf::new());
        let error = PpOcr::load(&files, Device::Cpu, 1).expect_err("the library is invalid");
        assert!(matches!(error, LoadError::Runtime { .. }), "{error}");
        assert!(error.to_string().contains("ORT_DYLIB_PATH"), "{error}");
    }
}

#[test]
fn a_missing_or_invalid_openvino_is_an_error_with_the_variable_to_set() {
    let folder = tempfile::tempdir().expect("the folder can be created");
    let broken = folder.path().join("libopenvino_c.so");
    std::fs::write(&broken, "no library").expect("the file can be written");
    for library in [folder.path().join("none.so"), broken] {
        let files = ModelFiles::small(library, PathBuf::new(), PathBuf::new());
        let error = PpOcr::load(&files, Provider::OpenVino, 1).expect_err("the library is invalid");
        assert!(matches!(error, LoadError::OpenVino { .. }), "{error}");
        assert!(error.to_string().contains("QUIRE_OPENVINO_DIR"), "{error}");
    }
}
