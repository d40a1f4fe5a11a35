//! Lines in scripts that the first engine cannot read, and the programs that read them.
#![cfg(unix)]

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use quire_document::PageImage;
use quire_pp_ocr::{BatchPolicy, Engine, PageReader, Provider};
use quire_routes::EngineEntry;
use quire_tasks::{
    EngineName, Failure, FallbackReason, Line, PageText, ReviewReason, Script, TaskStatus, Warning, WarningKind,
};
use quire_worker::LocalEngine;

use crate::stage::{WHITE, name, routed};

/// Prints one line, over the whole page.
const PROGRAM: &str = "#!/bin/sh
[ \"$1\" = --list-langs ] && { printf 'List of languages (1):\\nrus\\n'; exit; }
printf 'level\\n4\\t1\\t1\\t1\\t1\\t0\\t0\\t0\\t90\\t40\\t-1\\t\\n'
printf '5\\t1\\t1\\t1\\t1\\t1\\t0\\t0\\t90\\t40\\t96\\tСчёт\\n'
";

const POLYGON: [[f32; 2]; 4] = [[0.0, 0.0], [90.0, 0.0], [90.0, 40.0], [0.0, 40.0]];

/// Reads nonsense on every page, and knows it.
#[derive(Debug)]
struct LatinReader(BatchPolicy);

impl PageReader for LatinReader {
    fn name(&self) -> EngineName {
        name("a@1")
    }

    fn policy(&self) -> &BatchPolicy {
        &self.0
    }

    fn read(&mut self, pages: &[PageImage]) -> Vec<Result<PageText, Failure>> {
        let text = |page: &PageImage| {
            let line =
                Line { text: "CueT".to_owned(), confidence: Some(0.01), polygon: Some(POLYGON), ..Line::default() };
            let mut text = PageText::from_lines(self.name(), page.width(), page.height(), 0, vec![line]);
            let kind = WarningKind::UnreadableScript { script: Script::Cyrillic, lines: 1 };
            text.warnings = vec![Warning { kind, polygon: Some(POLYGON) }];
            Ok(text)
        };
        pages.iter().map(text).collect()
    }
}

fn latin(_: &EngineEntry) -> LocalEngine {
    LocalEngine::Batches(Engine::from_reader(Box::new(LatinReader(BatchPolicy::for_provider(Provider::OnnxRuntime)))))
}

fn config(program: &Path) -> String {
    format!(
        r#"{{"engines": {{"a@1": {{"kind": "pp-ocr"}},
                          "tesseract@5": {{"kind": "tesseract", "languages": ["rus"], "program": "{}"}}}},
            "routes": [{{"modes": ["text"], "primary": "a@1", "review_below": 0.5}},
                       {{"scripts": ["Cyrillic"], "primary": "tesseract@5"}}]}}"#,
        program.display()
    )
}

#[tokio::test]
async fn lines_in_another_script_are_read_by_its_engine() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let program = folder.path().join("tesseract");
    fs::write(&program, PROGRAM).expect("written");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).expect("made executable");
    let stage = routed(&config(&program), latin);
    let task = stage.submit(&[WHITE]).await;
    let (_running, _shutdown) = stage.work();
    assert_eq!(stage.ended(&task).await.status(), TaskStatus::Succeeded);
    let text = stage.text(&task, 1).await;
    assert_eq!((text.text().as_str(), &text.engine), ("Счёт", &name("a@1")));
    assert_eq!((&text.script_engines, &text.warnings, &text.tried), (&vec![name("tesseract@5")], &vec![], &vec![]));
    assert_eq!(stage.reviews().await, []);
}

#[tokio::test]
async fn without_the_program_the_page_keeps_its_warning_and_is_filed_for_review() {
    let stage = routed(&config("/nowhere/tesseract".as_ref()), latin);
    let task = stage.submit(&[WHITE]).await;
    let (_running, _shutdown) = stage.work();
    assert_eq!(stage.ended(&task).await.status(), TaskStatus::Succeeded);
    let text = stage.text(&task, 1).await;
    assert_eq!((text.text().as_str(), text.script_engines.len(), text.warnings.len()), ("CueT", 0, 1));
    let tried: Vec<_> = text.tried.iter().map(|tried| (tried.engine.clone(), tried.why)).collect();
    assert_eq!(tried, [(name("tesseract@5"), FallbackReason::Unavailable)]);
    let reviews = stage.reviews().await;
    assert_eq!(reviews[0].reason, ReviewReason::TextMissing);
    assert!(reviews[0].detail.contains("tesseract-ocr-rus"), "{}", reviews[0].detail);
}
