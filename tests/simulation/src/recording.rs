//! Recorded arrivals: when pages came, and how the engine processed each.

use std::{collections::HashMap, time::Duration};

use serde::Deserialize;

/// Arrivals of pages in order. Written as JSON lines: the pages' shapes first, then their arrivals.
///
/// ```text
/// {"page": "letter", "width": 1654, "height": 2339, "detection": [[672, 960]], "looks": [[812, 640], [455]]}
/// {"t_ms": 0.0, "page": "letter"}
/// {"t_ms": 812.5, "page": "letter"}
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Recording {
    pub(crate) shapes: Vec<PageShape>,
    /// The time of each arrival since the beginning, and the index of the page's shape.
    pub(crate) arrivals: Vec<(Duration, usize)>,
}

/// A page as the batcher and the engine see it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PageShape {
    page: String,
    /// The image's width in pixels.
    pub(crate) width: u32,
    /// The image's height in pixels.
    pub(crate) height: u32,
    /// Widths and heights of the images of each detection pass.
    pub(crate) detection: Vec<(u32, u32)>,
    /// For each recognition pass, the widths of its line images in columns.
    pub(crate) looks: Vec<Vec<usize>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arrival {
    t_ms: f64,
    page: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum RecordingLine {
    Shape(PageShape),
    Arrival(Arrival),
}

/// Why a recording is invalid. Decision: refuse it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the recording {why}")]
pub struct InvalidRecording {
    /// The line, from 1.
    pub line: usize,
    /// The problem.
    pub why: String,
}

impl Recording {
    /// Parses a recording.
    ///
    /// # Errors
    /// The first invalid line, and why.
    pub fn parse(text: &str) -> Result<Self, InvalidRecording> {
        let mut shapes: Vec<PageShape> = Vec::new();
        let mut arrivals = Vec::new();
        let mut indices = HashMap::new();
        let mut last = Duration::ZERO;
        for (line, text) in (1..).zip(text.lines()).filter(|(_, text)| !text.trim().is_empty()) {
            let invalid = |why: String| InvalidRecording { line, why };
            let parsed =
                serde_json::from_str(text).map_err(|error| invalid(format!("is neither page nor arrival: {error}")))?;
            match parsed {
                RecordingLine::Shape(shape) => {
                    indices.insert(shape.page.clone(), shapes.len());
                    shapes.push(shape);
                }
                RecordingLine::Arrival(Arrival { t_ms, page }) => {
                    let Some(&shape) = indices.get(&page) else {
                        return Err(invalid(format!("names the page {page:?}, which no line before has")));
                    };
                    let at = Duration::try_from_secs_f64(t_ms / 1e3).ok().filter(|at| *at >= last);
                    last = at.ok_or_else(|| invalid(format!("has the time {t_ms}, which goes back")))?;
                    arrivals.push((last, shape));
                }
            }
        }
        Ok(Self { shapes, arrivals })
    }

    /// Returns the number of arrivals.
    pub fn pages(&self) -> usize {
        self.arrivals.len()
    }

    /// Returns the shape of the page that arrived with this index.
    pub(crate) fn shape(&self, arrival: usize) -> &PageShape {
        &self.shapes[self.arrivals[arrival].1]
    }
}

impl PageShape {
    /// Returns the page's cost in the batcher.
    pub(crate) fn pixels(&self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = r#"{"page": "a", "width": 8, "height": 9, "detection": [[32, 32]], "looks": [[64]]}"#;

    #[test]
    fn an_invalid_line_is_named() {
        let parse_error =
            |lines: &str| Recording::parse(&format!("{PAGE}\n\n{lines}")).expect_err("an invalid recording");
        let cases = [
            (r#"{"t_ms": 1, "page": "b"}"#, 3, "names the page \"b\""),
            ("{\"t_ms\": 1, \"page\": \"a\"}\n{\"t_ms\": 0.5, \"page\": \"a\"}", 4, "goes back"),
            (r#"{"t_ms": -1, "page": "a"}"#, 3, "goes back"),
            (r#"{"t_ms": 1e300, "page": "a"}"#, 3, "the time"),
            (r#"{"t": 1, "page": "a"}"#, 3, "neither page nor arrival"),
            ("page", 3, "neither page nor arrival"),
        ];
        for (lines, line, why) in cases {
            let error = parse_error(lines);
            assert!(error.line == line && error.to_string().contains(why), "{lines}: {error}");
        }
    }
}
