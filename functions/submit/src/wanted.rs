//! What a request says of how its documents are to be read.

use quire_tasks::{MAX_KEYS, MAX_WORD_CHARS, Mode};
use serde_json::{Map, Value};

use crate::{json, problem::Problem};

/// The fields of a request, in forms and in JSON.
pub(crate) const FIELDS: [&str; 4] = ["mode", "keys", "language", "engine"];
/// The longest value of one of them: the longest key in the longest encoding. Names of modes and engines are shorter.
pub(crate) const MAX_BYTES: usize = 4 * MAX_WORD_CHARS;

/// How a customer wants documents to be read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// What is to be made of each page.
    pub mode: Mode,
    /// The engine that is to read them, and no other: `name@version`, or a name that has one version here. Without it,
    /// the mode's route says who reads.
    pub engine: Option<String>,
}

/// The same, as it was sent.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    mode: Option<String>,
    keys: Vec<String>,
    language: Option<String>,
    engine: Option<String>,
}

impl Asked {
    /// What a JSON body says; `null` is as good as nothing.
    pub(crate) fn of(members: &Map<String, Value>) -> Result<Self, Problem> {
        let text = |name| Ok::<_, Problem>(json::text(members, name)?.map(str::to_owned));
        let keys = json::texts(members, "keys")?;
        Ok(Self { mode: text("mode")?, keys, language: text("language")?, engine: text("engine")? })
    }

    /// One field of a form. Keys come as a field each.
    pub(crate) fn add(&mut self, field: &str, value: String) -> Result<(), Problem> {
        let known = match field {
            // One more than are taken is kept, so that it is refused.
            "keys" if self.keys.len() > MAX_KEYS => return Ok(()),
            "keys" => {
                self.keys.push(value);
                return Ok(());
            }
            "mode" => &mut self.mode,
            "language" => &mut self.language,
            _ => &mut self.engine,
        };
        match known.replace(value) {
            None => Ok(()),
            Some(_) => Err(Problem::invalid_field(field, "The field is there more than once.")),
        }
    }

    /// What it means.
    pub(crate) fn wanted(self) -> Result<Wanted, Problem> {
        let name = self.mode.map(|mode| mode.parse()).transpose()?.unwrap_or_default();
        Ok(Wanted { mode: Mode::new(name, self.keys, self.language)?, engine: self.engine })
    }
}
