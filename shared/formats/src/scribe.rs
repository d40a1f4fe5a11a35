//! The forms that are text, written page after page.

use std::collections::BTreeSet;

use quire_tasks::{EngineName, PageText};

use crate::{alto, hocr, plain};

/// The forms that are text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// The pages' texts, each ended by a form feed.
    Text,
    /// The pages, with a rule between two.
    Markdown,
    /// hOCR 1.2.
    Hocr,
    /// ALTO 4.4.
    Alto,
}

/// Writes a task's pages in one of the forms: a beginning, each page in order, an end.
#[derive(Debug)]
pub struct Scribe {
    form: Form,
    pages: usize,
}

impl Scribe {
    /// Nothing is written yet.
    pub const fn new(form: Form) -> Self {
        Self { form, pages: 0 }
    }

    /// What stands before the pages. `title` is the task's or its only file's; `engines` are those that read any of the
    /// pages, which ALTO wants to know first.
    ///
    /// # Panics
    /// Never: a string takes everything.
    pub fn begin(&self, title: &str, file: Option<&str>, engines: &BTreeSet<EngineName>) -> String {
        let mut out = String::new();
        match self.form {
            Form::Text | Form::Markdown => Ok(()),
            Form::Hocr => hocr::begin(&mut out, title),
            Form::Alto => alto::begin(&mut out, file, engines),
        }
        .expect("a string takes everything");
        out
    }

    /// The next page; nothing was read on it, where there is no text.
    ///
    /// # Panics
    /// Never: a string takes everything.
    pub fn page(&mut self, text: Option<&PageText>) -> String {
        let (mut out, index) = (String::new(), self.pages);
        self.pages += 1;
        match self.form {
            Form::Text => plain::text(&mut out, text),
            Form::Markdown => plain::markdown(&mut out, index, text),
            Form::Hocr => hocr::page(&mut out, index, text).expect("a string takes everything"),
            Form::Alto => alto::page(&mut out, index, text).expect("a string takes everything"),
        }
        out
    }

    /// What stands behind the pages.
    ///
    /// # Panics
    /// Never: a string takes everything.
    pub fn end(self) -> String {
        let mut out = String::new();
        match self.form {
            Form::Text | Form::Markdown => Ok(()),
            Form::Hocr => hocr::end(&mut out),
            Form::Alto => alto::end(&mut out),
        }
        .expect("a string takes everything");
        out
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// All of it, of a task with one file.
    pub(crate) fn written(form: Form, title: &str, pages: &[Option<&PageText>]) -> String {
        let engines = pages.iter().flatten().map(|page| page.engine.clone()).collect();
        let mut scribe = Scribe::new(form);
        let mut out = scribe.begin(title, Some(title), &engines);
        for page in pages {
            out.push_str(&scribe.page(*page));
        }
        out + &scribe.end()
    }
}
