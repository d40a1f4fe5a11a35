//! The classes that the recognizer tells apart.

/// The recognizer's classes, by number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alphabet {
    characters: Vec<Box<str>>,
}

impl Alphabet {
    /// The class that separates two equal characters and is never part of the text.
    pub const BLANK: u32 = 0;

    /// From a model's `character` metadata, one character a line. Nothing is trimmed: one of them is white space.
    /// ASCII's space comes last, after those.
    pub fn from_metadata(characters: &str) -> Self {
        let lines = characters.split('\n').chain([" "]);
        Self { characters: lines.map(Box::from).collect() }
    }

    /// How many classes there are, the blank included.
    pub fn classes(&self) -> usize {
        self.characters.len() + 1
    }

    /// What a class stands for: `None` for the blank and beyond the last one.
    pub fn character(&self, class: u32) -> Option<&str> {
        let index = class.checked_sub(1)?;
        self.characters.get(index as usize).map(AsRef::as_ref)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_among_the_characters_keeps_its_class() {
        let alphabet = Alphabet::from_metadata("\u{3000}\na\n天");
        assert_eq!(alphabet.classes(), 5);
        let characters: Vec<_> = (0..6).map(|class| alphabet.character(class)).collect();
        assert_eq!(characters, [None, Some("\u{3000}"), Some("a"), Some("天"), Some(" "), None]);
    }
}
