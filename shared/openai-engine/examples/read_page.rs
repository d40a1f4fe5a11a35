//! Reads pages through a server and prints their texts in the order of the files:
//!
//! ```sh
//! cargo run -p quire-openai-engine --example read_page -- --url http://127.0.0.1:8000/v1 \
//!     --model tencent/HunyuanOCR FILE…
//! ```
//!
//! Options: `--dialect plain|vllm`, `--mode text` (with `--key K`, repeated, or `--language L` for the modes that need
//! them), `--concurrency 8`, `--max-tokens 4096`, `--secs 120` as the timeout of a page, and `--json` for one result
//! object per line. The environment variable `QUIRE_REMOTE_KEY` holds the API key.
#![expect(clippy::print_stdout, reason = "a command prints its result")]

use std::{collections::BTreeMap, error::Error, path::Path, time::Duration};

use futures_util::future::try_join_all;
use quire_document::{DocumentLimits, Documents, PageImage};
use quire_openai_engine::{OpenAiEngine, OpenAiEngineSettings};
use quire_tasks::{ApiDialect, Mode, PageText};

type ExampleError = Box<dyn Error + Send + Sync>;

/// The parsed command line.
#[derive(Default)]
struct Arguments {
    values: BTreeMap<String, String>,
    keys: Vec<String>,
    files: Vec<String>,
    json: bool,
}

#[tokio::main]
async fn main() -> Result<(), ExampleError> {
    let arguments = Arguments::new(std::env::args().skip(1))?;
    let engine = OpenAiEngine::new(arguments.settings()?)?;
    let language = arguments.values.get("language").cloned();
    let mode = Mode::new(arguments.value("mode", "text").parse()?, arguments.keys.clone(), language)?;
    let pages = try_join_all(arguments.files.iter().map(|file| read(&engine, &mode, Path::new(file)))).await?;
    for page in pages {
        if arguments.json {
            println!("{}", serde_json::to_string(&page)?);
        } else {
            println!("{}", page.text());
        }
    }
    Ok(())
}

async fn read(engine: &OpenAiEngine, mode: &Mode, file: &Path) -> Result<PageText, ExampleError> {
    Ok(engine.read(&decode(file)?, mode).await?)
}

fn decode(file: &Path) -> Result<PageImage, ExampleError> {
    let mut documents = Documents::new(None, DocumentLimits::default());
    let format = documents.inspect(file)?.format;
    Ok(documents.page(file, format, 1)?)
}

impl Arguments {
    fn new(mut arguments: impl Iterator<Item = String>) -> Result<Self, ExampleError> {
        let mut parsed = Self::default();
        while let Some(argument) = arguments.next() {
            match argument.strip_prefix("--") {
                Some("json") => parsed.json = true,
                Some(name) => {
                    let value = arguments.next().ok_or_else(|| format!("--{name} needs a value"))?;
                    if name == "key" {
                        parsed.keys.push(value);
                    } else {
                        parsed.values.insert(name.to_owned(), value);
                    }
                }
                None => parsed.files.push(argument),
            }
        }
        Ok(parsed)
    }

    fn value<'a>(&'a self, name: &str, default: &'a str) -> &'a str {
        self.values.get(name).map_or(default, String::as_str)
    }

    fn settings(&self) -> Result<OpenAiEngineSettings, ExampleError> {
        Ok(OpenAiEngineSettings {
            engine: "remote@1".parse()?,
            url: self
                .values
                .get("url")
                .ok_or("--url must be the base URL of the server, e.g. http://127.0.0.1:8000/v1")?
                .parse()?,
            model: self.values.get("model").ok_or("--model must be the name of the model at the server")?.clone(),
            dialect: match self.value("dialect", "plain") {
                "plain" => ApiDialect::Plain,
                "vllm" => ApiDialect::Vllm,
                _ => return Err("--dialect must be `plain` or `vllm`".into()),
            },
            concurrency: self.value("concurrency", "8").parse()?,
            timeout: Duration::from_secs(self.value("secs", "120").parse()?),
            api_key: std::env::var("QUIRE_REMOTE_KEY").ok(),
            max_tokens: self.value("max-tokens", "4096").parse()?,
            prompts: BTreeMap::new(),
        })
    }
}
