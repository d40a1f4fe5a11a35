//! The client against a fake server with recorded responses, and with faults.

mod fake_server;
mod faults;
mod load;
mod recorded;

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use quire_document::PageImage;
use quire_openai_engine::{OpenAiEngine, OpenAiEngineSettings};
use quire_tasks::ApiDialect;

/// A page of 64 × 32 pixels of noise.
fn page() -> PageImage {
    let pixels = (0_u32..64 * 32 * 3).map(|index| (index.wrapping_mul(2_654_435_761) >> 24) as u8);
    PageImage::new(64, 32, pixels.collect())
}

/// Settings for a vLLM server at this address, with a timeout of five seconds.
fn settings(address: SocketAddr) -> OpenAiEngineSettings {
    OpenAiEngineSettings {
        engine: "hunyuan-ocr@1.5".parse().expect("a valid engine name"),
        url: format!("http://{address}/v1?token=very-secret").parse().expect("a valid URL"),
        model: "tencent/HunyuanOCR".to_owned(),
        dialect: ApiDialect::Vllm,
        concurrency: 4,
        timeout: Duration::from_secs(5),
        api_key: None,
        max_tokens: 4096,
        prompts: BTreeMap::new(),
    }
}

fn engine_at(address: SocketAddr) -> OpenAiEngine {
    OpenAiEngine::new(settings(address)).expect("valid settings")
}

/// An engine with time for a few attempts: the first two waits take at least 1.5 s.
fn hasty_engine_at(address: SocketAddr) -> OpenAiEngine {
    OpenAiEngine::new(OpenAiEngineSettings { timeout: SHORT_TIMEOUT, ..settings(address) }).expect("valid settings")
}

/// Long enough for a response on a busy machine.
const SHORT_TIMEOUT: Duration = Duration::from_secs(2);
