//! The client against servers that answer as real ones do, and against some that answer as none should.

mod faults;
mod load;
mod recorded;
mod stand_in;

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use quire_document::PageImage;
use quire_openai_engine::{Dialect, Remote, RemoteSettings};

/// Of the pages that are read here: 64 × 32, noise.
fn page() -> PageImage {
    let pixels = (0_u32..64 * 32 * 3).map(|index| (index.wrapping_mul(2_654_435_761) >> 24) as u8);
    PageImage::new(64, 32, pixels.collect())
}

/// A server of vLLM's kind at this address. Its pages have five seconds.
fn settings(address: SocketAddr) -> RemoteSettings {
    RemoteSettings {
        engine: "hunyuan-ocr@1.5".parse().expect("an engine"),
        url: format!("http://{address}/v1?token=very-secret").parse().expect("a URL"),
        model: "tencent/HunyuanOCR".to_owned(),
        dialect: Dialect::Vllm,
        concurrency: 4,
        time_limit: Duration::from_secs(5),
        api_key: None,
        max_tokens: 4096,
        prompts: BTreeMap::new(),
    }
}

fn remote(address: SocketAddr) -> Remote {
    Remote::new(settings(address)).expect("a client")
}

/// One whose pages have time for a few tries: the first two waits take 1.5 s at least.
fn hasty(address: SocketAddr) -> Remote {
    Remote::new(RemoteSettings { time_limit: HASTE, ..settings(address) }).expect("a client")
}

/// Enough for an answer on a machine that is busy with other tests.
const HASTE: Duration = Duration::from_secs(2);
