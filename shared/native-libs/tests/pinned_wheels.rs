//! Downloads the pinned wheels for this platform to the user's cache folder, through the public API.

use std::fs;

use quire_native_libs::{FileCondition, Progress, has_openvino, locate, openvino, verify};

#[test]
fn the_wheels_for_this_platform_have_the_pinned_hashes() {
    let natives = locate(&Progress::Bar).expect("every library is found or downloaded");

    let openvino = has_openvino().then(|| openvino(&Progress::Bar).expect("it is found or downloaded"));
    let checks = verify().expect("this platform is supported");
    let mut expected = vec![natives.onnxruntime, natives.pdfium, natives.detection, natives.recognition];
    expected.extend(openvino);
    let found: Vec<_> = checks.iter().map(|check| check.path.clone()).collect();
    assert_eq!(found[..expected.len()], expected);
    for check in checks {
        let given = matches!(check.condition, FileCondition::Override(_));
        assert!(check.condition == FileCondition::Valid || given, "{} is {}", check.path.display(), check.condition);
        if !given {
            let licenses = check.path.with_file_name("LICENSES.txt");
            // Some licenses are not UTF-8.
            let bytes = fs::read(&licenses).expect("the licenses are beside the file");
            let text = String::from_utf8_lossy(&bytes);
            assert!(text.contains("Apache License") || text.contains("MIT License"), "{}", licenses.display());
        }
    }
}
