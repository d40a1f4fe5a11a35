//! Text from documents, names and requests never controls a terminal.

use crate::harness::{ServeOptions, ServeProcess, TestPage, UploadFile, png, quire};

/// A file name that sets the clipboard (OSC 52) and colors (7 and 8 bits), and shows another extension.
const HOSTILE_NAME: &str = "a\u{1b}]52;c;ZXZpbA==\u{7}\u{1b}[31m\u{9b}31m\u{202e}gnp.exe";

/// Panics if a terminal may obey the text.
fn assert_safe(text: &str) {
    let is_unsafe = |c: char| (c.is_control() && !matches!(c, '\n' | '\t')) || ('\u{202a}'..='\u{202e}').contains(&c);
    assert!(!text.contains(is_unsafe), "{text:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_file_names_are_escaped_by_read() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let [bad, good] = [HOSTILE_NAME, "b\u{1b}[2J\nc.png"].map(|name| folder.path().join(name));
    std::fs::write(&bad, "not an image").expect("the file can be written");
    std::fs::write(&good, png(&TestPage::new("Safe"))).expect("the file can be written");
    for format in ["text", "markdown", "json"] {
        let arguments = ["read".as_ref(), "--format".as_ref(), format.as_ref(), bad.as_os_str(), good.as_os_str()];
        let output = quire(arguments).await;
        assert_eq!(output.code, Some(1), "{output:#?}");
        assert!(output.stdout.contains("Safe") && output.stderr.contains("\\u{1b}"), "{output:#?}");
        assert_eq!(output.stderr.lines().count(), 1, "{output:#?}");
        assert_safe(&output.stderr);
        if format == "text" || format == "markdown" {
            assert!(!output.stdout.contains(['\u{1b}', '\u{9b}', '\u{7}']), "{:?}", output.stdout);
        } else {
            assert_safe(&output.stdout);
            let documents: serde_json::Value = serde_json::from_str(&output.stdout).expect("JSON");
            assert_eq!(documents[0]["file"], HOSTILE_NAME);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_requests_are_escaped_in_logs_and_lists() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let serve = ServeProcess::start(ServeOptions::new(folder.path()).workers(0)).await;
    // Other controls are not possible in a header.
    let file = UploadFile::new("a\u{202e}gnp.exe", "not an image");
    serve.api().submit_without_callback([file]).await.problem_code(415);
    assert_safe(&serve.log());
    let decided = serve.quire(&["engines", "pause", "pp-ocr", "--reason", "for \u{202e}eve", "--by", "eve"]).await;
    let row = decided.expect_stdout();
    assert_safe(&row);
    assert!(row.contains("for \\u{202e}eve"), "{row:?}");
    let refused = serve.quire(&["engines", "pause", "pp-ocr", "--reason", HOSTILE_NAME]).await;
    assert_eq!(refused.code, Some(2), "{refused:#?}");
    assert_safe(&refused.stderr);
}
