//! Recorded arrivals: which pages came when, and what the engine made of such a page.

use std::{collections::HashMap, time::Duration};

use serde::Deserialize;

/// Pages that came, in order. Written as JSON lines: first the pages' shapes, then when each came.
///
/// ```text
/// {"page": "letter", "width": 1654, "height": 2339, "detection": [[672, 960]], "looks": [[812, 640], [455]]}
/// {"t_ms": 0.0, "page": "letter"}
/// {"t_ms": 812.5, "page": "letter"}
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Recording {
    pub(crate) shapes: Vec<PageShape>,
    /// When each came, since the first line's time began, and its shape's place.
    pub(crate) arrivals: Vec<(Duration, usize)>,
}

/// What a page is to the batcher and to the engine.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PageShape {
    page: String,
    /// Of its image, in pixels.
    pub(crate) width: u32,
    /// Likewise.
    pub(crate) height: u32,
    /// Widths and heights of the pictures that detection looked at, one after the other.
    pub(crate) detection: Vec<(u32, u32)>,
    /// Widths of the strips, in columns, that were read together, and of those that could only be read then.
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
enum Entry {
    Shape(PageShape),
    Arrival(Arrival),
}

/// Why a recording cannot be followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the recording {why}")]
pub struct InvalidRecording {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub why: String,
}

impl Recording {
    /// Reads one.
    ///
    /// # Errors
    /// The first line that is wrong, and why.
    pub fn parse(text: &str) -> Result<Self, InvalidRecording> {
        let (mut shapes, mut arrivals) = (Vec::new(), Vec::new());
        let mut places = HashMap::new();
        let mut last = Duration::ZERO;
        for (line, text) in (1..).zip(text.lines()).filter(|(_, text)| !text.trim().is_empty()) {
            let wrong = |why: String| InvalidRecording { line, why };
            match serde_json::from_str(text).map_err(|error| wrong(format!("is neither page nor arrival: {error}")))? {
                Entry::Shape(shape) => {
                    places.insert(shape.page.clone(), shapes.len());
                    shapes.push(shape);
                }
                Entry::Arrival(arrival) => {
                    let unknown = || wrong(format!("names the page {:?}, which no line before has", arrival.page));
                    let shape = *places.get(&arrival.page).ok_or_else(unknown)?;
                    let at = Duration::try_from_secs_f64(arrival.t_ms / 1e3).ok().filter(|at| *at >= last);
                    last = at.ok_or_else(|| wrong(format!("has the time {}, which goes back", arrival.t_ms)))?;
                    arrivals.push((last, shape));
                }
            }
        }
        Ok(Self { shapes, arrivals })
    }

    /// How many pages came.
    pub fn pages(&self) -> usize {
        self.arrivals.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = r#"{"page": "a", "width": 8, "height": 9, "detection": [[32, 32]], "looks": [[64]]}"#;

    #[test]
    fn a_wrong_line_is_named() {
        let refused = |lines: &str| Recording::parse(&format!("{PAGE}\n\n{lines}")).expect_err("it is wrong");
        let cases = [
            (r#"{"t_ms": 1, "page": "b"}"#, 3, "names the page \"b\""),
            ("{\"t_ms\": 1, \"page\": \"a\"}\n{\"t_ms\": 0.5, \"page\": \"a\"}", 4, "goes back"),
            (r#"{"t_ms": -1, "page": "a"}"#, 3, "goes back"),
            (r#"{"t_ms": 1e300, "page": "a"}"#, 3, "the time"),
            (r#"{"t": 1, "page": "a"}"#, 3, "neither page nor arrival"),
            ("page", 3, "neither page nor arrival"),
        ];
        for (lines, line, why) in cases {
            let error = refused(lines);
            assert!(error.line == line && error.to_string().contains(why), "{lines}: {error}");
        }
    }
}
