//! Divides a page into regions that are read one after the other, by recursive cuts along gutters and headings.
//!
//! (G. Nagy and S. Seth, Hierarchical Representation of Optically Scanned Documents, ICPR 1984. A plain XY cut cannot
//! cut columns under a heading that crosses their gutter; here the tallest gutter is cut first, from its upper to its
//! lower end.)

use std::{collections::BTreeMap, ops::Range};

use crate::{
    columns::{Sides, sides_of},
    geometry::Quad,
    gutters::gutters,
    paragraphs::{Bounds, group_rows, union},
};

/// Maximum depth of the recursion: pages have a few regions.
const MAX_DEPTH: usize = 16;
/// A running header or footer is a row whose distance from the text exceeds the median distance of lines by this factor
const HEADER_DISTANCE: f32 = 1.5;
/// and is at least this many heights of a line,
const MIN_HEADER_DISTANCE: f32 = 1.2;
/// that is not taller than the lines of the text, within this factor,
const HEADER_HEIGHT: f32 = 1.2;
/// and fills less than this share of the width.
const HEADER_FILL: f32 = 0.6;
/// Maximum number of rows of a running header or footer.
const MAX_HEADER_ROWS: usize = 2;
/// Minimum height of a heading beside a gutter that divides the columns around it, in heights of a line.
const HEADING_HEIGHT: f32 = 1.2;
/// Its minimum distance from other text, in heights of a line.
const HEADING_DISTANCE: f32 = 0.3;
/// Minimum height of a heading that crosses a gutter, in heights of a line,
const CROSSING_HEADING_HEIGHT: f32 = 1.25;
/// unless this many heights of a line above and below it are blank.
const ISOLATED_DISTANCE: f32 = 1.3;
/// Minimum number of pieces of each column above and below such a heading.
const MIN_DIVIDED: usize = 2;

/// A line or a part of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Piece {
    pub(crate) line: usize,
    /// Its position on the deskewed page.
    pub(crate) bounds: Bounds,
}

/// Returns the fragments of deskewed lines, which are shares of their length.
pub(crate) fn pieces(deskewed: &[Quad], fragments: &[Vec<Range<f32>>]) -> Vec<Piece> {
    let piece = |line: usize, whole: Bounds, fragment: &Range<f32>| {
        let part = deskewed[line].section(fragment.start, fragment.end);
        let [left, right] = [(0, 3), (1, 2)].map(|(a, b)| f32::midpoint(part.0[a][0], part.0[b][0]));
        Piece { line, bounds: Bounds { left, right: right.max(left), ..whole } }
    };
    let lines = deskewed.iter().map(Bounds::of).zip(fragments).enumerate();
    lines
        .flat_map(|(line, (whole, fragments))| fragments.iter().map(move |fragment| piece(line, whole, fragment)))
        .collect()
}

/// A part of a page that no gutter divides.
#[derive(Debug)]
pub(crate) struct Region {
    pub(crate) pieces: Vec<Piece>,
    /// Whether it is a column beside another one.
    pub(crate) is_column: bool,
}

/// Returns the regions of a page in reading order. Each piece is in one of them.
pub(crate) fn regions(pieces: Vec<Piece>) -> Vec<Region> {
    let [headers, body, footers] = without_running_headers(pieces);
    let mut regions = cut(body, 0);
    if let [whole] = &mut regions[..] {
        whole.pieces.splice(0..0, headers);
        whole.pieces.extend(footers);
        return regions;
    }
    let single = |pieces: Vec<Piece>| (!pieces.is_empty()).then_some(Region { pieces, is_column: false });
    single(headers).into_iter().chain(regions).chain(single(footers)).collect()
}

fn cut(pieces: Vec<Piece>, depth: usize) -> Vec<Region> {
    match best_cut(&pieces).filter(|_| depth < MAX_DEPTH) {
        None => vec![Region { pieces, is_column: false }],
        Some(Cut::Gutter(gutter)) => cut_gutter(pieces, &gutter, depth),
        Some(Cut::Rows(ends)) => {
            let mut rows: Vec<Vec<Piece>> = vec![Vec::new(); ends.len() + 1];
            for piece in pieces {
                rows[ends.partition_point(|end| *end <= piece.bounds.middle())].push(piece);
            }
            rows.into_iter().filter(|row| !row.is_empty()).flat_map(|row| cut(row, depth + 1)).collect()
        }
    }
}

fn cut_gutter(pieces: Vec<Piece>, gutter: &Bounds, depth: usize) -> Vec<Region> {
    let gutter = between_headings(&pieces, gutter);
    let bottom = dividing_heading(&pieces, &gutter).unwrap_or(gutter.bottom);
    let middle = f32::midpoint(gutter.left, gutter.right);
    let mut parts = [Vec::new(), Vec::new(), Vec::new(), Vec::new()];
    for piece in pieces {
        let is_right = f32::midpoint(piece.bounds.left, piece.bounds.right) >= middle;
        let part = match piece.bounds.middle() {
            height if height < gutter.top => 0,
            height if height >= bottom => 3,
            _ => 1 + usize::from(is_right),
        };
        parts[part].push(piece);
    }
    let mut regions = Vec::new();
    for (index, part) in parts.into_iter().enumerate().filter(|(_, part)| !part.is_empty()) {
        let mut cut = cut(part, depth + 1);
        if let [whole] = &mut cut[..] {
            whole.is_column |= index == 1 || index == 2;
        }
        regions.append(&mut cut);
    }
    regions
}

/// Returns the part of a gutter above or below headings that cross it: the gutter may meet a space between their words.
fn between_headings(pieces: &[Piece], gutter: &Bounds) -> Bounds {
    let beside: Vec<&Piece> =
        pieces.iter().filter(|piece| (gutter.top..gutter.bottom).contains(&piece.bounds.middle())).collect();
    let mut lines: BTreeMap<usize, Bounds> = BTreeMap::new();
    for piece in &beside {
        lines.entry(piece.line).and_modify(|bounds| *bounds = bounds.and(piece.bounds)).or_insert(piece.bounds);
    }
    let line_height = median(lines.values().map(Bounds::height).collect()).unwrap_or(0.0);
    let is_isolated = |heading: &Bounds| {
        let margin = ISOLATED_DISTANCE * line_height;
        let overlaps = |other: &&Bounds| other.bottom > heading.top - margin && other.top < heading.bottom + margin;
        lines.values().filter(overlaps).count() == 1
    };
    let mut headings: Vec<Bounds> = lines
        .values()
        .filter(|line| line.left < gutter.left && line.right > gutter.right)
        .filter(|line| line.height() >= CROSSING_HEADING_HEIGHT * line_height || is_isolated(line))
        .copied()
        .collect();
    headings.sort_by(|a, b| a.top.total_cmp(&b.top));
    let mut part = *gutter;
    for heading in headings {
        if beside.iter().any(|piece| (part.top..heading.top).contains(&piece.bounds.middle())) {
            return Bounds { bottom: heading.top, ..part };
        }
        part.top = heading.bottom;
    }
    part
}

/// Where a region is cut.
enum Cut {
    Gutter(Bounds),
    Rows(Vec<f32>),
}

/// Returns the cut at the tallest gutter that divides the text.
fn best_cut(pieces: &[Piece]) -> Option<Cut> {
    let fragments: Vec<Bounds> = pieces.iter().map(|piece| piece.bounds).collect();
    let line_height = median(fragments.iter().map(Bounds::height).collect())?;
    let gutters = gutters(&fragments, line_height);
    gutters.iter().find_map(|gutter| match sides_of(gutter, &gutters, &fragments, line_height) {
        Sides::Columns => Some(Cut::Gutter(*gutter)),
        Sides::LongCells(ends) => Some(Cut::Rows(ends)),
        Sides::Rows => None,
    })
}

/// Returns the top of a heading that has nothing beside it, and columns above and below it.
fn dividing_heading(pieces: &[Piece], gutter: &Bounds) -> Option<f32> {
    let is_beside = |bounds: &&Bounds| (gutter.top..gutter.bottom).contains(&bounds.middle());
    let fragments: Vec<Bounds> = pieces.iter().map(|piece| piece.bounds).collect();
    let beside: Vec<Bounds> = fragments.iter().filter(is_beside).copied().collect();
    let line_height = median(beside.iter().map(Bounds::height).collect())?;
    let margin = HEADING_DISTANCE * line_height;
    let divides = |heading: &&Bounds| {
        let (above, below): (Vec<&Bounds>, Vec<&Bounds>) =
            beside.iter().filter(|other| other != heading).partition(|other| other.middle() < heading.middle());
        let has_columns = |part: &[&Bounds]| {
            let left = part.iter().filter(|other| other.left < gutter.left).count();
            left >= MIN_DIVIDED && part.len() - left >= MIN_DIVIDED
        };
        above.iter().all(|other| other.bottom < heading.top - margin)
            && below.iter().all(|other| other.top > heading.bottom + margin)
            && has_columns(&above)
            && has_columns(&below)
    };
    let tall = beside.iter().filter(|heading| heading.height() >= HEADING_HEIGHT * line_height);
    tall.filter(divides).map(|heading| heading.top).min_by(f32::total_cmp)
}

/// Splits running headers and footers off the text between them.
fn without_running_headers(pieces: Vec<Piece>) -> [Vec<Piece>; 3] {
    let fragments: Vec<Bounds> = pieces.iter().map(|piece| piece.bounds).collect();
    let rows = group_rows(&fragments, (0..fragments.len()).collect());
    let rows: Vec<Bounds> = rows.iter().map(|row| union(&fragments, row)).collect();
    let (Some(line_height), Some(gap)) =
        (median(fragments.iter().map(Bounds::height).collect()), median(distances_below(&fragments)))
    else {
        return [Vec::new(), pieces, Vec::new()];
    };
    let width = fragments.iter().copied().reduce(Bounds::and).map_or(0.0, |bounds| bounds.width());
    let is_header = |row: &Bounds, distance: f32| {
        let inside: Vec<&Bounds> =
            fragments.iter().filter(|other| (row.top..row.bottom).contains(&other.middle())).collect();
        distance >= (HEADER_DISTANCE * gap).max(MIN_HEADER_DISTANCE * line_height)
            && inside.iter().all(|piece| piece.height() <= HEADER_HEIGHT * line_height)
            && inside.iter().map(|piece| piece.width()).sum::<f32>() < HEADER_FILL * width
    };
    let (mut top, mut bottom) = (f32::NEG_INFINITY, f32::INFINITY);
    let headers = (1..=MAX_HEADER_ROWS.min(rows.len().saturating_sub(1))).rev();
    let header_rows = headers.into_iter().find(|&count| {
        let distance = rows[count].top - rows[count - 1].bottom;
        rows[..count].iter().all(|row| is_header(row, distance))
    });
    if let Some(count) = header_rows {
        top = f32::midpoint(rows[count - 1].bottom, rows[count].top);
    }
    let last = rows.len();
    let footer_rows = (1..=MAX_HEADER_ROWS.min(last.saturating_sub(1))).rev().find(|&count| {
        let above = rows[..last - count].iter().map(|row| row.bottom).fold(f32::NEG_INFINITY, f32::max);
        let distance = rows[last - count].top - above;
        rows[last - count..].iter().all(|row| is_header(row, distance))
    });
    if let Some(count) = footer_rows {
        bottom = rows[last - count].top - 0.1;
    }
    let mut parts = [Vec::new(), Vec::new(), Vec::new()];
    for piece in pieces {
        let middle = piece.bounds.middle();
        parts[usize::from(middle >= top) + usize::from(middle > bottom)].push(piece);
    }
    parts
}

/// Returns the distance of each fragment from the next one below it.
fn distances_below(fragments: &[Bounds]) -> Vec<f32> {
    let mut from_top: Vec<&Bounds> = fragments.iter().collect();
    from_top.sort_by(|a, b| a.top.total_cmp(&b.top));
    let below = |(place, upper): (usize, &&Bounds)| {
        let is_below =
            |lower: &&&Bounds| lower.top >= upper.middle() && lower.left < upper.right && upper.left < lower.right;
        from_top[place + 1..].iter().find(is_below).map(|lower| lower.top - upper.bottom)
    };
    from_top.iter().enumerate().filter_map(below).collect()
}

fn median(mut values: Vec<f32>) -> Option<f32> {
    values.sort_by(f32::total_cmp);
    values.get(values.len() / 2).copied()
}
