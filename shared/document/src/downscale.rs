//! Downscaling of large pages.

/// The most pixels of a page. More do not improve detection or recognition: an A4 page has 16 million at 430 dpi, where
/// the smallest print is 40 pixels high. This bounds the memory of a decoded page to 48 MB.
pub const MAX_PAGE_PIXELS: u64 = 16_000_000;
/// The longest side of a page, and of a JPEG. It also bounds the memory of a row of pixels as floats: one row of 16
/// million pixels would take 192 MB.
pub const MAX_SIDE: u32 = 65_535;

/// Returns the size with the same proportions, at most [`MAX_PAGE_PIXELS`] and no side over [`MAX_SIDE`], and at least
/// one pixel either way.
pub(crate) fn downscaled_size((width, height): (u32, u32)) -> (u32, u32) {
    let pixels = u64::from(width) * u64::from(height);
    let longest = width.max(height);
    if pixels <= MAX_PAGE_PIXELS && longest <= MAX_SIDE {
        return (width, height);
    }
    let by_area = (MAX_PAGE_PIXELS as f64 / pixels as f64).sqrt();
    let scale = by_area.min(f64::from(MAX_SIDE) / f64::from(longest));
    let side = |pixels: u32| ((f64::from(pixels) * scale) as u32).clamp(1, MAX_SIDE);
    (side(width), side(height))
}

/// Downscales by area averaging: each pixel of the result is the mean of the area of the page that it covers. Rows are
/// processed one by one, so that only the result is in memory beside the page.
pub(crate) fn downscale(pixels: &[u8], from: (u32, u32), to: (u32, u32)) -> Vec<u8> {
    let (width, height) = (from.0 as usize, from.1 as usize);
    let (new_width, new_height) = (to.0 as usize, to.1 as usize);
    let mut result = Vec::with_capacity(new_width * new_height * 3);
    let mut row = vec![0.0; new_width * 3];
    let mut sum = vec![0.0; new_width * 3];
    // In units of which a row of the page has `new_height` and a row of the result `height`, all borders are integers.
    let mut missing = height;
    for source in pixels.chunks_exact(width * 3) {
        average_row(source, width, &mut row, new_width);
        let inside = missing.min(new_height);
        add_row(&mut sum, &row, inside as f32 / height as f32);
        missing -= inside;
        if missing == 0 {
            result.extend(sum.iter().map(|value| value.round() as u8));
            sum.fill(0.0);
            let rest = new_height - inside;
            add_row(&mut sum, &row, rest as f32 / height as f32);
            missing = height - rest;
        }
    }
    result
}

/// Averages one row by the same rule.
fn average_row(source: &[u8], width: usize, row: &mut [f32], new_width: usize) {
    row.fill(0.0);
    let mut x = 0;
    let mut missing = width;
    let unit = 1.0 / width as f32;
    for pixel in source.chunks_exact(3) {
        let inside = missing.min(new_width);
        add_pixel(&mut row[x..], pixel, inside as f32 * unit);
        missing -= inside;
        if missing == 0 {
            let rest = new_width - inside;
            x += 3;
            add_pixel(&mut row[x..], pixel, rest as f32 * unit);
            missing = width - rest;
        }
    }
}

/// Adds a weighted pixel, or nothing beyond the end of the row.
fn add_pixel(row: &mut [f32], pixel: &[u8], weight: f32) {
    for (sum, value) in row.iter_mut().zip(pixel) {
        *sum += f32::from(*value) * weight;
    }
}

fn add_row(sum: &mut [f32], row: &[f32], weight: f32) {
    for (sum, value) in sum.iter_mut().zip(row) {
        *sum += value * weight;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_large_pages_are_downscaled() {
        assert_eq!(downscaled_size((4_000, 4_000)), (4_000, 4_000));
        assert_eq!(downscaled_size((8_000, 8_000)), (4_000, 4_000));
        assert_eq!(downscaled_size((1, 100_000_000)), (1, 65_535));
        assert_eq!(downscaled_size((65_535, 200)), (65_535, 200));
        assert_eq!(downscaled_size((131_070, 20)), (65_535, 10));
    }

    #[test]
    fn two_by_two_pixels_become_their_mean() {
        let page = [[0, 10, 20], [100, 30, 20], [50, 20, 20], [50, 40, 20]].concat();
        assert_eq!(downscale(&page, (2, 2), (1, 1)), [50, 25, 20]);
    }

    #[test]
    fn a_pixel_across_a_border_is_shared() {
        let page = [[0; 3], [90; 3], [240; 3]].concat();
        assert_eq!(downscale(&page, (3, 1), (2, 1)), [[30; 3], [190; 3]].concat());
        assert_eq!(downscale(&page, (1, 3), (1, 2)), [[30; 3], [190; 3]].concat());
    }

    proptest! {
        #[test]
        fn a_page_of_one_color_keeps_its_color(
            from in (1..60_u32, 1..60_u32), shares in (0.01..=1.0, 0.01..=1.0), value in any::<u8>()
        ) {
            let side = |pixels: u32, share: f64| ((f64::from(pixels) * share) as u32).max(1);
            let to = (side(from.0, shares.0), side(from.1, shares.1));
            let page = vec![value; (from.0 * from.1 * 3) as usize];
            prop_assert_eq!(downscale(&page, from, to), vec![value; (to.0 * to.1 * 3) as usize]);
        }

        #[test]
        fn downscaling_bounds_pixels_and_keeps_proportions(width in 1..100_000_u32, height in 1..100_000_u32) {
            let (new_width, new_height) = downscaled_size((width, height));
            prop_assert!(u64::from(new_width) * u64::from(new_height) <= MAX_PAGE_PIXELS);
            prop_assert!(new_width.max(new_height) <= MAX_SIDE);
            let proportion = f64::from(width) / f64::from(height);
            let off = (f64::from(new_width) - f64::from(new_height) * proportion).abs();
            prop_assert!(off <= 1.0 + proportion);
        }
    }
}
