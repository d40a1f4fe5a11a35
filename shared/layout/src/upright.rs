//! The page turned so that its lines run to the right: layout is analyzed there, and the results are turned back.

use quire_tasks::{PageText, Polygon};

use crate::{
    gray::GrayImage,
    rect::{Rect, median},
};

/// Lines with at least this ratio of length to height tell the angle of the page.
const MIN_ASPECT: f32 = 5.0;
/// Below this slope an image is not resampled: rulings of 300 pixels then stay within a row of pixels.
const MIN_SLOPE: f32 = 0.003;
/// Above this slope lines are not parallel to the page: it is no skewed scan.
const MAX_SLOPE: f32 = 0.3;

/// The transform from the page as it was sent to the upright image.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Upright {
    /// Pixels of the image per pixel of the page.
    scale: [f32; 2],
    /// Size of the image before it is turned.
    size: [f32; 2],
    /// Clockwise rotation in quarters.
    quarters: u16,
    /// Slope of the lines on the rotated image.
    slope: f32,
}

impl Upright {
    /// Returns the transform for a page that was read from this image.
    pub(crate) fn of(page: &PageText, image: &GrayImage) -> Self {
        let size = [image.width() as f32, image.height() as f32];
        let scale = [size[0] / (page.width as f32).max(1.0), size[1] / (page.height as f32).max(1.0)];
        let mut upright = Self { scale, size, quarters: page.rotation / 90 % 4, slope: 0.0 };
        let polygons: Vec<&Polygon> = page.lines.iter().filter_map(|line| line.polygon.as_ref()).collect();
        let slope = median(polygons.into_iter().filter_map(|polygon| upright.slope_of(polygon)));
        upright.slope = if (MIN_SLOPE..MAX_SLOPE).contains(&slope.abs()) { slope } else { 0.0 };
        upright
    }

    /// Returns the slope of a long line.
    fn slope_of(&self, polygon: &Polygon) -> Option<f32> {
        let [start, end, _, below] = polygon.map(|point| self.forward(point));
        let [along, down] = [end[0] - start[0], end[1] - start[1]];
        let height = (below[0] - start[0]).hypot(below[1] - start[1]);
        (along > MIN_ASPECT * height && height > 0.0).then(|| down / along)
    }

    /// Returns the place of a point of the page on the upright image.
    pub(crate) fn forward(&self, [x, y]: [f32; 2]) -> [f32; 2] {
        let (x, y) = (x * self.scale[0], y * self.scale[1]);
        let [width, height] = self.size;
        let [x, y] = match self.quarters {
            1 => [height - y, x],
            2 => [width - x, height - y],
            3 => [y, width - x],
            _ => [x, y],
        };
        [x + self.slope * y, y - self.slope * x]
    }

    /// Returns the place on the unturned image of a point of the upright one.
    fn to_image(self, [x, y]: [f32; 2]) -> [f32; 2] {
        let norm = self.slope.mul_add(self.slope, 1.0);
        let (x, y) = ((x - self.slope * y) / norm, (y + self.slope * x) / norm);
        let [width, height] = self.size;
        match self.quarters {
            1 => [y, height - x],
            2 => [width - x, height - y],
            3 => [width - y, x],
            _ => [x, y],
        }
    }

    /// Returns a rectangle of the upright image as a polygon of the page, from the start of its text.
    pub(crate) fn polygon(self, rect: &Rect) -> Polygon {
        rect.corners().map(|corner| {
            let [x, y] = self.to_image(corner);
            let [width, height] = self.size;
            [x.clamp(0.0, width) / self.scale[0], y.clamp(0.0, height) / self.scale[1]]
        })
    }

    /// Returns the bounding box of a polygon of the page on the upright image.
    pub(crate) fn rect(&self, polygon: &Polygon) -> Rect {
        Rect::around(&polygon.map(|point| self.forward(point)))
    }

    /// Returns the upright image; `None` if the image is upright.
    pub(crate) fn turn(&self, image: &GrayImage) -> Option<GrayImage> {
        if self.quarters == 0 && self.slope == 0.0 {
            return None;
        }
        let [width, height] = self.size;
        let (width, height) = if self.quarters % 2 == 1 { (height, width) } else { (width, height) };
        let origin = self.to_image([0.5, 0.5]);
        let right = self.to_image([1.5, 0.5]);
        let down = self.to_image([0.5, 1.5]);
        let step = |to: [f32; 2]| [to[0] - origin[0], to[1] - origin[1]];
        let (right, down) = (step(right), step(down));
        let mut pixels = Vec::with_capacity(width as usize * height as usize);
        for y in 0..height as usize {
            let start = [origin[0] + down[0] * y as f32, origin[1] + down[1] * y as f32];
            pixels.extend((0..width as usize).map(|x| {
                let x = x as f32;
                image.at(right[0].mul_add(x, start[0]), right[1].mul_add(x, start[1]))
            }));
        }
        Some(GrayImage::new(width as usize, height as usize, pixels))
    }
}

#[cfg(test)]
mod tests {
    use quire_tasks::Line;

    use super::*;

    fn page(rotation: u16, slope: f32) -> PageText {
        let polygon = [[10.0, 20.0], [110.0, 20.0 + 100.0 * slope], [110.0, 30.0 + 100.0 * slope], [10.0, 30.0]];
        let line = Line { text: "a line".to_owned(), confidence: None, polygon: Some(polygon), ..Line::default() };
        PageText::from_lines("a@1".parse().expect("a name"), 200, 300, rotation, vec![line])
    }

    #[test]
    fn a_rectangle_returns_to_its_place() {
        let image = GrayImage::new(100, 150, vec![255; 15_000]);
        for (rotation, slope) in [(0, 0.0), (0, 0.05), (90, 0.0), (180, 0.0), (270, 0.0)] {
            let upright = Upright::of(&page(rotation, slope), &image);
            for point in [[0.0, 0.0], [150.0, 40.0], [200.0, 300.0]] {
                let there = upright.forward(point);
                let back = upright.to_image(there);
                assert!((2.0 * back[0] - point[0]).abs() < 0.01 && (2.0 * back[1] - point[1]).abs() < 0.01);
            }
        }
        let upright = Upright::of(&page(0, 0.05), &image);
        let [start, end] = [upright.forward([10.0, 20.0]), upright.forward([110.0, 25.0])];
        assert!((start[1] - end[1]).abs() < 0.01, "the line is level");
    }

    #[test]
    fn the_image_is_turned_with_its_points() {
        let mut pixels = vec![255; 15_000];
        pixels[20 * 100 + 30] = 0;
        let image = GrayImage::new(100, 150, pixels);
        for rotation in [90, 180, 270] {
            let upright = Upright::of(&page(rotation, 0.0), &image);
            let turned = upright.turn(&image).expect("it is not upright");
            let [x, y] = upright.forward([61.0, 41.0]);
            assert_eq!(turned.at(x, y), 0, "{rotation}");
        }
        assert_eq!(Upright::of(&page(0, 0.0), &image).turn(&image), None);
    }
}
