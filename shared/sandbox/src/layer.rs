//! The encoding of a page's text layer between a child and its parent, which does not trust it.

use quire_document::{LayerLine, LayerWord, TextLayer};
use quire_tasks::Polygon;

/// The most bytes of a text layer: 160 for each of 50,000 characters.
pub(crate) const MAX_LAYER_BYTES: usize = 8 << 20;
/// The most lines and words of a page.
const MAX_WORDS: usize = 50_000;

/// The child's side: returns the encoded layer; empty if it is too long, so that the page is read as an image.
pub(crate) fn encode(layer: &TextLayer) -> Vec<u8> {
    let encoded = serde_json::to_vec(layer).unwrap_or_default();
    if encoded.len() <= MAX_LAYER_BYTES { encoded } else { Vec::new() }
}

/// The parent's side: parses a layer of an image of this size. `None` if there is none, or if it is implausible.
pub(crate) fn parse(encoded: &[u8], width: u32, height: u32) -> Option<TextLayer> {
    if encoded.is_empty() {
        return None;
    }
    let layer: TextLayer = serde_json::from_slice(encoded).ok()?;
    let words = layer.lines.iter().map(|line| line.words.len()).sum::<usize>();
    let size = [width as f32, height as f32];
    let is_plausible = words <= MAX_WORDS && layer.lines.iter().all(|line| is_plausible_line(line, size));
    is_plausible.then_some(layer)
}

fn is_plausible_line(line: &LayerLine, size: [f32; 2]) -> bool {
    !line.words.is_empty()
        && is_near_page(&line.polygon, size)
        && line.words.iter().all(|word| is_plausible(word, size))
}

fn is_plausible(word: &LayerWord, size: [f32; 2]) -> bool {
    !word.text.is_empty() && !word.text.contains(char::is_control) && is_near_page(&word.polygon, size)
}

/// Returns whether a place is within one page of the page: text may begin outside of it.
fn is_near_page(polygon: &Polygon, size: [f32; 2]) -> bool {
    let is_near = |at: f32, side: f32| (-side..=2.0 * side).contains(&at);
    polygon.iter().all(|corner| is_near(corner[0], size[0]) && is_near(corner[1], size[1]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(text: &str, right: f32) -> TextLayer {
        let polygon = [[0.0, 0.0], [right, 0.0], [right, 10.0], [0.0, 10.0]];
        let word = LayerWord { text: text.to_owned(), polygon, font: 0, is_doubtful: false };
        TextLayer { lines: vec![LayerLine { words: vec![word], polygon }], ..TextLayer::default() }
    }

    #[test]
    fn a_layer_arrives_as_it_was_sent() {
        let sent = layer("naïve 文", 50.0);
        assert_eq!(parse(&encode(&sent), 100, 100), Some(sent));
        assert_eq!(parse(&[], 100, 100), None);
    }

    #[test]
    fn an_implausible_layer_is_ignored() {
        for bad in [layer("", 50.0), layer("\u{1b}[2J", 50.0), layer("far", 500.0), layer("nowhere", f32::MAX)] {
            assert_eq!(parse(&encode(&bad), 100, 100), None, "{bad:?}");
        }
        assert_eq!(parse(b"{", 100, 100), None);
        assert!(encode(&layer(&"x".repeat(MAX_LAYER_BYTES), 1.0)).is_empty());
    }
}
