//! The character classes of the recognizer.

/// The character classes of the recognizer, by number.
///
/// # Examples
/// ```
/// use quire_pp_ocr::Alphabet;
///
/// let alphabet = Alphabet::from_metadata("a\nb");
/// assert_eq!(alphabet.classes(), 4); // blank, "a", "b" and space
/// assert_eq!(alphabet.character(Alphabet::BLANK), None);
/// assert_eq!(alphabet.character(2), Some("b"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alphabet {
    characters: Vec<Box<str>>,
}

impl Alphabet {
    /// The CTC blank: separates two equal characters and is not part of the text.
    pub const BLANK: u32 = 0;

    /// Parses a model's `character` metadata, one character per line. Does not trim, because one of them is white
    /// space. The ASCII space is added as the last class.
    pub fn from_metadata(characters: &str) -> Self {
        let lines = characters.split('\n').chain([" "]);
        Self { characters: lines.map(Box::from).collect() }
    }

    /// Parses a dictionary file, one character per line, whose lines may end in `\r\n`. Does not trim, because one of
    /// them may be white space. With `space`, the ASCII space is added as the last class.
    pub fn from_dictionary(text: &str, space: bool) -> Self {
        let text = text.strip_suffix('\n').unwrap_or(text);
        let lines = text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
        Self { characters: lines.chain(space.then_some(" ")).map(Box::from).collect() }
    }

    /// Returns the number of classes, including the blank.
    pub fn classes(&self) -> usize {
        self.characters.len() + 1
    }

    /// Returns the character of a class; `None` for the blank and for unknown classes.
    pub fn character(&self, class: u32) -> Option<&str> {
        let index = class.checked_sub(1)?;
        self.characters.get(index as usize).map(AsRef::as_ref)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dictionary_may_have_the_line_ends_of_windows() {
        let alphabet = Alphabet::from_dictionary("\u{3000}\r\n天\r\n\r\n", true);
        let characters: Vec<_> = (0..5).map(|class| alphabet.character(class)).collect();
        assert_eq!(characters, [None, Some("\u{3000}"), Some("天"), Some(""), Some(" ")]);
        assert_eq!(Alphabet::from_dictionary("a\nb", false).classes(), 3);
    }

    #[test]
    fn a_white_space_character_keeps_its_class() {
        let alphabet = Alphabet::from_metadata("\u{3000}\na\n天");
        assert_eq!(alphabet.classes(), 5);
        let characters: Vec<_> = (0..6).map(|class| alphabet.character(class)).collect();
        assert_eq!(characters, [None, Some("\u{3000}"), Some("a"), Some("天"), Some(" "), None]);
    }
}
