//! Upright rectangles, in pixels.

/// An upright rectangle.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rect {
    pub(crate) left: f32,
    pub(crate) top: f32,
    pub(crate) right: f32,
    pub(crate) bottom: f32,
}

impl Rect {
    /// Returns the place between two of the borders of columns, `x`, and two of those of rows, `y`.
    pub(crate) fn between(x: &[f32], y: &[f32], [left, right]: [usize; 2], [top, bottom]: [usize; 2]) -> Self {
        Self { left: x[left], right: x[right], top: y[top], bottom: y[bottom] }
    }

    /// Returns the rectangle around these points.
    pub(crate) fn around(points: &[[f32; 2]]) -> Self {
        let side = |axis: usize, pick: fn(f32, f32) -> f32, start: f32| {
            points.iter().map(|point| point[axis]).fold(start, pick)
        };
        Self {
            left: side(0, f32::min, f32::INFINITY),
            top: side(1, f32::min, f32::INFINITY),
            right: side(0, f32::max, f32::NEG_INFINITY),
            bottom: side(1, f32::max, f32::NEG_INFINITY),
        }
    }

    /// Returns the rectangle around all of these; `None` without any.
    pub(crate) fn union(rects: impl IntoIterator<Item = Self>) -> Option<Self> {
        rects.into_iter().reduce(Self::and)
    }

    /// Returns the rectangle around both.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            left: self.left.min(other.left),
            top: self.top.min(other.top),
            right: self.right.max(other.right),
            bottom: self.bottom.max(other.bottom),
        }
    }

    pub(crate) fn width(&self) -> f32 {
        self.right - self.left
    }

    pub(crate) fn height(&self) -> f32 {
        self.bottom - self.top
    }

    pub(crate) fn center(&self) -> [f32; 2] {
        [f32::midpoint(self.left, self.right), f32::midpoint(self.top, self.bottom)]
    }

    pub(crate) fn contains(&self, [x, y]: [f32; 2]) -> bool {
        (self.left..=self.right).contains(&x) && (self.top..=self.bottom).contains(&y)
    }

    /// Returns the width that both share; negative if they are apart.
    pub(crate) fn shared_width(&self, other: &Self) -> f32 {
        self.right.min(other.right) - self.left.max(other.left)
    }

    /// Returns the height that both share; negative if they are apart.
    pub(crate) fn shared_height(&self, other: &Self) -> f32 {
        self.bottom.min(other.bottom) - self.top.max(other.top)
    }

    /// Returns the corners, clockwise from the upper left.
    pub(crate) const fn corners(&self) -> [[f32; 2]; 4] {
        [[self.left, self.top], [self.right, self.top], [self.right, self.bottom], [self.left, self.bottom]]
    }
}

/// Returns the median, or 0 without values.
pub(crate) fn median(values: impl IntoIterator<Item = f32>) -> f32 {
    let mut sorted: Vec<f32> = values.into_iter().collect();
    sorted.sort_by(f32::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
}
