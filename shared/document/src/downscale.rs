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

/// Scales a page by area averaging: each pixel of the result is the mean of the area of the page that it covers. Rows
/// are processed one by one, so that only the result is in memory.
#[derive(Debug)]
pub(crate) struct Scaler {
    from: (usize, usize),
    to: (usize, usize),
    channels: usize,
    result: Vec<u8>,
    /// The last row that was added, in the width of the result.
    row: Vec<f32>,
    /// The part of the next row of the result that is known.
    sum: Vec<f32>,
    /// What the next row of the result needs. In units of which a row of the page has the height of the result and a
    /// row of the result that of the page, all borders are integers.
    missing: usize,
}

impl Scaler {
    /// Scales `from` to `to`, both width and height.
    pub(crate) fn new(from: (u32, u32), to: (u32, u32), channels: usize) -> Self {
        let usize = |(width, height): (u32, u32)| (width as usize, height as usize);
        let (from, to) = (usize(from), usize(to));
        let row = if from == to { Vec::new() } else { vec![0.0; to.0 * channels] };
        let result = Vec::with_capacity(to.0 * to.1 * channels);
        Self { from, to, channels, result, sum: row.clone(), row, missing: from.1 }
    }

    /// Returns width and height of the result.
    pub(crate) const fn size(&self) -> (u32, u32) {
        (self.to.0 as u32, self.to.1 as u32)
    }

    /// Adds the next row of the page.
    pub(crate) fn push(&mut self, source: &[u8]) {
        if self.from == self.to {
            self.result.extend_from_slice(source);
            return;
        }
        average_row(source, self.from.0, &mut self.row, self.to.0, self.channels);
        let mut rest = self.to.1;
        while rest > 0 {
            let inside = self.missing.min(rest);
            add_row(&mut self.sum, &self.row, inside as f32 / self.from.1 as f32);
            rest -= inside;
            self.missing -= inside;
            if self.missing == 0 {
                self.result.extend(self.sum.iter().map(|value| value.round() as u8));
                self.sum.fill(0.0);
                self.missing = self.from.1;
            }
        }
    }

    /// Returns the result, when all rows were added.
    pub(crate) fn into_pixels(self) -> Vec<u8> {
        self.result
    }
}

/// Averages one row by the same rule.
fn average_row(source: &[u8], width: usize, row: &mut [f32], new_width: usize, channels: usize) {
    match channels {
        1 => average_pixels::<1>(source, width, row, new_width),
        3 => average_pixels::<3>(source, width, row, new_width),
        _ => average_pixels::<4>(source, width, row, new_width),
    }
}

fn average_pixels<const N: usize>(source: &[u8], width: usize, row: &mut [f32], new_width: usize) {
    let pixels = source.as_chunks::<N>().0;
    // In units of which a pixel of the page has the width of the result, as for rows.
    let unit = new_width as u64;
    for (x, averaged) in row.as_chunks_mut::<N>().0.iter_mut().enumerate() {
        let (start, end) = (x * width, (x + 1) * width);
        let (first, last) = (start / new_width, (end - 1) / new_width);
        let mut sums = [0_u64; N];
        let inside = pixels.get(first + 1..last).unwrap_or_default();
        add_pixels(&mut sums, inside, unit);
        let left = (first + 1) * new_width - start;
        add_pixels(&mut sums, &pixels[first..=first], left.min(width) as u64);
        if last > first {
            add_pixels(&mut sums, &pixels[last..=last], (end - last * new_width) as u64);
        }
        *averaged = sums.map(|sum| (sum as f64 / width as f64) as f32);
    }
}

/// Adds pixels of the same weight.
fn add_pixels<const N: usize>(sums: &mut [u64; N], pixels: &[[u8; N]], weight: u64) {
    for (channel, sum) in sums.iter_mut().enumerate() {
        let values: u64 = pixels.iter().map(|pixel| u64::from(pixel[channel])).sum();
        *sum += values * weight;
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

    fn downscale(pixels: &[u8], from: (u32, u32), to: (u32, u32)) -> Vec<u8> {
        let mut scaler = Scaler::new(from, to, 3);
        pixels.chunks_exact(from.0 as usize * 3).for_each(|row| scaler.push(row));
        scaler.into_pixels()
    }

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
