//! Warnings: what is known to be missing from a page's text or wrong with it.

use std::{collections::BTreeSet, fmt};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Polygon;

/// The most names of fonts in a warning.
pub const MAX_FONTS: usize = 10;
/// The most characters of a font's name in a warning.
pub const MAX_FONT_CHARS: usize = 63;

/// A known problem of a page's text.
///
/// Serialized as an object with `code`, the members of its [`WarningKind`], `message` and, if it is known, `polygon`.
/// Results that were stored before warnings had members contain only the code, as a string.
#[derive(Debug, Clone, PartialEq)]
pub struct Warning {
    /// What is wrong.
    pub kind: WarningKind,
    /// Where on the page; `None` if it concerns the whole page or the position is unknown.
    pub polygon: Option<Polygon>,
}

/// The kind of a warning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum WarningKind {
    /// The model reached its length limit: text may be missing at the end.
    CutOff,
    /// The model repeated itself and was stopped; the repetition is removed.
    Repetition,
    /// The response is not in the mode's format and is stored unparsed.
    OtherForm,
    /// Text was detected, but not read.
    UnreadText {
        /// The number of lines.
        lines: u32,
        /// The estimated number of characters.
        characters: u32,
    },
    /// Text in a script that the engine cannot read; what it read instead is wrong.
    UnreadableScript {
        /// The script.
        script: Script,
        /// The number of lines.
        lines: u32,
    },
    /// Text as in a mirror, e.g. of a slide that was scanned from behind.
    Mirrored {
        /// The number of lines.
        lines: u32,
    },
    /// Print that is too small to be read at the resolution of the page.
    TooSmall,
    /// Text of a PDF in fonts that it does not contain and for which the machine has no substitute: it was not drawn.
    MissingFonts {
        /// The names of the fonts: see [`WarningKind::missing_fonts`].
        fonts: Vec<String>,
    },
    /// A part of the image could not be decoded.
    Damaged {
        /// The number of rows of pixels that are missing, of the page as it was sent.
        rows: u32,
    },
    /// The document's content is not on its pages.
    NotOnPage {
        /// Where it is instead.
        content: HiddenContent,
    },
    /// Only text layers are read, and the page has none.
    NoTextLayer,
    /// An amount in a table contradicts others: one of them was misread, or the document is wrong.
    ContradictingAmount {
        /// What it was compared with.
        check: AmountCheck,
    },
}

/// What an amount in a table is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AmountCheck {
    /// The sum of the amounts above it.
    Sum,
    /// The product of two numbers in its row, such as quantity and price.
    Product,
}

/// Content of a PDF that is not on its pages, which contain e.g. only a request to use another viewer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HiddenContent {
    /// Documents that are attached to a portfolio.
    Attachments,
    /// A dynamic XFA form.
    DynamicForm,
}

/// The code of a warning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WarningCode {
    /// See [`WarningKind::CutOff`].
    CutOff,
    /// See [`WarningKind::Repetition`].
    Repetition,
    /// See [`WarningKind::OtherForm`].
    OtherForm,
    /// See [`WarningKind::UnreadText`].
    UnreadText,
    /// See [`WarningKind::UnreadableScript`].
    UnreadableScript,
    /// See [`WarningKind::Mirrored`].
    Mirrored,
    /// See [`WarningKind::TooSmall`].
    TooSmall,
    /// See [`WarningKind::MissingFonts`].
    MissingFonts,
    /// See [`WarningKind::Damaged`].
    Damaged,
    /// See [`WarningKind::NotOnPage`].
    NotOnPage,
    /// See [`WarningKind::NoTextLayer`].
    NoTextLayer,
    /// See [`WarningKind::ContradictingAmount`].
    ContradictingAmount,
}

impl WarningCode {
    /// The code as it is serialized.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CutOff => "cut_off",
            Self::Repetition => "repetition",
            Self::OtherForm => "other_form",
            Self::UnreadText => "unread_text",
            Self::UnreadableScript => "unreadable_script",
            Self::Mirrored => "mirrored",
            Self::TooSmall => "too_small",
            Self::MissingFonts => "missing_fonts",
            Self::Damaged => "damaged",
            Self::NotOnPage => "not_on_page",
            Self::NoTextLayer => "no_text_layer",
            Self::ContradictingAmount => "contradicting_amount",
        }
    }

    /// Returns whether text of the page is missing or wrong, so that another engine or a person should read the page.
    pub const fn is_text_missing(self) -> bool {
        !matches!(self, Self::Repetition | Self::OtherForm | Self::ContradictingAmount)
    }

    /// Returns whether the warning is about the image of the page, whichever engine reads it.
    pub const fn is_of_image(self) -> bool {
        matches!(self, Self::MissingFonts | Self::Damaged | Self::NotOnPage)
    }
}

/// A writing system that an engine may be unable to read. Named as in Unicode, except for Vietnamese, which is Latin
/// with letters of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Script {
    /// Arabic, Persian, Urdu.
    Arabic,
    /// Russian, Ukrainian, Bulgarian, Serbian and others.
    Cyrillic,
    /// Hindi, Marathi, Nepali.
    Devanagari,
    /// Greek.
    Greek,
    /// Korean.
    Hangul,
    /// Hebrew.
    Hebrew,
    /// Thai.
    Thai,
    /// Vietnamese.
    Vietnamese,
    /// Any other one, e.g. Bengali, Tamil, Georgian or Armenian.
    #[serde(rename = "other")]
    Other,
}

impl Script {
    /// The name as it is serialized.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Arabic => "Arabic",
            Self::Cyrillic => "Cyrillic",
            Self::Devanagari => "Devanagari",
            Self::Greek => "Greek",
            Self::Hangul => "Hangul",
            Self::Hebrew => "Hebrew",
            Self::Thai => "Thai",
            Self::Vietnamese => "Vietnamese",
            Self::Other => "other",
        }
    }

    /// Returns whether a character is a letter of the script, by Unicode's blocks; for Vietnamese, whether it is one
    /// that other languages with Latin letters do not have. `false` for other scripts.
    pub const fn contains(self, character: char) -> bool {
        match self {
            Self::Arabic => matches!(character, '\u{600}'..='\u{6ff}' | '\u{750}'..='\u{77f}' | '\u{fb50}'..='\u{fdff}'
                | '\u{fe70}'..='\u{fefc}'),
            Self::Cyrillic => matches!(character, '\u{400}'..='\u{52f}'),
            Self::Devanagari => matches!(character, '\u{900}'..='\u{97f}'),
            Self::Greek => matches!(character, '\u{370}'..='\u{3ff}' | '\u{1f00}'..='\u{1fff}'),
            Self::Hangul => {
                matches!(character, '\u{1100}'..='\u{11ff}' | '\u{3130}'..='\u{318f}' | '\u{ac00}'..='\u{d7af}')
            }
            Self::Hebrew => matches!(character, '\u{590}'..='\u{5ff}' | '\u{fb1d}'..='\u{fb4f}'),
            Self::Thai => matches!(character, '\u{e00}'..='\u{e7f}'),
            Self::Vietnamese => matches!(character, '\u{1ea0}'..='\u{1ef9}' | 'ơ' | 'Ơ' | 'ư' | 'Ư'),
            Self::Other => false,
        }
    }

    /// Returns Debian's package of Tesseract for the most frequent language of the script, if there is one.
    pub const fn tesseract_package(self) -> Option<&'static str> {
        match self {
            Self::Arabic => Some("tesseract-ocr-ara"),
            Self::Cyrillic => Some("tesseract-ocr-rus"),
            Self::Devanagari => Some("tesseract-ocr-hin"),
            Self::Greek => Some("tesseract-ocr-ell"),
            Self::Hangul => Some("tesseract-ocr-kor"),
            Self::Hebrew => Some("tesseract-ocr-heb"),
            Self::Thai => Some("tesseract-ocr-tha"),
            Self::Vietnamese => Some("tesseract-ocr-vie"),
            Self::Other => None,
        }
    }
}

impl WarningKind {
    /// The code.
    pub const fn code(&self) -> WarningCode {
        match self {
            Self::CutOff => WarningCode::CutOff,
            Self::Repetition => WarningCode::Repetition,
            Self::OtherForm => WarningCode::OtherForm,
            Self::UnreadText { .. } => WarningCode::UnreadText,
            Self::UnreadableScript { .. } => WarningCode::UnreadableScript,
            Self::Mirrored { .. } => WarningCode::Mirrored,
            Self::TooSmall => WarningCode::TooSmall,
            Self::MissingFonts { .. } => WarningCode::MissingFonts,
            Self::Damaged { .. } => WarningCode::Damaged,
            Self::NotOnPage { .. } => WarningCode::NotOnPage,
            Self::NoTextLayer => WarningCode::NoTextLayer,
            Self::ContradictingAmount { .. } => WarningCode::ContradictingAmount,
        }
    }

    /// Returns a warning about these fonts, whose names a document has chosen: at most [`MAX_FONTS`] of them, sorted,
    /// each once, with at most [`MAX_FONT_CHARS`] characters, and without characters that fonts' names do not have.
    pub fn missing_fonts<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let is_in_names = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_' | '+' | ',' | '.');
        let clean = |name: &str| name.chars().filter(is_in_names).take(MAX_FONT_CHARS).collect::<String>();
        let fonts: BTreeSet<String> = names.into_iter().map(clean).filter(|name| !name.is_empty()).collect();
        Self::MissingFonts { fonts: fonts.into_iter().take(MAX_FONTS).collect() }
    }
}

impl fmt::Display for WarningKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CutOff => f.write_str("the answer was cut off: text may be missing"),
            Self::Repetition => f.write_str("the model repeated itself and was stopped: text may be missing"),
            Self::OtherForm => f.write_str("the answer does not have the format of the mode"),
            Self::UnreadText { lines: 1, .. } => f.write_str("a line of text was detected but not read"),
            Self::UnreadText { lines, .. } => write!(f, "{lines} lines of text were detected but not read"),
            Self::UnreadableScript { script, lines } => {
                let name = match script {
                    Script::Other => "an unknown script",
                    script => script.as_str(),
                };
                let lines = if *lines == 1 { "a line is".to_owned() } else { format!("{lines} lines are") };
                write!(f, "{lines} in {name}, which the engine cannot read")?;
                match script.tesseract_package() {
                    Some(package) => write!(f, " (Tesseract can, with the package {package})"),
                    None => Ok(()),
                }
            }
            Self::Mirrored { lines: 1 } => f.write_str("a line is mirrored"),
            Self::Mirrored { lines } => write!(f, "{lines} lines are mirrored"),
            Self::TooSmall => f.write_str("print is too small to be read: send the page at a higher resolution"),
            Self::MissingFonts { fonts } => {
                let names = if fonts.is_empty() { "without a name".to_owned() } else { fonts.join(", ") };
                write!(f, "text is missing: the document does not contain its fonts, nor does the server: {names}")
            }
            Self::Damaged { rows: 1 } => f.write_str("the image is damaged: a row of pixels is missing"),
            Self::Damaged { rows } => write!(f, "the image is damaged: {rows} rows of pixels are missing"),
            Self::NotOnPage { content: HiddenContent::Attachments } => {
                f.write_str("the document is a portfolio: send its attached documents")
            }
            Self::NotOnPage { content: HiddenContent::DynamicForm } => {
                f.write_str("the document is a dynamic XFA form: print it to a PDF with Acrobat and send that")
            }
            Self::NoTextLayer => f.write_str("the page has no text layer, and was not read as an image"),
            Self::ContradictingAmount { check: AmountCheck::Sum } => {
                f.write_str("a total is not the sum of the amounts above it: check the amounts")
            }
            Self::ContradictingAmount { check: AmountCheck::Product } => {
                f.write_str("an amount is not the product of the numbers in its row: check them")
            }
        }
    }
}

impl Warning {
    /// The code.
    pub const fn code(&self) -> WarningCode {
        self.kind.code()
    }
}

impl From<WarningKind> for Warning {
    /// Returns a warning without a position.
    fn from(kind: WarningKind) -> Self {
        Self { kind, polygon: None }
    }
}

impl Serialize for Warning {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Object<'a> {
            #[serde(flatten)]
            kind: &'a WarningKind,
            message: String,
            #[serde(skip_serializing_if = "Option::is_none")]
            polygon: &'a Option<Polygon>,
        }
        Object { kind: &self.kind, message: self.kind.to_string(), polygon: &self.polygon }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Warning {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "snake_case")]
        enum CodeOnly {
            CutOff,
            Repetition,
            OtherForm,
        }
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Stored {
            CodeOnly(CodeOnly),
            Object {
                #[serde(flatten)]
                kind: WarningKind,
                polygon: Option<Polygon>,
            },
        }
        Ok(match Stored::deserialize(deserializer)? {
            Stored::CodeOnly(CodeOnly::CutOff) => WarningKind::CutOff.into(),
            Stored::CodeOnly(CodeOnly::Repetition) => WarningKind::Repetition.into(),
            Stored::CodeOnly(CodeOnly::OtherForm) => WarningKind::OtherForm.into(),
            Stored::Object { kind, polygon } => Self { kind, polygon },
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json, to_value};

    use super::*;

    #[test]
    fn a_warning_is_an_object_with_its_message() {
        let polygon = [[1.0, 2.0], [3.0, 2.0], [3.0, 4.0], [1.0, 4.0]];
        let kind = WarningKind::UnreadableScript { script: Script::Cyrillic, lines: 2 };
        let warning = Warning { kind, polygon: Some(polygon) };
        let object = json!({
            "code": "unreadable_script", "script": "Cyrillic", "lines": 2,
            "message": "2 lines are in Cyrillic, which the engine cannot read (Tesseract can, with the package \
                        tesseract-ocr-rus)",
            "polygon": polygon,
        });
        assert_eq!(to_value(&warning).expect("JSON"), object);
        assert_eq!(from_value::<Warning>(object).expect("a warning"), warning);
    }

    #[test]
    fn a_code_of_an_older_result_is_a_warning() {
        let old: Vec<Warning> = from_value(json!(["cut_off", "repetition", "other_form"])).expect("warnings");
        let kinds = [WarningKind::CutOff, WarningKind::Repetition, WarningKind::OtherForm];
        assert_eq!(old, kinds.map(Warning::from));
        assert!(from_value::<Warning>(json!("unknown")).is_err());
    }

    #[test]
    fn names_of_fonts_are_few_short_and_printable() {
        let warning = WarningKind::missing_fonts(["SimSun", "ABCDEF+Noto Sans", "SimSun", "\u{1b}[31mred", "\u{202e}"]);
        let fonts = ["31mred", "ABCDEF+Noto Sans", "SimSun"].map(str::to_owned).to_vec();
        assert_eq!(warning, WarningKind::MissingFonts { fonts });
        let message = "text is missing: the document does not contain its fonts, nor does the server: \
            31mred, ABCDEF+Noto Sans, SimSun";
        assert_eq!(warning.to_string(), message);
        let names: Vec<String> = (0..99).map(|number| format!("{number}{}", "x".repeat(999))).collect();
        let warning = WarningKind::missing_fonts(names.iter().map(String::as_str));
        let WarningKind::MissingFonts { fonts } = warning else { panic!("{warning:?}") };
        assert!(fonts.len() == MAX_FONTS && fonts.iter().all(|name| name.chars().count() == MAX_FONT_CHARS));
    }

    #[test]
    fn codes_and_scripts_are_serialized_by_their_names() {
        use WarningCode as Code;
        for code in
            [Code::CutOff, Code::UnreadText, Code::UnreadableScript, Code::Mirrored, Code::TooSmall, Code::OtherForm]
                .into_iter()
                .chain([Code::NoTextLayer])
        {
            assert_eq!(to_value(code).expect("JSON"), json!(code.as_str()));
        }
        for code in [Code::MissingFonts, Code::Damaged, Code::NotOnPage] {
            assert_eq!(to_value(code).expect("JSON"), json!(code.as_str()));
            assert!(code.is_of_image() && code.is_text_missing());
        }
        assert!(Script::Cyrillic.contains('ё') && !Script::Cyrillic.contains('e') && Script::Vietnamese.contains('ế'));
        for script in [Script::Hangul, Script::Vietnamese, Script::Other] {
            assert_eq!(to_value(script).expect("JSON"), json!(script.as_str()));
        }
    }
}
