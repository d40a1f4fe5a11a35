//! Fixed input shapes, for devices that spend a long time on each new shape.

use std::ops::Range;

use crate::policy::BatchPolicy;

/// Maximum stretch of a page to fill its shape: text detection tolerates it, and padding costs as much as text.
const MAX_STRETCH: f64 = 1.15;

/// How a page is placed in the detection input, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct InputPlacement {
    /// Width and height of the input.
    pub(crate) shape: (u32, u32),
    /// Width and height of the page in the input, at the top left; the rest is blank.
    pub(crate) content: (u32, u32),
}

/// Returns the placement with the most pixels of the page, and among those the smallest shape; `exact` if the list is
/// empty.
pub(crate) fn fit_to_shapes(shapes: &[(u32, u32)], (width, height): (u32, u32), exact: (u32, u32)) -> InputPlacement {
    let fits = shapes.iter().map(|&shape| fit_to_shape(shape, (width, height)));
    let best =
        fits.max_by_key(|fit_to_shapes| (area(fit_to_shapes.content), std::cmp::Reverse(area(fit_to_shapes.shape))));
    best.unwrap_or(InputPlacement { shape: exact, content: exact })
}

/// Returns the number of pixels.
pub(crate) fn area((width, height): (u32, u32)) -> u64 {
    u64::from(width) * u64::from(height)
}

/// Scales the page down to fit into the shape. Never scales up, except for the stretch that fills the shape.
fn fit_to_shape(shape: (u32, u32), (width, height): (u32, u32)) -> InputPlacement {
    let across = f64::from(shape.0) / f64::from(width);
    let down = f64::from(shape.1) / f64::from(height);
    let scale = across.min(down).min(1.0);
    let side = |length: u32, limit: u32, room: f64| {
        if room <= scale * MAX_STRETCH { limit } else { ((f64::from(length) * scale).round() as u32).clamp(1, limit) }
    };
    InputPlacement { shape, content: (side(width, shape.0, across), side(height, shape.1, down)) }
}

/// Splits items, sorted by descending cost, into batches. All items of a batch are padded to the cost of the first one,
/// and the padded cost does not exceed the budget. An item over the budget runs alone.
pub(crate) fn bounded_runs(costs: &[usize], budget: usize) -> Vec<Range<usize>> {
    let mut runs = Vec::new();
    let mut start = 0;
    while let Some(&largest) = costs.get(start) {
        let fitting = (budget / largest.max(1)).max(1);
        let end = (start + fitting).min(costs.len());
        runs.push(start..end);
        start = end;
    }
    runs
}

/// Splits items, sorted by descending cost, into batches whose size is padded to a power of two. All items of a batch
/// are padded to the cost of the first one, and the padded cost does not exceed the budget. An item over the budget
/// runs alone.
///
/// A batch consists of items with the same cost. Cheaper items only fill empty places, because padding a whole batch of
/// them would cost more than a separate run.
pub(crate) fn fixed_runs(costs: &[usize], budget: usize) -> Vec<Range<usize>> {
    let mut runs = Vec::new();
    let mut start = 0;
    while let Some(&largest) = costs.get(start) {
        let fitting = 1 << (budget / largest.max(1)).max(1).ilog2();
        let alike = costs[start..].iter().take_while(|&&cost| cost == largest).count();
        let end = (start + alike.next_power_of_two().min(fitting)).min(costs.len());
        runs.push(start..end);
        start = end;
    }
    runs
}

impl BatchPolicy {
    /// Returns all shapes of recognition runs with fixed batches and listed widths: batch size and width.
    pub(crate) fn recognition_run_shapes(&self) -> Vec<(usize, usize)> {
        let batches =
            |&width: &usize| powers_of_two(self.recognition_max_width / width.max(1)).map(move |n| (n, width));
        self.recognition_widths.iter().flat_map(batches).collect()
    }

    /// Returns all shapes of detection runs with fixed batches and listed shapes: batch size, height and width.
    pub(crate) fn detection_run_shapes(&self) -> Vec<(usize, usize, usize)> {
        let batches = |&(width, height): &(u32, u32)| {
            let width = width as usize;
            let height = height as usize;
            powers_of_two(self.detection_max_pixels / (width * height).max(1)).map(move |n| (n, height, width))
        };
        self.detection_shapes.iter().flat_map(batches).collect()
    }
}

fn powers_of_two(most: usize) -> impl Iterator<Item = usize> {
    (0..=most.max(1).ilog2()).map(|power| 1 << power)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use quire_inference::Provider;

    const SHAPES: [(u32, u32); 4] = [(672, 960), (960, 672), (800, 800), (480, 672)];

    fn fixed() -> BatchPolicy {
        BatchPolicy {
            fixed_batches: true,
            recognition_widths: vec![160, 320, 640],
            ..BatchPolicy::for_provider(Provider::OnnxRuntime)
        }
    }

    #[test]
    fn a_page_gets_the_shape_that_shows_most_of_it() {
        let fit_to_shapes = |size| fit_to_shapes(&SHAPES, size, (32, 32));
        assert_eq!(fit_to_shapes((1654, 2339)), InputPlacement { shape: (672, 960), content: (672, 960) });
        assert_eq!(fit_to_shapes((2339, 1654)), InputPlacement { shape: (960, 672), content: (960, 672) });
        assert_eq!(fit_to_shapes((3000, 3000)), InputPlacement { shape: (800, 800), content: (800, 800) });
        // A receipt keeps its aspect ratio; the rest is blank.
        assert_eq!(fit_to_shapes((600, 6000)), InputPlacement { shape: (672, 960), content: (96, 960) });
        // A small page is not scaled up and gets the smallest shape.
        assert_eq!(fit_to_shapes((200, 300)), InputPlacement { shape: (480, 672), content: (200, 300) });
        assert_eq!(fit_to_shapes((u32::MAX, 1)), InputPlacement { shape: (960, 672), content: (960, 1) });
        assert_eq!(
            super::fit_to_shapes(&[], (600, 6000), (256, 2528)),
            InputPlacement { shape: (256, 2528), content: (256, 2528) }
        );
    }

    #[test]
    fn a_run_is_padded_to_its_costliest_item() {
        assert_eq!(bounded_runs(&[300, 200, 100, 100], 600), [0..2, 2..4]);
        assert_eq!(bounded_runs(&[900, 300, 200], 600), [0..1, 1..3]);
        assert!(bounded_runs(&[], 600).is_empty());
    }

    #[test]
    fn without_a_budget_every_item_runs_alone() {
        assert_eq!(bounded_runs(&[0, 5, 3], 0), [0..1, 1..2, 2..3]);
    }

    #[test]
    fn cheaper_items_only_fill_up_a_fixed_batch() {
        let costs = [640, 640, 640, 320, 320, 160];
        assert_eq!(fixed_runs(&costs, 4000), [0..4, 4..5, 5..6], "three, and one that would be an empty place");
        assert_eq!(
            fixed_runs(&costs, 2000),
            [0..2, 2..3, 3..5, 5..6],
            "three would fit_to_shapes, but two are a batch"
        );
        assert_eq!(fixed_runs(&[9, 9], 0), [0..1, 1..2]);
        assert!(fixed_runs(&[], 640).is_empty());
    }

    #[test]
    fn all_shapes_are_known_in_advance() {
        let policy = BatchPolicy { recognition_max_width: 1300, detection_max_pixels: 1_400_000, ..fixed() };
        assert_eq!(policy.recognition_run_shapes().len(), 4 + 3 + 2);
        let policy = BatchPolicy { detection_shapes: vec![(672, 960)], ..policy };
        assert_eq!(policy.detection_run_shapes(), [(1, 960, 672), (2, 960, 672)]);
        assert!(BatchPolicy { detection_shapes: Vec::new(), ..policy }.detection_run_shapes().is_empty());
    }

    proptest! {
        #[test]
        fn fixed_batches_have_known_shapes_within_the_budget(
            widths in prop::collection::vec(1_usize..640, 0..80),
            budget in 640_usize..9000,
        ) {
            let policy = BatchPolicy { recognition_max_width: budget, ..fixed() };
            let known = policy.recognition_run_shapes();
            for run in policy.pack_lines(&widths) {
                prop_assert!(known.contains(&(run.batch, run.width)), "{:?} is a new shape", run);
                prop_assert!(run.batch * run.width <= budget);
            }
        }

        #[test]
        fn a_page_fits_into_its_shape_with_little_stretch(width in 1_u32..20_000, height in 1_u32..20_000) {
            let InputPlacement { shape, content } = fit_to_shapes(&SHAPES, (width, height), (32, 32));
            prop_assert!(content.0 >= 1 && content.1 >= 1 && content.0 <= shape.0 && content.1 <= shape.1);
            let stretch = f64::from(content.0) / f64::from(width) * f64::from(height) / f64::from(content.1);
            let rounding = 1.0 + 1.0 / f64::from(content.0.min(content.1));
            let bound = MAX_STRETCH * rounding;
            prop_assert!(content.0.min(content.1) == 1 || (1.0 / bound..=bound).contains(&stretch), "{}", stretch);
        }

        #[test]
        fn runs_cover_all_items_within_the_budget(
            mut costs in prop::collection::vec(0_usize..500, 0..60),
            budget in 0_usize..2000,
        ) {
            costs.sort_unstable_by(|a, b| b.cmp(a));
            let runs = bounded_runs(&costs, budget);
            prop_assert_eq!(runs.iter().cloned().flatten().collect::<Vec<_>>(), (0..costs.len()).collect::<Vec<_>>());
            prop_assert!(runs.iter().all(|run| run.len() == 1 || costs[run.start] * run.len() <= budget));
        }
    }
}
