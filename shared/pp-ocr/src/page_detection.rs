//! Detects the lines of pages: in one run per page, and in tiles where a single run would scale print below the size
//! that detection needs.

use ndarray::{Array2, ArrayView2, s};
use quire_document::PageImage;
use quire_inference::{ModelError, ProcessingPool, RunBuffer, run_with_bisection};

use crate::{
    cost_counters::MeteredModel,
    crop_rect::CropRect,
    detection::detection_size,
    fixed_shapes::InputPlacement,
    line_merge::{FoundLine, merge_lines},
    page_state::DetectedText,
    policy::BatchPolicy,
    policy_runs::DetectionRun,
    resample::resample,
    tiles::{Tile, tiles},
    zoomed_detection::{AreaMap, BLOCK_PIXELS, ZoomArea, analyze_map, is_large_page, print_hints},
};

/// Maximum number of tiles of a page in all passes: twice the largest page at its full resolution, which bounds the
/// time of detection to that of 64 pages.
const MAX_TILES: usize = 64;

/// Detects the lines of pages.
pub(crate) struct PageDetector<'a> {
    pub(crate) model: &'a mut MeteredModel,
    pub(crate) policy: &'a BatchPolicy,
    pub(crate) pool: &'a ProcessingPool,
}

/// An area of a page of the micro-batch that detection must analyze.
struct Area {
    page: usize,
    part: CropRect,
    /// Rows and columns of its map.
    size: (usize, usize),
    tiles: Vec<Tile>,
}

/// A tile of an area, and its placement in a run.
#[derive(Clone, Copy)]
struct PlacedTile<'a> {
    page: &'a PageImage,
    /// What the model sees, in pixels of the page.
    part: CropRect,
    placement: InputPlacement,
    /// The core of the tile in the run.
    top: usize,
    left: usize,
    tile: Tile,
}

/// What the model found in the core of a tile.
struct TileMap {
    map: Array2<f32>,
    hints: Array2<bool>,
}

/// What is known of a page between two passes.
struct PageProgress {
    lines: Vec<FoundLine>,
    illegible: Vec<CropRect>,
    is_large: bool,
    tiles: usize,
}

impl PageDetector<'_> {
    /// Returns the lines of each page. Areas with small print are detected again, zoomed in, and those results replace
    /// the first ones.
    pub(crate) fn detect(&mut self, pages: &[&PageImage]) -> Vec<Result<DetectedText, ModelError>> {
        let mut areas: Vec<Area> = pages.iter().enumerate().map(|(page, image)| self.whole_page(page, image)).collect();
        let start = |area: &Area| {
            let is_large = is_large_page(pages[area.page], area.size.0 * area.size.1);
            Ok(PageProgress { lines: Vec::new(), illegible: Vec::new(), is_large, tiles: 0 })
        };
        let mut progress: Vec<Result<PageProgress, ModelError>> = areas.iter().map(start).collect();
        while !areas.is_empty() {
            let maps = self.detect_areas(pages, &areas);
            areas = areas
                .iter()
                .zip(maps)
                .filter_map(|(area, map)| self.finish_area(pages, area, map, &mut progress))
                .collect();
        }
        let text = |page: PageProgress| DetectedText {
            lines: page.lines.into_iter().map(|line| line.quad).collect(),
            illegible: page.illegible,
        };
        progress.into_iter().map(|page| page.map(text)).collect()
    }

    fn whole_page(&self, page: usize, image: &PageImage) -> Area {
        let part = CropRect::whole(image);
        let (width, height) = self.place_single(&part).content;
        let size = (height as usize, width as usize);
        Area { page, part, size, tiles: vec![Tile::single(size)] }
    }

    /// Analyzes the map of an area, adds its lines to the page, and returns the area of the next pass.
    fn finish_area(
        &self,
        pages: &[&PageImage],
        area: &Area,
        map: Result<AreaMap, ModelError>,
        progress: &mut [Result<PageProgress, ModelError>],
    ) -> Option<Area> {
        let state = &mut progress[area.page];
        let (page, map) = match (state.as_mut(), map) {
            (Ok(page), Ok(map)) => (page, map),
            (Ok(_), Err(error)) => {
                *state = Err(error);
                return None;
            }
            (Err(_), _) => return None,
        };
        let image = pages[area.page];
        let thresholds = self.model.model().box_thresholds();
        let found = analyze_map(image, &map, page.is_large, self.policy.detection_page_pixels, &thresholds);
        merge_lines(image, &mut page.lines, &area.part, found.lines);
        page.tiles += area.tiles.len();
        page.illegible.extend(found.illegible);
        let zoom = found.zoom?;
        let next = self.zoomed_area(area.page, &zoom);
        if page.tiles + next.tiles.len() > MAX_TILES {
            page.illegible.push(zoom.part);
            return None;
        }
        Some(next)
    }

    /// Divides an area into tiles, and skips those without print.
    fn zoomed_area(&self, page: usize, zoom: &ZoomArea) -> Area {
        let part = zoom.part;
        let single = self.place_single(&part);
        let (width, height) = single.content;
        if (height as usize, width as usize) == zoom.size
            || width as usize * height as usize >= zoom.size.0 * zoom.size.1
        {
            let size = (height as usize, width as usize);
            return Area { page, part, size, tiles: vec![Tile::single(size)] };
        }
        let shapes = if self.policy.fixed_batches { &self.policy.detection_shapes[..] } else { &[] };
        let mut tiles = tiles(zoom.size, self.policy.detection_page_pixels, shapes);
        tiles.retain(|tile| {
            let core = tile.core.on_page(&part, zoom.size);
            zoom.cells.iter().any(|cell| cell.meets(&core))
        });
        Area { page, part, size: zoom.size, tiles }
    }

    /// Runs detection on areas of pages. Returns one map per area.
    fn detect_areas(&mut self, pages: &[&PageImage], areas: &[Area]) -> Vec<Result<AreaMap, ModelError>> {
        let placed: Vec<PlacedTile<'_>> = areas
            .iter()
            .flat_map(|area| area.tiles.iter().map(|tile| self.place_tile(pages[area.page], area, *tile)))
            .collect();
        let mut found = self.detect_tiles(&placed).into_iter();
        areas
            .iter()
            .map(|area| {
                let maps: Vec<_> = found.by_ref().take(area.tiles.len()).collect();
                area_map(area, maps)
            })
            .collect()
    }

    /// Runs detection on tiles. Returns one result per tile.
    fn detect_tiles(&mut self, placed: &[PlacedTile<'_>]) -> Vec<Result<TileMap, ModelError>> {
        let shapes: Vec<(u32, u32)> = placed.iter().map(|tile| tile.placement.shape).collect();
        let mut found: Vec<Option<Result<TileMap, ModelError>>> = placed.iter().map(|_| None).collect();
        for DetectionRun { members, size, .. } in self.policy.pack_pages(&shapes) {
            let mut left = &members[..];
            while !left.is_empty() {
                // At most as many as fit into memory, which is known after the first out-of-memory error.
                let (members, rest) = left.split_at(self.model.max_pages(size).min(left.len()));
                left = rest;
                let answers = run_with_bisection(members, &mut |members| {
                    self.detect_run(&members.iter().map(|&tile| placed[tile]).collect::<Vec<_>>())
                });
                for (&tile, answer) in members.iter().zip(answers) {
                    found[tile] = Some(answer);
                }
            }
        }
        found.into_iter().map(|found| found.expect("every tile is a member of a run")).collect()
    }

    /// Returns how a region is placed in a run of its own.
    fn place_single(&self, part: &CropRect) -> InputPlacement {
        let exact = detection_size(part.width, part.height, self.policy.detection_page_pixels);
        self.policy.place_page((part.width, part.height), exact)
    }

    fn place_tile<'a>(&self, page: &'a PageImage, area: &Area, tile: Tile) -> PlacedTile<'a> {
        let part = tile.input.on_page(&area.part, area.size);
        let (top, left) = (tile.core.top - tile.input.top, tile.core.left - tile.input.left);
        let placement = if tile == Tile::single(area.size) {
            self.place_single(&area.part)
        } else {
            self.policy.place_exactly((tile.input.width() as u32, tile.input.height() as u32))
        };
        PlacedTile { page, part, placement, top, left, tile }
    }

    /// Runs detection once on tiles of the same shape.
    fn detect_run(&mut self, tiles: &[PlacedTile<'_>]) -> Result<Vec<TileMap>, ModelError> {
        let (width, height) = tiles[0].placement.shape;
        let batch = self.policy.batch(tiles.len());
        let shape = [batch, PageImage::CHANNELS, height as usize, width as usize];
        let mut run = self.model.detection_buffer(shape);
        self.pool.draw(tiles, run.input_mut(), |tile, mut place| {
            let (columns, rows) = tile.content();
            place.slice_mut(s![.., rows.., ..]).fill(0.0);
            place.slice_mut(s![.., .., columns..]).fill(0.0);
            resample(tile.page, &tile.part, place.slice_mut(s![.., ..rows, ..columns]));
        });
        let drawn = tiles.iter().map(PlacedTile::content).map(|(columns, rows)| columns * rows).sum();
        let answer = self.model.detect(&mut run, drawn);
        let found = answer.and_then(|()| self.tile_maps(tiles, &run, [batch, shape[2], shape[3]]));
        self.model.return_detection_buffer(run);
        found
    }

    /// Returns the maps of the tiles of a run of this shape.
    fn tile_maps(
        &self,
        tiles: &[PlacedTile<'_>],
        run: &RunBuffer,
        [batch, height, width]: [usize; 3],
    ) -> Result<Vec<TileMap>, ModelError> {
        let pictures = run.input();
        let maps = run.output();
        let expected = (batch, height, width);
        if maps.dim() != expected {
            return Err(ModelError::Shape { expected: format!("{expected:?}"), found: format!("{:?}", maps.dim()) });
        }
        let answers: Vec<_> = tiles.iter().zip(pictures.outer_iter()).zip(maps.outer_iter()).collect();
        let found = self.pool.map(&answers, |((tile, picture), map)| {
            let (columns, rows) = tile.content();
            let map: ArrayView2<'_, f32> = map.slice(s![..rows, ..columns]);
            if !map.iter().all(|value| value.is_finite()) {
                return Err(ModelError::NotANumber);
            }
            let core = s![tile.top..tile.top + tile.tile.core.height(), tile.left..tile.left + tile.tile.core.width()];
            let picture = picture.slice(s![1, ..rows, ..columns]);
            Ok(TileMap { map: map.slice(core).to_owned(), hints: print_hints(&picture.slice(core), &map.slice(core)) })
        });
        found.into_iter().collect()
    }
}

impl PlacedTile<'_> {
    /// Returns columns and rows of the run that show the page.
    const fn content(&self) -> (usize, usize) {
        (self.placement.content.0 as usize, self.placement.content.1 as usize)
    }
}

/// Puts the maps of an area's tiles together.
fn area_map(area: &Area, maps: Vec<Result<TileMap, ModelError>>) -> Result<AreaMap, ModelError> {
    let part = area.part;
    let tiles = area.tiles.clone();
    let mut maps: Vec<TileMap> = maps.into_iter().collect::<Result<_, _>>()?;
    if let ([tile], [_]) = (&tiles[..], &maps[..])
        && *tile == Tile::single(area.size)
        && let Some(TileMap { map, hints }) = maps.pop()
    {
        return Ok(AreaMap { part, map, hints, tiles });
    }
    let mut map = Array2::zeros(area.size);
    let mut hints = Array2::from_elem((area.size.0 / BLOCK_PIXELS, area.size.1 / BLOCK_PIXELS), false);
    for (tile, found) in tiles.iter().zip(maps) {
        let core = tile.core;
        map.slice_mut(s![core.top..core.bottom, core.left..core.right]).assign(&found.map);
        let [top, left] = [core.top, core.left].map(|side| side / BLOCK_PIXELS);
        let (rows, columns) = found.hints.dim();
        hints.slice_mut(s![top..top + rows, left..left + columns]).assign(&found.hints);
    }
    Ok(AreaMap { part, map, hints, tiles })
}
