//! The parts of Markdown files that are checked: headings, links and fenced blocks.

use std::{collections::BTreeMap, fs, path::Path};

/// A Markdown file.
#[derive(Debug)]
pub(crate) struct Document {
    /// Its path from the root of the repository.
    pub(crate) path: String,
    /// All lines, fenced blocks included.
    pub(crate) lines: Vec<String>,
    /// The fenced blocks, in order.
    pub(crate) blocks: Vec<Block>,
    /// The lines outside of fenced blocks.
    prose: Vec<String>,
}

/// A fenced block.
#[derive(Debug)]
pub(crate) struct Block {
    /// `PATH:LINE` of its first line, for messages.
    pub(crate) place: String,
    /// The info string: `sh`, `python`, `json` or `text`.
    pub(crate) language: String,
    /// Its text, with a newline at the end of each line.
    pub(crate) text: String,
    /// Its meaning for the test, from the comment directly above it.
    pub(crate) directive: Directive,
}

/// The meaning of a comment directly above a block.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Directive {
    /// No comment: the block is run or parsed.
    None,
    /// `<!-- not run: REASON -->`
    NotRun,
    /// `<!-- file: NAME -->`: later blocks find its text in this file.
    File(String),
}

impl Directive {
    fn parse(line: &str) -> Self {
        let Some(comment) = line.trim().strip_prefix("<!-- ").and_then(|rest| rest.strip_suffix(" -->")) else {
            return Self::None;
        };
        if let Some(name) = comment.strip_prefix("file: ") {
            return Self::File(name.to_owned());
        }
        match comment.strip_prefix("not run: ") {
            Some(reason) if reason.len() >= 10 => Self::NotRun,
            _ => Self::None,
        }
    }
}

impl Document {
    /// Reads a file.
    pub(crate) fn read(root: &Path, path: &Path) -> Self {
        let relative = path.strip_prefix(root).expect("the file is in the repository").to_string_lossy().into_owned();
        let text = fs::read_to_string(path).expect("documentation is UTF-8");
        Self::parse(relative, &text)
    }

    fn parse(path: String, text: &str) -> Self {
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let (mut blocks, mut prose) = (Vec::new(), Vec::new());
        let mut open: Option<Block> = None;
        for (index, line) in lines.iter().enumerate() {
            match (line.strip_prefix("```"), &mut open) {
                (Some(language), None) => {
                    let above = index.checked_sub(1).map_or("", |above| lines[above].as_str());
                    open = Some(Block {
                        place: format!("{path}:{}", index + 2),
                        language: language.trim().to_owned(),
                        text: String::new(),
                        directive: Directive::parse(above),
                    });
                }
                (Some(_), Some(_)) => blocks.extend(open.take()),
                (None, Some(block)) => block.text.extend([line, "\n"]),
                (None, None) => prose.push(line.clone()),
            }
        }
        assert!(open.is_none(), "{path}: a fenced block is not closed");
        Self { path, lines, blocks, prose }
    }

    /// The anchors that links may name, as GitHub derives them from headings.
    pub(crate) fn anchors(&self) -> Vec<String> {
        let mut used: BTreeMap<String, usize> = BTreeMap::new();
        let headings = self.prose.iter().filter_map(|line| line.strip_prefix('#'));
        let titles = headings.map(|line| line.trim_start_matches('#').trim());
        titles
            .map(|title| {
                let slug = slug(title);
                let count = used.entry(slug.clone()).or_default();
                *count += 1;
                if *count == 1 { slug } else { format!("{slug}-{}", *count - 1) }
            })
            .collect()
    }

    /// The targets of all links and images.
    pub(crate) fn links(&self) -> Vec<String> {
        let prose = without_code_spans(&self.prose.join("\n"));
        prose.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0.to_owned())).collect()
    }
}

/// GitHub's anchor of a heading: lower case, punctuation removed, spaces replaced by hyphens.
fn slug(title: &str) -> String {
    let lower = title.to_lowercase();
    let kept = lower.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// Returns the text without code spans.
fn without_code_spans(text: &str) -> String {
    text.split('`').step_by(2).collect()
}

#[test]
fn blocks_links_and_anchors_are_found() {
    let text =
        "# A `b` c-d, e\n[x](y.md#z) `[no](no)`\n<!-- not run: it has a reason -->\n```sh\nls\n```\n## A b c-d e\n";
    let document = Document::parse("a.md".to_owned(), text);
    assert_eq!(document.anchors(), ["a-b-c-d-e", "a-b-c-d-e-1"]);
    assert_eq!(document.links(), ["y.md#z"]);
    let [block] = &document.blocks[..] else { panic!("one block: {document:?}") };
    assert_eq!((block.place.as_str(), block.language.as_str(), block.text.as_str()), ("a.md:5", "sh", "ls\n"));
    assert_eq!(block.directive, Directive::NotRun);
    assert_eq!(Directive::parse("<!-- not run: -->"), Directive::None, "a reason is required");
    assert_eq!(Directive::parse("<!-- file: a.json -->"), Directive::File("a.json".to_owned()));
}
