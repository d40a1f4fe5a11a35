//! Model runs that fail for a batch of several pages.

use image::Rgb;
use ndarray::{Array3, ArrayView3, ArrayView4};
use quire_pp_ocr::{Alphabet, BatchPolicy, CtcStep, Engine, ModelError, OcrModel, Provider};
use quire_tasks::{EngineName, FailureCode, PageStatus, TaskStatus};
use quire_worker::{LocalEngine, WorkerExit};

use crate::stage::{ERRS, WHITE, name, routed};

/// Its probability map has NaN values.
const NAN_MAP: Rgb<u8> = Rgb([0, 255, 255]);
/// A batch with this page gets too few probability maps.
const TOO_FEW: Rgb<u8> = Rgb([255, 0, 255]);
/// Its line makes recognition fail.
const BAD_LINE: Rgb<u8> = Rgb([255, 255, 0]);

/// Finds one line on every page and reads it as `a`.
#[derive(Debug)]
struct FailingModel(Alphabet);

fn engine() -> LocalEngine {
    let policy = BatchPolicy {
        max_batch_pixels: 1_000_000,
        max_wait_ms: 200,
        detection_max_pixels: 1_000_000,
        recognition_max_width: 100_000,
        ..BatchPolicy::for_provider(Provider::OnnxRuntime)
    };
    LocalEngine::Batches(Engine::new(Box::new(FailingModel(Alphabet::from_metadata("a"))), policy))
}

fn has_color(picture: &ArrayView3<'_, f32>, color: Rgb<u8>) -> bool {
    (0..3).all(|channel| (picture[[2 - channel, 0, 0]] > 0.0) == (color.0[channel] > 128))
}

impl OcrModel for FailingModel {
    fn name(&self) -> EngineName {
        name("pp-ocr@v6-small")
    }

    fn alphabet(&self) -> &Alphabet {
        &self.0
    }

    fn detect(&mut self, pages: ArrayView4<'_, f32>) -> Result<Array3<f32>, ModelError> {
        let (count, _, height, width) = pages.dim();
        if pages.outer_iter().any(|page| has_color(&page, ERRS)) {
            return Err(ModelError::Run("a green page".to_owned()));
        }
        let lacks = usize::from(pages.outer_iter().any(|page| has_color(&page, TOO_FEW)));
        let mut maps = Array3::ones((count - lacks, height, width));
        for (page, mut map) in pages.outer_iter().zip(maps.outer_iter_mut()) {
            if has_color(&page, NAN_MAP) {
                map[[height / 2, width / 2]] = f32::NAN;
            }
        }
        Ok(maps)
    }

    fn recognize(&mut self, strips: ArrayView4<'_, f32>) -> Result<Vec<Vec<CtcStep>>, ModelError> {
        if strips.outer_iter().any(|strip| has_color(&strip, BAD_LINE)) {
            return Err(ModelError::Run("a yellow line".to_owned()));
        }
        Ok(vec![vec![CtcStep { class: 1, probability: 0.99 }]; strips.dim().0])
    }
}

const ROUTES: &str = r#"{"engines": {"pp-ocr@v6-small": {"kind": "pp-ocr"}},
    "routes": [{"modes": ["text"], "primary": "pp-ocr@v6-small"}]}"#;

#[tokio::test]
async fn each_failed_page_has_its_reason_and_the_others_have_their_text() {
    let stage = routed(ROUTES, |_| engine());
    // A new worker takes the first pages one at a time.
    let mut colors = vec![WHITE; 30];
    let bad = [
        (13, ERRS, "a green page"),
        (17, NAN_MAP, "NaN or infinity"),
        (22, TOO_FEW, "expected"),
        (27, BAD_LINE, "a yellow line"),
    ];
    for (index, color, _) in bad {
        colors[index] = color;
    }
    let task = stage.submit(&colors).await;
    let (running, shutdown) = stage.work();
    let ended = stage.ended(&task).await;
    assert_eq!((ended.status(), ended.counts.succeeded, ended.counts.failed), (TaskStatus::PartiallySucceeded, 26, 4));
    for (index, page) in stage.pages(&task).await.iter().enumerate() {
        if let Some((_, _, why)) = bad.iter().find(|(bad, ..)| *bad == index) {
            let failure = page.failure.as_ref().expect("the page has a failure");
            assert_eq!(failure.code, FailureCode::ModelFailed);
            assert!(failure.message.contains(why), "{index}: {failure} does not say {why:?}");
        } else {
            assert_eq!(page.status, PageStatus::Succeeded, "{index}: {page:?}");
            assert_eq!(stage.text(&task, index + 1).await.text(), "a");
        }
    }
    assert!(!running.is_finished(), "the worker keeps running");
    // The worker writes its last report when it stops.
    shutdown.cancel();
    assert_eq!(running.await.expect("no panic").expect("the worker stops without an error"), WorkerExit::Drained);
    let stats = stage.statuses().await.stats(&name("pp-ocr@v6-small"));
    assert_eq!((stats.pages, stats.failures), (30, 4));
}
