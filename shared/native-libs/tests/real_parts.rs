//! The real parts for this machine, through the public door and into the user's own cache folder.

use std::fs;

use quire_native_libs::{Condition, Progress, has_openvino, locate, openvino, verify};

#[test]
fn the_parts_for_this_machine_are_fetched_and_have_the_pinned_hashes() {
    let natives = locate(&Progress::Bar).expect("every part is found or fetched");

    let openvino = has_openvino().then(|| openvino(&Progress::Bar).expect("it is found or fetched"));
    let findings = verify().expect("this machine is supported");
    let mut expected = vec![natives.onnxruntime, natives.pdfium, natives.detection, natives.recognition];
    expected.extend(openvino);
    let found: Vec<_> = findings.iter().map(|finding| finding.path.clone()).collect();
    assert_eq!(found[..expected.len()], expected);
    for finding in findings {
        let given = matches!(finding.condition, Condition::Override(_));
        assert!(finding.condition == Condition::Whole || given, "{} is {}", finding.path.display(), finding.condition);
        if !given {
            let licenses = finding.path.with_file_name("LICENSES.txt");
            // Some are in encodings of their time.
            let bytes = fs::read(&licenses).expect("the licenses are beside the file");
            let text = String::from_utf8_lossy(&bytes);
            assert!(text.contains("Apache License") || text.contains("MIT License"), "{}", licenses.display());
        }
    }
}
