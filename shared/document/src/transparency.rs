//! The background of transparent pages.
//!
//! A viewer shows a page on whatever is behind it. White print on transparency would vanish on white, so that the
//! background is chosen by contrast with the opaque pixels that border on transparent ones: they are the outlines of
//! letters, and of boxes that bring their own background.

/// Opacity from which a pixel counts as opaque.
const OPAQUE: u8 = 128;
/// Brightness below which a pixel is dark, on a scale of 255.
const DARK: u8 = 96;
/// Brightness above which a pixel is light.
const LIGHT: u8 = 160;
/// The background of print that is light in one place and dark in another, halfway between both.
const MIDDLE: u8 = 128;
/// The background for light print. Not black, so that a black shadow remains an outline.
const DARK_BACKGROUND: u8 = 24;
/// The background is middle gray if at least one in this many outline pixels is light, and as many are dark.
const MIXED_SHARE: u64 = 12;

/// Whether transparency is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Alpha {
    Applied,
    /// For images that are transparent everywhere: programs that ignore transparency have written them.
    Ignored,
}

/// The gray value behind transparent pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Background(pub(crate) u8);

/// Counts the opaque pixels beside transparent ones, by their brightness.
#[derive(Debug, Default)]
pub(crate) struct OutlinePixels {
    dark: u64,
    middle: u64,
    light: u64,
    visible: bool,
}

impl OutlinePixels {
    /// Counts the pixels of a row of blue, green, red and opacity.
    pub(crate) fn count(&mut self, row: &[u8]) {
        let pixels = row.as_chunks::<4>().0;
        self.visible |= pixels.iter().any(|[.., alpha]| *alpha != 0);
        for pair in pixels.windows(2) {
            let (left, right) = (pair[0], pair[1]);
            match (left[3] >= OPAQUE, right[3] >= OPAQUE) {
                (true, false) => self.add(left),
                (false, true) => self.add(right),
                _ => {}
            }
        }
    }

    fn add(&mut self, [blue, green, red, _]: [u8; 4]) {
        // ITU-R BT.601, as integers.
        let brightness = (u32::from(red) * 77 + u32::from(green) * 150 + u32::from(blue) * 29) >> 8;
        match brightness {
            brightness if brightness < u32::from(DARK) => self.dark += 1,
            brightness if brightness > u32::from(LIGHT) => self.light += 1,
            _ => self.middle += 1,
        }
    }

    /// Returns whether any pixel is visible at all.
    pub(crate) const fn has_visible(&self) -> bool {
        self.visible
    }

    /// Returns the background with the most contrast.
    pub(crate) fn background(&self) -> Background {
        let all = self.dark + self.middle + self.light;
        let is_common = |count: u64| count * MIXED_SHARE >= all && count > 0;
        Background(match (is_common(self.light), is_common(self.dark)) {
            (true, true) => MIDDLE,
            (true, false) if self.light > self.middle => DARK_BACKGROUND,
            _ => 255,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLEAR: [u8; 4] = [0, 0, 0, 0];
    const WHITE: [u8; 4] = [255; 4];
    const BLACK: [u8; 4] = [0, 0, 0, 255];
    const RED: [u8; 4] = [0, 0, 255, 255];

    fn background(row: &[[u8; 4]]) -> u8 {
        let mut outline = OutlinePixels::default();
        outline.count(row.as_flattened());
        outline.background().0
    }

    #[test]
    fn the_background_contrasts_with_the_print() {
        assert_eq!(background(&[CLEAR, BLACK, CLEAR]), 255);
        assert_eq!(background(&[CLEAR, RED, CLEAR]), 255);
        assert_eq!(background(&[CLEAR, WHITE, CLEAR]), DARK_BACKGROUND);
        assert_eq!(background(&[CLEAR, WHITE, CLEAR, BLACK, CLEAR]), MIDDLE);
    }

    #[test]
    fn print_in_a_white_box_does_not_make_the_page_gray() {
        assert_eq!(background(&[CLEAR, WHITE, WHITE, BLACK, BLACK, WHITE, WHITE, CLEAR]), DARK_BACKGROUND);
        assert_eq!(background(&[WHITE, BLACK, WHITE]), 255);
    }
}
