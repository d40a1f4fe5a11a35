//! All views of the texts of a page.

use crate::{
    geometry::Layout,
    joined::{join_combs, spell_out},
    markup::push_visible,
    placeholder::find_placeholders,
    texts::{EditedText, Source},
    unicode::{Unify, normalize},
    view::{BARRIER, CELL, Place, ROW, SOFT_BREAK, View, ViewChar, is_group},
};

/// Builds the views of a page.
pub(crate) struct PageViews<'a> {
    texts: &'a [EditedText],
    /// The characters of each text that an earlier redaction has replaced.
    placeholders: Vec<Vec<(usize, usize)>>,
}

impl<'a> PageViews<'a> {
    pub(crate) fn new(texts: &'a [EditedText], placeholders: &[String]) -> Self {
        let placeholders = texts.iter().map(|text| find_placeholders(&text.text(), placeholders)).collect();
        Self { texts, placeholders }
    }

    /// Returns the ranges of a text that an earlier redaction has replaced.
    pub(crate) fn placeholders(&self, text: usize) -> &[(usize, usize)] {
        &self.placeholders[text]
    }

    /// Returns every view in which a number, or an address, may be whole.
    pub(crate) fn all(&self) -> Vec<View> {
        let mut views = self.line_views();
        views.extend((0..self.texts.len()).filter(|text| !self.texts[*text].is_line()).flat_map(|text| {
            let mut visible = self.labeled(text);
            self.push_visible(&mut visible, text);
            let mut plain = self.labeled(text);
            self.push_plain(&mut plain, text);
            [plain, visible.with_breaks(true)]
        }));
        views.extend(self.joined_fields());
        let combs: Vec<View> = views.iter().filter_map(join_combs).collect();
        let spelled: Vec<View> = views.iter().filter_map(spell_out).collect();
        views.extend(combs);
        views.extend(spelled);
        views
    }

    /// Returns one text normalized, and one text without its markup, in one line each.
    pub(crate) fn of_text(&self, text: usize) -> [View; 2] {
        let mut plain = View::default();
        for (index, character) in self.texts[text].chars.iter().enumerate() {
            let place = Some(Place { text, start: index, end: index + 1 });
            normalize(*character, Unify::Compatible, |character| {
                plain.chars.push(ViewChar { character, place, after_markup: false });
            });
        }
        let mut visible = View::default();
        push_visible(&mut visible, text, &self.texts[text].chars, |_| false);
        for one in &mut visible.chars {
            if [CELL, SOFT_BREAK, ROW].contains(&one.character) {
                one.character = ' ';
            }
        }
        [plain, visible]
    }

    fn line_views(&self) -> Vec<View> {
        let lines: Vec<usize> = (0..self.texts.len()).filter(|text| self.texts[*text].is_line()).collect();
        let layout = Layout::new(lines.iter().map(|line| self.texts[*line].polygon.as_ref()));
        let (mut plain, mut visible) = (View::default(), View::default());
        for (index, &line) in lines.iter().enumerate() {
            self.push_plain(&mut plain, line);
            self.push_visible(&mut visible, line);
            let separator = layout.separator(index, index + 1);
            plain.push_separator(if separator == SOFT_BREAK { '\n' } else { separator });
            visible.push_separator(separator);
        }
        let mut views = vec![plain, visible.with_breaks(false)];
        if visible.chars.iter().any(|one| one.character == SOFT_BREAK) {
            views.push(visible.with_breaks(true));
        }
        if !layout.is_trivial() {
            views.push(layout.rows(|view, line| self.push_visible(view, lines[line])).with_breaks(true));
            let text = |line: usize| self.visible_text(lines[line]);
            views.push(layout.columns(|view, line| self.push_visible(view, lines[line]), text).with_breaks(true));
        }
        views
    }

    /// Returns a view of all short values of fields beside each other, with the name of the first: a number may be
    /// split over several fields.
    fn joined_fields(&self) -> Option<View> {
        let mut view = View::default();
        let mut in_sequence = false;
        let values = (0..self.texts.len()).filter_map(|text| match &self.texts[text].source {
            // The names of nested fields have no label.
            Source::Field { label, .. } if !label.is_empty() => Some((text, label)),
            _ => None,
        });
        let mut count = 0;
        for (text, label) in values {
            let visible = self.visible_text(text);
            if !is_group(visible.into_iter()) {
                view.push_separator(BARRIER);
                in_sequence = false;
                continue;
            }
            if in_sequence {
                view.push_separator(CELL);
            } else {
                view.push_separator(BARRIER);
                view.push_label(label.trim_end_matches(|last: char| last.is_numeric() || "_- ".contains(last)));
                view.push_label(": ");
            }
            self.push_visible(&mut view, text);
            in_sequence = true;
            count += 1;
        }
        (count > 1).then_some(view)
    }

    /// Returns a view that begins with the name of a field. The colon ends any match inside it.
    fn labeled(&self, text: usize) -> View {
        let mut view = View::default();
        if let Source::Field { label, .. } = &self.texts[text].source {
            view.push_label(label);
            view.push_label(":");
            view.push_separator('\n');
        }
        view
    }

    fn push_plain(&self, view: &mut View, text: usize) {
        for (index, character) in self.texts[text].chars.iter().enumerate() {
            let place = Some(Place { text, start: index, end: index + 1 });
            let mut push = |character| view.chars.push(ViewChar { character, place, after_markup: false });
            if self.is_placeholder(text, index) {
                push(BARRIER);
            } else {
                normalize(*character, Unify::Compatible, push);
            }
        }
    }

    fn push_visible(&self, view: &mut View, text: usize) {
        push_visible(view, text, &self.texts[text].chars, |index| self.is_placeholder(text, index));
    }

    fn visible_text(&self, text: usize) -> Vec<char> {
        let mut view = View::default();
        self.push_visible(&mut view, text);
        view.characters()
    }

    fn is_placeholder(&self, text: usize, index: usize) -> bool {
        let ranges = &self.placeholders[text];
        let next = ranges.partition_point(|(_, end)| *end <= index);
        ranges.get(next).is_some_and(|(start, _)| *start <= index)
    }
}
