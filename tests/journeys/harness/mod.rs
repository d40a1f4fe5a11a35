//! What the journeys are made with: the command, a client, a receiver of callbacks, documents.

mod api;
mod command;
mod documents;
mod model_answers;
mod model_server;
mod node;
mod python;
mod receiver;
mod routes;
mod serve;

use std::{fs, future::Future, path::Path, time::Duration};

use tokio::time::{Instant, sleep};

pub(crate) use api::{Api, Upload, text_of};
pub(crate) use command::{Ended, QUIRE, dead_letter, faulty, quire, quire_with};
pub(crate) use documents::{Sheet, encrypted_pdf, pdf, pdf_with_a_broken_page, png, png_header, raw_bmp};
pub(crate) use model_server::{Manner, ModelServer};
pub(crate) use node::node;
pub(crate) use python::{python, python_with, scripts};
pub(crate) use receiver::{Delivery, Receiver};
pub(crate) use routes::{engine_of, routed, written};
pub(crate) use serve::{Launch, Serve, free_port};

/// Longer than anything takes that a test waits for, on a slow and busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_mins(4);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// Looks again and again, until there is something to be seen.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(awaited: &str, mut look: impl FnMut() -> F) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "waited {PATIENCE:?} in vain: {awaited}");
        sleep(PAUSE).await;
    }
}

/// The files below a folder, by their paths from there, sorted. A folder that is not there has none.
pub(crate) fn files_below(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let below = path.strip_prefix(folder).expect("it was found there");
                found.push(below.to_string_lossy().into_owned());
            }
        }
    }
    found.sort();
    found
}

/// A text without its white space, which no two readers put in the same places.
pub(crate) fn squeezed(text: &str) -> String {
    text.split_whitespace().collect()
}
