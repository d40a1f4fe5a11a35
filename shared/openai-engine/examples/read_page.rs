//! Reads pages through a server, without the journey around it, and prints the text of each, in the order of the files:
//!
//! ```sh
//! cargo run -p quire-openai-engine --example read_page -- --url http://127.0.0.1:8000/v1 --model tencent/HunyuanOCR FILE…
//! ```
//!
//! `--dialect plain|vllm`, `--mode text` (`--key K`, repeated, and `--language L` for those that ask for them),
//! `--concurrency 8`, `--max-tokens 4096`, `--secs 120` for each page, and `--json` for a result object a line. A key of
//! the server's is taken from `QUIRE_REMOTE_KEY`.
#![expect(clippy::print_stdout, reason = "a command's answer goes to its standard output")]

use std::{collections::BTreeMap, error::Error, path::Path, time::Duration};

use futures_util::future::try_join_all;
use quire_document::{DocumentLimits, Documents, PageImage};
use quire_openai_engine::{Remote, RemoteSettings};
use quire_tasks::{Mode, PageText};

type Failed = Box<dyn Error + Send + Sync>;

/// What the command line says.
#[derive(Default)]
struct Said {
    values: BTreeMap<String, String>,
    keys: Vec<String>,
    files: Vec<String>,
    json: bool,
}

#[tokio::main]
async fn main() -> Result<(), Failed> {
    let said = Said::new(std::env::args().skip(1))?;
    let remote = Remote::new(said.settings()?)?;
    let language = said.values.get("language").cloned();
    let mode = Mode::new(said.value("mode", "text").parse()?, said.keys.clone(), language)?;
    let pages = try_join_all(said.files.iter().map(|file| read(&remote, &mode, Path::new(file)))).await?;
    for page in pages {
        if said.json {
            println!("{}", serde_json::to_string(&page)?);
        } else {
            println!("{}", page.text());
        }
    }
    Ok(())
}

async fn read(remote: &Remote, mode: &Mode, file: &Path) -> Result<PageText, Failed> {
    Ok(remote.read(&decode(file)?, mode).await?)
}

fn decode(file: &Path) -> Result<PageImage, Failed> {
    let mut documents = Documents::new(None, DocumentLimits::default());
    let format = documents.inspect(file)?.format;
    Ok(documents.page(file, format, 1)?)
}

impl Said {
    fn new(mut arguments: impl Iterator<Item = String>) -> Result<Self, Failed> {
        let mut said = Self::default();
        while let Some(argument) = arguments.next() {
            match argument.strip_prefix("--") {
                Some("json") => said.json = true,
                Some(name) => {
                    let value = arguments.next().ok_or_else(|| format!("--{name} asks for a value"))?;
                    if name == "key" {
                        said.keys.push(value);
                    } else {
                        said.values.insert(name.to_owned(), value);
                    }
                }
                None => said.files.push(argument),
            }
        }
        Ok(said)
    }

    fn value<'a>(&'a self, name: &str, default: &'a str) -> &'a str {
        self.values.get(name).map_or(default, String::as_str)
    }

    fn settings(&self) -> Result<RemoteSettings, Failed> {
        Ok(RemoteSettings {
            engine: "remote@1".parse()?,
            url: self.values.get("url").ok_or("--url asks for the server's, as http://127.0.0.1:8000/v1")?.parse()?,
            model: self.values.get("model").ok_or("--model asks for its name at the server")?.clone(),
            dialect: self.value("dialect", "plain").parse()?,
            concurrency: self.value("concurrency", "8").parse()?,
            time_limit: Duration::from_secs(self.value("secs", "120").parse()?),
            api_key: std::env::var("QUIRE_REMOTE_KEY").ok(),
            max_tokens: self.value("max-tokens", "4096").parse()?,
            prompts: BTreeMap::new(),
        })
    }
}
