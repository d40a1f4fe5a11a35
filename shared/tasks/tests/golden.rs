//! Golden files of the queue messages: one per message type, version and optional feature.
//!
//! A deployed version leaves messages in the queues, and old and new programs run side by side during a deployment.
//! A change that fails these tests needs a new version and a new file; the existing files never change.

use std::fmt::Debug;

use quire_tasks::{
    CallbackMessage, DocumentJob, DocumentMessage, EngineName, Message, MessageDecodeError, Mode, PageMessage, PageRef,
    ReadAs, RedactKind, RedactPattern, RedactPolicy, TaskId, TextLayerPolicy,
};

/// A message and its golden file.
struct Golden<M> {
    version: u32,
    json: &'static str,
    message: M,
}

fn task_id() -> TaskId {
    "task_0192abcd000070008000000000000001".parse().expect("a valid task id")
}

fn document_messages() -> Vec<Golden<DocumentMessage>> {
    let split = DocumentMessage { task_id: task_id(), document: 3, round: 2, job: DocumentJob::Split };
    let searchable_pdf = DocumentMessage { document: 0, job: DocumentJob::SearchablePdf, ..split.clone() };
    vec![
        Golden { version: 1, json: include_str!("golden/document_message_v1.json"), message: split },
        Golden { version: 2, json: include_str!("golden/document_message_v2.json"), message: searchable_pdf },
    ]
}

fn page_messages() -> Vec<Golden<PageMessage>> {
    let page = PageRef { task_id: task_id(), document: 3, page: 4 };
    let default = PageMessage { page, round: 2, read_as: ReadAs::default(), redact: None };
    let read_as = ReadAs {
        mode: Mode::Fields { keys: vec!["total".to_owned(), "date".to_owned()] },
        engine: Some(EngineName { name: "hunyuan-ocr".to_owned(), version: "1".to_owned() }),
        pinned: true,
        ..ReadAs::default()
    };
    let redact = RedactPolicy {
        kinds: vec![RedactKind::Email, RedactKind::Iban],
        patterns: vec![RedactPattern { name: "order".to_owned(), regex: r"ORDER-\d{4}".to_owned() }],
    };
    let with_read_as = PageMessage { read_as, ..default.clone() };
    let layer_only = ReadAs { text_layer: TextLayerPolicy::Only, ..ReadAs::default() };
    let with_text_layer = PageMessage { read_as: layer_only, ..default.clone() };
    let redacted = PageMessage { redact: Some(redact), ..default.clone() };
    vec![
        Golden { version: 1, json: include_str!("golden/page_message_v1.json"), message: default },
        Golden { version: 1, json: include_str!("golden/page_message_v1_read_as.json"), message: with_read_as },
        Golden { version: 1, json: include_str!("golden/page_message_v1_text_layer.json"), message: with_text_layer },
        Golden { version: 2, json: include_str!("golden/page_message_v2.json"), message: redacted },
    ]
}

fn callback_messages() -> Vec<Golden<CallbackMessage>> {
    let round_end = CallbackMessage::for_round_end(task_id(), 2);
    let progress = CallbackMessage { progress: Some(5), ..round_end.clone() };
    vec![
        Golden { version: 1, json: include_str!("golden/callback_message_v1.json"), message: round_end },
        Golden { version: 1, json: include_str!("golden/callback_message_v1_progress.json"), message: progress },
    ]
}

fn check_golden_files<M: Message + PartialEq + Debug>(golden_files: &[Golden<M>]) {
    for Golden { version, json, message } in golden_files {
        let json = json.trim_end();
        assert_eq!(&M::decode(json).expect("a golden file can be decoded"), message, "{json}");
        assert_eq!(message.version(), *version, "the oldest version that can express the message");
        assert_eq!(message.encode(), json);
    }
    let mut versions: Vec<u32> = golden_files.iter().map(|golden| golden.version).collect();
    versions.dedup();
    assert_eq!(versions, (1..=M::VERSION).collect::<Vec<_>>(), "every supported version has a golden file");
}

/// Changes the version of a golden file, which must start with it.
fn with_version(json: &str, version: u32) -> String {
    let (_, rest) = json.split_once(',').expect("a golden file has several fields");
    format!(r#"{{"v":{version},{rest}"#)
}

fn check_unknown_versions<M: Message + Debug>(golden_files: &[Golden<M>], newest: u32) {
    let json = golden_files[0].json;
    for unknown in [0, newest + 1] {
        let error = M::decode(&with_version(json, unknown)).expect_err("an unknown version is refused");
        let MessageDecodeError::Version { found, known } = error else { panic!("not a version error: {error}") };
        assert_eq!((found, known), (unknown, newest));
    }
}

#[test]
fn document_messages_match_their_golden_files() {
    check_golden_files(&document_messages());
}

#[test]
fn page_messages_match_their_golden_files() {
    check_golden_files(&page_messages());
}

#[test]
fn callback_messages_match_their_golden_files() {
    check_golden_files(&callback_messages());
}

#[test]
fn messages_of_an_unknown_version_are_refused() {
    check_unknown_versions(&document_messages(), 2);
    check_unknown_versions(&page_messages(), 2);
    check_unknown_versions(&callback_messages(), 1);
}
