//! Points, convex hulls and rotated rectangles. The y axis points down; pixel k covers [k, k + 1).

use std::ops::Range;

/// `[x, y]`.
pub(crate) type Point = [f32; 2];

fn cross(origin: Point, a: Point, b: Point) -> f32 {
    (a[0] - origin[0]) * (b[1] - origin[1]) - (a[1] - origin[1]) * (b[0] - origin[0])
}

fn dot(a: Point, b: Point) -> f32 {
    a[0] * b[0] + a[1] * b[1]
}

pub(crate) fn subtract(a: Point, b: Point) -> Point {
    [a[0] - b[0], a[1] - b[1]]
}

fn length(a: Point) -> f32 {
    a[0].hypot(a[1])
}

/// Returns the convex hull (monotone chain), clockwise on the screen, without collinear points.
pub(crate) fn convex_hull(mut points: Vec<Point>) -> Vec<Point> {
    points.sort_unstable_by(|a, b| a[0].total_cmp(&b[0]).then(a[1].total_cmp(&b[1])));
    points.dedup();
    if points.len() < 3 {
        return points;
    }
    let mut hull = chain(points.iter().copied());
    let back = chain(points.into_iter().rev());
    hull.pop();
    hull.extend(back);
    hull.pop();
    hull
}

/// Returns one half of the hull: the points that turn to the same side.
fn chain(points: impl Iterator<Item = Point>) -> Vec<Point> {
    let mut chain: Vec<Point> = Vec::new();
    for point in points {
        while let [.., a, b] = chain[..] {
            if cross(a, b, point) > 0.0 {
                break;
            }
            chain.pop();
        }
        chain.push(point);
    }
    chain
}

/// A rectangle at any angle.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rectangle {
    /// Center.
    pub(crate) center: Point,
    /// Unit vector along `sides[0]`.
    pub(crate) axis: Point,
    /// Side lengths, along the axis and across it.
    pub(crate) sides: [f32; 2],
}

impl Rectangle {
    /// Returns the minimum-area rectangle around a convex hull; `None` if the hull has no area. One of its sides is on
    /// an edge of the hull. Testing every edge with every point is faster than rotating calipers for the few dozen
    /// points of a text line.
    pub(crate) fn around(hull: &[Point]) -> Option<Self> {
        let edges = hull.iter().zip(hull.iter().cycle().skip(1));
        let rectangles = edges.filter_map(|(&a, &b)| Self::along(hull, subtract(b, a)));
        let smallest = rectangles.min_by(|a, b| a.area().total_cmp(&b.area()))?;
        (smallest.area() > 0.0).then_some(smallest)
    }

    fn along(hull: &[Point], direction: Point) -> Option<Self> {
        let norm = length(direction);
        if norm <= 0.0 {
            return None;
        }
        let axis = [direction[0] / norm, direction[1] / norm];
        let normal = [-axis[1], axis[0]];
        let extent = |unit: Point| {
            let start = (f32::INFINITY, f32::NEG_INFINITY);
            hull.iter().map(|&p| dot(p, unit)).fold(start, |(low, high), v| (low.min(v), high.max(v)))
        };
        let ((left, right), (top, bottom)) = (extent(axis), extent(normal));
        let u = f32::midpoint(left, right);
        let v = f32::midpoint(top, bottom);
        let center = [u * axis[0] + v * normal[0], u * axis[1] + v * normal[1]];
        Some(Self { center, axis, sides: [right - left, bottom - top] })
    }

    pub(crate) fn area(&self) -> f32 {
        self.sides[0] * self.sides[1]
    }

    pub(crate) fn short_side(&self) -> f32 {
        self.sides[0].min(self.sides[1])
    }

    /// Expands the rectangle like DB's post-processing: by area × `ratio` / perimeter on each side. For a rectangle,
    /// polygon offsetting and fitting a rectangle is the same as moving the sides.
    pub(crate) fn unclipped(self, ratio: f32) -> Self {
        let distance = self.area() * ratio / (2.0 * (self.sides[0] + self.sides[1]));
        Self { sides: self.sides.map(|side| side + 2.0 * distance), ..self }
    }

    /// Returns the corners, clockwise on the screen; the first edge is along the axis.
    pub(crate) fn corners(&self) -> [Point; 4] {
        let Self { center, axis, sides } = self;
        let along = [axis[0] * sides[0] / 2.0, axis[1] * sides[0] / 2.0];
        let across = [-axis[1] * sides[1] / 2.0, axis[0] * sides[1] / 2.0];
        let corner =
            |u: f32, v: f32| [center[0] + u * along[0] + v * across[0], center[1] + u * along[1] + v * across[1]];
        [corner(-1.0, -1.0), corner(1.0, -1.0), corner(1.0, 1.0), corner(-1.0, 1.0)]
    }

    /// Iterates over the rows of an image and the range of pixels in each whose centers are inside.
    pub(crate) fn pixels(self, rows: usize, columns: usize) -> impl Iterator<Item = (usize, Range<usize>)> {
        let corners = self.corners();
        let top = corners.iter().map(|corner| corner[1]).fold(f32::INFINITY, f32::min).max(0.0) as usize;
        let bottom = corners.iter().map(|corner| corner[1]).fold(0.0, f32::max).ceil() as usize;
        (top..bottom.min(rows)).filter_map(move |row| {
            let (left, right) = self.span_at(row as f32 + 0.5)?;
            let first = (left - 0.5).ceil().max(0.0) as usize;
            let last = ((right + 0.5).floor().max(0.0) as usize).min(columns);
            (first < last).then_some((row, first..last))
        })
    }

    /// Returns the left and right end of the horizontal line at `y` inside the rectangle.
    pub(crate) fn span_at(&self, y: f32) -> Option<(f32, f32)> {
        let normal = [-self.axis[1], self.axis[0]];
        let along = slab(self.axis, self.center, self.sides[0] / 2.0, y)?;
        let across = slab(normal, self.center, self.sides[1] / 2.0, y)?;
        let left = along.0.max(across.0);
        let right = along.1.min(across.1);
        (left < right).then_some((left, right))
    }
}

/// Returns where the line at `y` is within `half` of `center` in the direction `unit`.
fn slab(unit: Point, center: Point, half: f32, y: f32) -> Option<(f32, f32)> {
    let rest = (y - center[1]) * unit[1];
    if unit[0].abs() < 1e-6 {
        return (rest.abs() <= half).then_some((f32::NEG_INFINITY, f32::INFINITY));
    }
    let ends = [-half, half].map(|bound| center[0] + (bound - rest) / unit[0]);
    Some((ends[0].min(ends[1]), ends[0].max(ends[1])))
}

/// Position of a text line: a parallelogram, clockwise from the start of the text.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Quad(pub(crate) [Point; 4]);

impl Quad {
    /// Scales the position, e.g. from the detection map to the page.
    pub(crate) fn scaled(self, x: f32, y: f32) -> Self {
        Self(self.0.map(|point| [point[0] * x, point[1] * y]))
    }

    /// Moves the position to the right and down.
    pub(crate) fn shifted(self, by: Point) -> Self {
        Self(self.0.map(|point| [point[0] + by[0], point[1] + by[1]]))
    }

    pub(crate) fn center(&self) -> Point {
        [0, 1].map(|axis| self.0.iter().map(|corner| corner[axis]).sum::<f32>() / 4.0)
    }

    /// Returns whether a point is inside or on the edge.
    pub(crate) fn contains(&self, point: Point) -> bool {
        (0..4).all(|corner| cross(self.0[corner], self.0[(corner + 1) % 4], point) >= 0.0)
    }

    /// Returns whether a point is inside or at most a quarter of the height outside.
    pub(crate) fn contains_nearly(&self, point: Point) -> bool {
        let margin = self.breadth() / 4.0;
        let distance = |corner: usize| {
            let edge = subtract(self.0[(corner + 1) % 4], self.0[corner]);
            cross(self.0[corner], self.0[(corner + 1) % 4], point) / length(edge).max(f32::MIN_POSITIVE)
        };
        (0..4).all(|corner| distance(corner) >= -margin)
    }

    /// Returns where a point is along the text, as a share of its length.
    pub(crate) fn share_along(&self, point: Point) -> f32 {
        let edge = subtract(self.0[1], self.0[0]);
        dot(subtract(point, self.0[0]), edge) / dot(edge, edge).max(f32::MIN_POSITIVE)
    }

    /// Returns the length along the text.
    pub(crate) fn length(&self) -> f32 {
        length(subtract(self.0[1], self.0[0]))
    }

    /// Returns the height across the text.
    pub(crate) fn breadth(&self) -> f32 {
        length(subtract(self.0[3], self.0[0]))
    }

    /// Returns the position with its first corner moved clockwise by `quarters` corners.
    pub(crate) fn rotated(self, quarters: usize) -> Self {
        let mut corners = self.0;
        corners.rotate_left(quarters % 4);
        Self(corners)
    }

    /// Returns the position with the reading direction closest to `direction`.
    pub(crate) fn facing(self, direction: Point) -> Self {
        let agreement = |quarters: &usize| {
            let quad = self.rotated(*quarters);
            dot(subtract(quad.0[1], quad.0[0]), direction) / quad.length().max(f32::MIN_POSITIVE)
        };
        let quarters = (0..4).max_by(|a, b| agreement(a).total_cmp(&agreement(b)));
        self.rotated(quarters.unwrap_or(0))
    }

    /// Returns the section between two fractions of the length.
    pub(crate) fn section(&self, from: f32, to: f32) -> Self {
        let [start, end, end_below, start_below] = self.0;
        let between = |a: Point, b: Point, at: f32| [a[0] + (b[0] - a[0]) * at, a[1] + (b[1] - a[1]) * at];
        Self([
            between(start, end, from),
            between(start, end, to),
            between(start_below, end_below, to),
            between(start_below, end_below, from),
        ])
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "small whole numbers, which are exact")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn points() -> impl Strategy<Value = Vec<Point>> {
        prop::collection::vec((0_i16..500, 0_i16..500), 3..60)
            .prop_map(|points| points.into_iter().map(|(x, y)| [f32::from(x), f32::from(y)]).collect())
    }

    fn holds(rectangle: &Rectangle, point: Point) -> bool {
        let offset = subtract(point, rectangle.center);
        let normal = [-rectangle.axis[1], rectangle.axis[0]];
        dot(offset, rectangle.axis).abs() <= rectangle.sides[0] / 2.0 + 0.05
            && dot(offset, normal).abs() <= rectangle.sides[1] / 2.0 + 0.05
    }

    fn upright(left: f32, top: f32, right: f32, bottom: f32) -> Vec<Point> {
        vec![[left, top], [right, top], [right, bottom], [left, bottom]]
    }

    proptest! {
        #[test]
        fn a_hull_holds_every_point_and_turns_one_way(points in points()) {
            let hull = convex_hull(points.clone());
            let edges: Vec<(Point, Point)> = hull.iter().copied().zip(hull.iter().copied().cycle().skip(1)).collect();
            for &(a, b) in edges.iter().filter(|_| hull.len() > 2) {
                prop_assert!(points.iter().all(|&point| cross(a, b, point) >= 0.0));
            }
        }

        #[test]
        fn a_rectangle_holds_its_hull_and_is_no_larger_than_the_upright_one(points in points()) {
            let hull = convex_hull(points.clone());
            if let Some(rectangle) = Rectangle::around(&hull) {
                prop_assert!(points.iter().all(|&point| holds(&rectangle, point)));
                let upright = Rectangle::along(&hull, [1.0, 0.0]).expect("the direction is not zero");
                prop_assert!(rectangle.area() <= upright.area() * 1.0001);
                prop_assert!(points.iter().all(|&point| holds(&rectangle.unclipped(1.5), point)));
            }
        }

        #[test]
        fn a_section_of_a_line_keeps_its_height(from in 0.0_f32..0.5, to in 0.5_f32..1.0) {
            let quad = Quad([[0.0, 0.0], [100.0, 10.0], [98.0, 30.0], [-2.0, 20.0]]);
            let part = quad.section(from, to);
            prop_assert!((part.breadth() - quad.breadth()).abs() < 0.01);
            prop_assert!((part.length() - quad.length() * (to - from)).abs() < 0.01);
        }
    }

    #[test]
    fn points_on_one_line_have_no_rectangle() {
        assert_eq!(Rectangle::around(&convex_hull(vec![[0.0, 0.0], [1.0, 1.0], [5.0, 5.0]])), None);
        assert_eq!(Rectangle::around(&convex_hull(vec![[3.0, 3.0]])), None);
        assert_eq!(Rectangle::around(&[]), None);
    }

    #[test]
    fn unclipping_moves_each_side_by_area_times_ratio_over_perimeter() {
        let rectangle =
            Rectangle::around(&convex_hull(upright(10.0, 10.0, 110.0, 30.0))).expect("the hull has an area");
        let mut sides = rectangle.unclipped(1.2).sides;
        sides.sort_by(f32::total_cmp);
        assert_eq!(sides, [40.0, 120.0]);
    }

    #[test]
    fn a_row_crosses_a_tilted_square_between_its_sides() {
        let square =
            Rectangle::around(&[[0.0, -10.0], [10.0, 0.0], [0.0, 10.0], [-10.0, 0.0]]).expect("the hull has an area");
        let (left, right) = square.span_at(5.0).expect("the row crosses the square");
        assert!((left + 5.0).abs() < 0.01 && (right - 5.0).abs() < 0.01);
        assert_eq!(square.span_at(11.0), None);
    }

    #[test]
    fn a_position_contains_its_points() {
        let quad = Quad([[0.0, 0.0], [50.0, 10.0], [48.0, 20.0], [-2.0, 10.0]]).shifted([100.0, 0.0]);
        assert_eq!(quad.center(), [124.0, 10.0]);
        assert!(quad.contains(quad.center()) && quad.contains([100.0, 0.0]));
        assert!(!quad.contains([124.0, 3.0]) && !quad.contains([124.0, 17.0]) && !quad.contains([24.0, 10.0]));
    }

    #[test]
    fn a_line_faces_the_requested_direction() {
        let quad = Quad([[0.0, 0.0], [50.0, 0.0], [50.0, 10.0], [0.0, 10.0]]);
        assert_eq!(quad.rotated(3).facing([1.0, 0.1]), quad);
        assert_eq!(quad.facing([-1.0, 0.0]).0[0], [50.0, 10.0]);
        assert_eq!(quad.facing([0.0, 1.0]).0[0], [50.0, 0.0]);
    }
}
