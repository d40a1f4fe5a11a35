//! Groups pages and lines into runs, according to the policy. Pure.

use std::ops::Range;

use crate::{
    fixed_shapes::{InputPlacement, area, bounded_runs, fit_to_shapes, fixed_runs},
    policy::BatchPolicy,
};

/// Minimum width of a run, in columns: the recognizer is unsure of a single digit without surroundings, and 64 columns
/// cost almost nothing.
const MIN_RUN_WIDTH: usize = 64;

/// A listed shape is suitable if the page keeps at least this share of the pixels that it would have in its exact
/// shape: text loses at most a tenth of its height.
const MIN_SHOWN_SHARE: f64 = 0.8;

/// A listed shape is suitable if it has at most this many times the pixels of the exact shape: more would cost more
/// than a known shape saves, which is a tenth of a run.
const MAX_AREA_RATIO: f64 = 1.1;

/// A detection run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DetectionRun {
    /// Indices of the pages.
    pub members: Vec<usize>,
    /// Width and height of each, in pixels.
    pub size: (u32, u32),
    /// Batch size: the members and blank pages that pad it.
    pub batch: usize,
}

/// A recognition run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecognitionRun {
    /// Indices of the line images, the widest first.
    pub members: Vec<usize>,
    /// Padded width, in columns.
    pub width: usize,
    /// Batch size: the members and blank images that pad it.
    pub batch: usize,
}

/// A line image is squeezed by at most 1 / 25 to a listed width, instead of being padded to the next larger one.
const MAX_SQUEEZE_DIVISOR: usize = 25;

impl BatchPolicy {
    /// Returns the width at which a line image is drawn: a listed width if the image is only slightly wider.
    pub(crate) fn snapped_width(&self, width: usize) -> usize {
        let below = self.recognition_widths.iter().rfind(|&&listed| listed <= width);
        below.copied().filter(|listed| width - listed <= listed / MAX_SQUEEZE_DIVISOR).unwrap_or(width)
    }

    /// Returns the padded width of a line image in a run of its own.
    pub fn padded_width(&self, width: usize) -> usize {
        let width = width.max(MIN_RUN_WIDTH);
        let bucket = self.recognition_widths.iter().find(|&&bucket| bucket >= width);
        bucket.copied().unwrap_or_else(|| width.next_multiple_of(self.width_multiple.max(1)))
    }

    /// Returns width and height of the detection input for a page, and the part of it that the page covers, in pixels.
    /// `exact` is the input size without listed shapes.
    pub fn detection_shape(&self, picture: (u32, u32), exact: (u32, u32)) -> ((u32, u32), (u32, u32)) {
        let InputPlacement { shape, content } = self.place_page(picture, exact);
        (shape, content)
    }

    /// Places a page in the detection input. Without fixed batches, a page for which no listed shape is suitable has
    /// its exact shape.
    pub(crate) fn place_page(&self, picture: (u32, u32), exact: (u32, u32)) -> InputPlacement {
        let listed = fit_to_shapes(&self.detection_shapes, picture, exact);
        let exact_area = area(exact) as f64;
        let shows_enough = area(listed.content) as f64 >= MIN_SHOWN_SHARE * exact_area;
        let is_small_enough = area(listed.shape) as f64 <= MAX_AREA_RATIO * exact_area;
        if self.fixed_batches || shows_enough && is_small_enough {
            listed
        } else {
            InputPlacement { shape: exact, content: exact }
        }
    }

    /// Places a tile of these width and height, multiples of 32, in the detection input without scaling it: in the
    /// smallest listed shape if it suits, otherwise in a shape of its own.
    pub(crate) fn place_exactly(&self, content: (u32, u32)) -> InputPlacement {
        let fits = |shape: &&(u32, u32)| shape.0 >= content.0 && shape.1 >= content.1;
        let listed = self.detection_shapes.iter().filter(fits).min_by_key(|shape| area(**shape));
        let is_suitable =
            |shape: &&(u32, u32)| self.fixed_batches || area(**shape) as f64 <= MAX_AREA_RATIO * area(content) as f64;
        InputPlacement { shape: listed.filter(is_suitable).copied().unwrap_or(content), content }
    }

    /// Groups line images of these widths into runs.
    pub fn pack_lines(&self, widths: &[usize]) -> Vec<RecognitionRun> {
        let mut order: Vec<usize> = (0..widths.len()).collect();
        order.sort_by_key(|&strip| std::cmp::Reverse(widths[strip]));
        let padded: Vec<usize> = order.iter().map(|&strip| self.padded_width(widths[strip])).collect();
        let run = |run: Range<usize>| {
            let width = padded[run.start];
            let members = order[run].to_vec();
            let batch = self.batch(members.len());
            RecognitionRun { members, width, batch }
        };
        self.runs(&padded, self.recognition_max_width).into_iter().map(run).collect()
    }

    /// Groups pages of these widths and heights into runs.
    pub fn pack_pages(&self, sizes: &[(u32, u32)]) -> Vec<DetectionRun> {
        let mut order: Vec<usize> = (0..sizes.len()).collect();
        order.sort_by_key(|&page| sizes[page]);
        let mut runs = Vec::new();
        for same_size in order.chunk_by(|&a, &b| sizes[a] == sizes[b]) {
            let size = sizes[same_size[0]];
            let pixels = size.0 as usize * size.1 as usize;
            for run in self.runs(&vec![pixels; same_size.len()], self.detection_max_pixels) {
                let members = same_size[run].to_vec();
                let batch = self.batch(members.len());
                runs.push(DetectionRun { members, size, batch });
            }
        }
        runs
    }

    /// Splits items, sorted by descending cost, into runs.
    fn runs(&self, costs: &[usize], budget: usize) -> Vec<Range<usize>> {
        if self.fixed_batches { fixed_runs(costs, budget) } else { bounded_runs(costs, budget) }
    }

    /// Returns the batch size of a run, including padding.
    pub(crate) fn batch(&self, members: usize) -> usize {
        if self.fixed_batches { members.next_power_of_two() } else { members }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use quire_inference::Provider;

    fn buckets() -> BatchPolicy {
        BatchPolicy {
            recognition_max_width: 1_280,
            recognition_widths: vec![160, 320, 640],
            detection_max_pixels: 4 * 640 * 640,
            fixed_batches: false,
            ..BatchPolicy::for_provider(Provider::Cuda)
        }
    }

    #[test]
    fn an_unsuitable_page_keeps_its_own_shape_unless_batches_are_fixed() {
        let listed = BatchPolicy { detection_shapes: vec![(672, 960), (800, 800)], fixed_batches: false, ..buckets() };
        assert_eq!(listed.detection_shape((1654, 2339), (672, 960)), ((672, 960), (672, 960)));
        assert_eq!(listed.detection_shape((1654, 2100), (704, 896)), ((672, 960), (672, 960)), "nearly its shape");
        assert_eq!(listed.detection_shape((600, 6000), (256, 2528)), ((256, 2528), (256, 2528)), "a receipt");
        assert_eq!(listed.detection_shape((700, 120), (704, 128)), ((704, 128), (704, 128)), "a line");
        let fixed = BatchPolicy { fixed_batches: true, ..listed };
        assert_eq!(fixed.detection_shape((600, 6000), (256, 2528)), ((672, 960), (96, 960)));
    }

    fn strips(runs: &[RecognitionRun]) -> Vec<(Vec<usize>, usize, usize)> {
        runs.iter().map(|run| (run.members.clone(), run.width, run.batch)).collect()
    }

    #[test]
    fn a_line_image_is_padded_to_the_next_listed_width() {
        let widths = [1, 160, 161, 640, 641].map(|width| buckets().padded_width(width));
        assert_eq!(widths, [160, 160, 320, 640, 704], "beyond the widest it is a multiple of 64");
        let exact = [1, 64, 65].map(|width| BatchPolicy::for_provider(Provider::OnnxRuntime).padded_width(width));
        assert_eq!(exact, [64, 64, 72]);
    }

    #[test]
    fn a_slightly_wider_line_image_is_squeezed_to_a_listed_width() {
        let widths = [100, 160, 166, 167, 665, 666].map(|width| buckets().snapped_width(width));
        assert_eq!(widths, [100, 160, 160, 167, 640, 666]);
        assert_eq!(BatchPolicy::for_provider(Provider::OnnxRuntime).snapped_width(65), 65);
    }

    #[test]
    fn line_images_of_similar_width_share_runs_within_the_budget() {
        let runs = buckets().pack_lines(&[100, 600, 300, 90, 500]);
        assert_eq!(strips(&runs), [(vec![1, 4], 640, 2), (vec![2, 0, 3], 320, 3)]);
    }

    #[test]
    fn fixed_batches_are_filled_up() {
        let policy = BatchPolicy { fixed_batches: true, ..buckets() };
        let runs = policy.pack_lines(&[100, 600, 300, 90, 500, 3_000]);
        let fixed = [(vec![5], 3_008, 1), (vec![1, 4], 640, 2), (vec![2], 320, 1), (vec![0, 3], 160, 2)];
        assert_eq!(strips(&runs), fixed);
        assert_eq!(policy.pack_pages(&[(640, 640); 3])[0].batch, 4);
    }

    #[test]
    fn pages_of_one_size_share_runs_within_the_budget() {
        let [a, b] = [(640, 640), (320, 640)];
        let runs = buckets().pack_pages(&[a, b, a, a, a, a]);
        let found: Vec<_> = runs.iter().map(|run| (run.members.clone(), run.size, run.batch)).collect();
        assert_eq!(found, [(vec![1], b, 1), (vec![0, 2, 3, 4], a, 4), (vec![5], a, 1)]);
    }

    proptest! {
        #[test]
        fn every_line_image_is_in_one_run_that_is_wide_enough(
            widths in prop::collection::vec(1_usize..2_000, 0..80),
            fixed: bool,
        ) {
            let policy = BatchPolicy { fixed_batches: fixed, ..buckets() };
            let runs = policy.pack_lines(&widths);
            let mut seen: Vec<usize> = runs.iter().flat_map(|run| run.members.clone()).collect();
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..widths.len()).collect::<Vec<_>>());
            for run in runs {
                prop_assert!(run.members.iter().all(|&strip| widths[strip] <= run.width));
                prop_assert!(run.batch >= run.members.len());
                prop_assert!(run.batch == 1 || run.batch * run.width <= policy.recognition_max_width);
            }
        }
    }
}
