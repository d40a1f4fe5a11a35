//! Converts a page to the input of the vision encoder.

use quire_document::PageImage;

use crate::{
    manifest::ImageConfig,
    resize::{ImageSize, resize},
};

/// Lookup table from a byte to its value, per channel: (v / 255 − mean) / std.
#[derive(Debug)]
pub(crate) struct Normalization([[f32; 256]; 3]);

impl Normalization {
    pub(crate) fn new(picture: &ImageConfig) -> Self {
        let value = |channel: usize, byte: usize| {
            let share = (byte as f64 / 255.0) as f32;
            (share - picture.mean[channel]) / picture.std[channel]
        };
        Self(std::array::from_fn(|channel| std::array::from_fn(|byte| value(channel, byte))))
    }

    /// Appends a page as `[3, height, width]` in the order red, green, blue.
    pub(crate) fn append(&self, pixels: &mut Vec<f32>, page: &PageImage, size: ImageSize) {
        let resized = resize(page, size);
        for (channel, table) in self.0.iter().enumerate() {
            let plane = resized.iter().skip(channel).step_by(PageImage::CHANNELS);
            pixels.extend(plane.map(|&byte| table[usize::from(byte)]));
        }
    }
}
