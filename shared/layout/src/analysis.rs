//! Analyzes the layout of a page.

use std::collections::{BTreeMap, BTreeSet};

use quire_tasks::{Block, BlockKind, PageText, Warning, WarningKind};

use crate::{
    draft::Draft,
    figures::find_figures,
    gray::GrayImage,
    grid::find_grids,
    pieces::InkLine,
    rect::{Rect, median},
    ruled::ruled_table,
    rulings::{Rulings, find_rulings},
    sums::contradicting_cells,
    text_blocks::{PageMeasures, TextBlock, TextLine, body_height, text_blocks},
    totals::add_totals,
    unruled::unruled_tables,
    upright::Upright,
};

/// Rulings above footnotes are this share of the page's width,
const NOTE_RULING: [f32; 2] = [0.08, 0.5];
/// and in this part of its height.
const NOTE_TOP: f32 = 0.5;

/// Maximum number of warnings about the amounts of a page.
const MAX_WARNINGS: usize = 20;

/// The layout of a page.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Layout {
    /// Its blocks in reading order: each line is in at least one of them.
    pub blocks: Vec<Block>,
    /// Amounts in its tables that contradict each other.
    pub warnings: Vec<Warning>,
}

/// Returns the layout of a page; an empty one if a line has no position.
///
/// `image` is the image that was read, in any resolution.
pub fn analyze(image: &GrayImage, page: &PageText) -> Layout {
    let is_placed = page.lines.iter().all(|line| line.polygon.is_some());
    if page.lines.is_empty() || !is_placed || image.width() == 0 || image.height() == 0 {
        return Layout::default();
    }
    let upright = Upright::of(page, image);
    let turned = upright.turn(image);
    let image = turned.as_ref().unwrap_or(image);
    let boxes: Vec<Rect> =
        page.lines.iter().filter_map(|line| line.polygon.as_ref()).map(|polygon| upright.rect(polygon)).collect();
    let line_height = median(boxes.iter().map(Rect::height)).max(1.0);
    let rulings = find_rulings(image, line_height);
    let lines: Vec<InkLine> = page
        .lines
        .iter()
        .zip(boxes)
        .enumerate()
        .map(|(index, (line, line_box))| InkLine::new(index, &line.text, line_box, image, &rulings))
        .collect();
    let tables = find_tables(&lines, &rulings, line_height);
    let in_table: BTreeMap<usize, usize> = tables.iter().enumerate().flat_map(lines_of).collect();
    let text_lines: Vec<TextLine> = lines
        .iter()
        .filter(|line| !in_table.contains_key(&line.index()))
        .map(|line| TextLine { index: line.index(), rect: *line.rect(), text: line.text().to_owned() })
        .collect();
    let body = body_height(&text_lines).max(0.5 * line_height);
    let size = [image.width() as f32, image.height() as f32];
    let measures = PageMeasures { size, body, note_ruling: note_ruling(&rulings, size) };
    let texts = text_blocks(runs_of(text_lines, &in_table), &measures);
    let warnings = tables.iter().flat_map(|table| amount_warnings(table, &upright)).take(MAX_WARNINGS).collect();
    let taken: Vec<Rect> = lines.iter().map(|line| *line.line_box()).chain(tables.iter().map(Draft::bounds)).collect();
    let figures = find_figures(image, &taken, line_height);
    Layout { blocks: in_reading_order(texts, tables, &figures, &upright), warnings }
}

fn amount_warnings(table: &Draft, upright: &Upright) -> Vec<Warning> {
    let cells = contradicting_cells(table).into_iter();
    let warning = |(cell, check)| {
        let polygon = Some(upright.polygon(&table.rect(&table.cells[cell])));
        Warning { kind: WarningKind::ContradictingAmount { check }, polygon }
    };
    cells.map(warning).collect()
}

fn lines_of((index, table): (usize, &Draft)) -> impl Iterator<Item = (usize, usize)> {
    table.cells.iter().flat_map(|cell| &cell.pieces).map(move |piece| (piece.line, index))
}

/// Returns the ruled tables, and those among the other lines.
fn find_tables(lines: &[InkLine], rulings: &Rulings, line_height: f32) -> Vec<Draft> {
    let mut used: BTreeSet<usize> = BTreeSet::new();
    let mut tables = Vec::new();
    for grid in find_grids(rulings, line_height) {
        let bounds = grid.bounds();
        let is_inside = |line: &&InkLine| !used.contains(&line.index()) && bounds.contains(line.rect().center());
        let inside: Vec<&InkLine> = lines.iter().filter(is_inside).collect();
        let Some(mut table) = ruled_table(&grid, &inside, line_height) else { continue };
        used.extend(inside.iter().map(|line| line.index()));
        let outside: Vec<&InkLine> = lines.iter().filter(|line| !used.contains(&line.index())).collect();
        add_totals(&mut table, &outside, line_height);
        used.extend(lines_of((0, &table)).map(|(line, _)| line));
        tables.push(table);
    }
    let rest: Vec<&InkLine> = lines.iter().filter(|line| !used.contains(&line.index())).collect();
    tables.extend(unruled_tables(&rest, line_height));
    tables
}

/// Returns the lines in runs that no table interrupts in reading order.
fn runs_of(lines: Vec<TextLine>, in_table: &BTreeMap<usize, usize>) -> Vec<Vec<TextLine>> {
    let mut runs: Vec<Vec<TextLine>> = Vec::new();
    for line in lines {
        let is_next = |run: &&mut Vec<TextLine>| {
            run.last().is_some_and(|last| in_table.range(last.index..line.index).next().is_none())
        };
        match runs.last_mut().filter(is_next) {
            Some(run) => run.push(line),
            None => runs.push(vec![line]),
        }
    }
    runs
}

/// Returns the height of a short ruling on the lower half of the page, as there is above footnotes.
fn note_ruling(rulings: &Rulings, [width, height]: [f32; 2]) -> Option<f32> {
    let is_note = |length: f32| (NOTE_RULING[0] * width..NOTE_RULING[1] * width).contains(&length);
    let below = rulings.horizontal.iter().filter(|ruling| ruling.at > NOTE_TOP * height && is_note(ruling.length()));
    below.map(|ruling| ruling.at).max_by(f32::total_cmp)
}

/// Puts each table after the text in front of its first line, and each figure in front of the first block below it.
fn in_reading_order(texts: Vec<TextBlock>, tables: Vec<Draft>, figures: &[Rect], upright: &Upright) -> Vec<Block> {
    let texts = texts.into_iter().map(|text| (text.rect, text.into_block(upright)));
    let tables = tables.into_iter().map(|table| (table.bounds(), table.into_block(upright)));
    let mut blocks: Vec<(Rect, Block)> = texts.chain(tables).collect();
    blocks.sort_by_key(|(_, block)| block.lines.first().copied());
    for figure in figures {
        let is_below = |(rect, _): &(Rect, Block)| rect.top > figure.center()[1] && rect.shared_width(figure) > 0.0;
        let place = blocks.iter().position(is_below).unwrap_or(blocks.len());
        let polygon = upright.polygon(figure);
        let block = Block { kind: BlockKind::Figure, polygon, level: None, lines: Vec::new(), table: None };
        blocks.insert(place, (*figure, block));
    }
    blocks.into_iter().map(|(_, block)| block).collect()
}
