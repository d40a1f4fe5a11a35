//! The fields of requests to a server with an OpenAI-compatible API.

use serde::Deserialize;

/// Which request fields a server supports in addition to the standard ones of chat completions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ApiDialect {
    /// None. Default. `transformers serve` and others refuse unknown fields.
    #[default]
    Plain,
    /// Those of vLLM, which SGLang supports too: the model's own sampling parameters, and token probabilities.
    Vllm,
}
