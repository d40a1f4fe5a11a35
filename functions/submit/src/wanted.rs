//! What a request says of how its documents are to be read.

use quire_tasks::Mode;
use serde_json::{Map, Value};

use crate::{json, problem::Problem};

/// How a customer wants documents to be read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// What is to be made of each page.
    pub mode: Mode,
    /// The engine that is to read them, and no other: `name@version`, or a name that has one version here. Without it,
    /// the mode's route says who reads.
    pub engine: Option<String>,
}

impl Wanted {
    /// What the fields of a request say; `null` is as good as nothing.
    pub(crate) fn of(fields: &Map<String, Value>) -> Result<Self, Problem> {
        let text = |name| Ok::<_, Problem>(json::text(fields, name)?.map(str::to_owned));
        let name = json::text(fields, "mode")?.map(str::parse).transpose()?.unwrap_or_default();
        let mode = Mode::new(name, json::texts(fields, "keys")?, text("language")?)?;
        Ok(Self { mode, engine: text("engine")? })
    }
}
