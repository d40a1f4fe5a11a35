//! Missing runtimes. In a separate test binary, because a process can load a runtime only once.

use std::path::PathBuf;

use quire_pp_ocr::{Device, LoadError, ModelFiles, PpOcr, Provider};

#[test]
fn a_missing_or_broken_runtime_is_an_error_that_says_what_to_set() {
    let folder = tempfile::tempdir().expect("a folder");
    let broken = folder.path().join("libonnxruntime.so");
    std::fs::write(&broken, "no library").expect("a file");
    for library in [folder.path().join("none.so"), broken] {
        let files = ModelFiles { library, detection: PathBuf::new(), recognition: PathBuf::new() };
        let error = PpOcr::load(&files, Device::Cpu, 1).expect_err("there is no runtime");
        assert!(matches!(error, LoadError::Runtime { .. }), "{error}");
        assert!(error.to_string().contains("ORT_DYLIB_PATH"), "{error}");
    }
}

#[test]
fn a_missing_or_broken_openvino_is_an_error_that_says_what_to_set() {
    let folder = tempfile::tempdir().expect("a folder");
    let broken = folder.path().join("libopenvino_c.so");
    std::fs::write(&broken, "no library").expect("a file");
    for library in [folder.path().join("none.so"), broken] {
        let files = ModelFiles { library, detection: PathBuf::new(), recognition: PathBuf::new() };
        let error = PpOcr::load(&files, Provider::OpenVino, 1).expect_err("there is no OpenVINO");
        assert!(matches!(error, LoadError::OpenVino { .. }), "{error}");
        assert!(error.to_string().contains("QUIRE_OPENVINO_DIR"), "{error}");
    }
}
