//! The test harness of the journeys: the command, an API client, a callback receiver, a model server, test documents.

mod api_client;
mod callback_receiver;
mod command;
mod documents;
mod engine_config;
pub(crate) mod expected_texts;
mod model_responses;
mod model_server;
mod node;
mod python;
mod serve_process;

use std::{fs, future::Future, path::Path, time::Duration};

use tokio::time::{Instant, sleep};

pub(crate) use api_client::{ApiClient, UploadFile, text_of};
pub(crate) use callback_receiver::{CallbackReceiver, ReceivedCallback};
pub(crate) use command::{CommandOutput, QUIRE, await_dead_letter, faulty_quire, quire, quire_with};
pub(crate) use documents::{
    TestPage, encrypted_pdf, pdf, pdf_of_objects, pdf_with_a_broken_page, png, png_header, raw_bmp,
};
pub(crate) use engine_config::{engine_config, engine_of, write_config};
pub(crate) use model_server::{ModelBehavior, ModelServer};
pub(crate) use node::node;
pub(crate) use python::{python, python_with, scripts};
pub(crate) use serve_process::{ServeOptions, ServeProcess, free_port};

/// The longest wait for anything a test waits for, on a slow and busy machine.
pub(crate) const TIMEOUT: Duration = Duration::from_mins(4);
/// Between two polls.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Polls until `probe` returns a value, and returns it. Panics after [`TIMEOUT`] with the condition it waited for.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(condition: &str, mut probe: impl FnMut() -> F) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = probe().await {
            return found;
        }
        assert!(begun.elapsed() < TIMEOUT, "timeout after {TIMEOUT:?} waiting until {condition}");
        sleep(POLL_INTERVAL).await;
    }
}

/// Returns the files below a folder as sorted relative paths. A folder that does not exist has none.
pub(crate) fn files_below(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let below = path.strip_prefix(folder).expect("the file is below the folder");
                found.push(below.to_string_lossy().into_owned());
            }
        }
    }
    found.sort();
    found
}

/// Returns the text without white space, in which OCR engines differ.
pub(crate) fn without_whitespace(text: &str) -> String {
    text.split_whitespace().collect()
}
