//! Model output for a page, in the output format of each HunyuanOCR mode, as OpenAI chat completions.

use std::hash::{DefaultHasher, Hash, Hasher};

use axum::{
    Json,
    http::header,
    response::{IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

/// A chat completion request that asks to read a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ModelRequest {
    /// The mode that the prompt belongs to; `None` for an unknown prompt.
    pub(crate) mode: Option<String>,
    pub(crate) prompt: String,
    pub(crate) model: String,
    /// A hash of the page image, in hexadecimal.
    pub(crate) page: String,
    pub(crate) is_yellow: bool,
}

impl ModelRequest {
    pub(crate) fn parse(request: &Value) -> Self {
        let content = &request["messages"][1]["content"];
        let url = content[0]["image_url"]["url"].as_str().expect("an image URL");
        let prompt = content[1]["text"].as_str().expect("the request has a prompt").to_owned();
        let png = STANDARD
            .decode(url.strip_prefix("data:image/png;base64,").expect("the image is a PNG data URL"))
            .expect("the data URL is base64");
        let mut hash = DefaultHasher::new();
        png.hash(&mut hash);
        Self {
            mode: mode_of(&prompt),
            prompt,
            model: request["model"].as_str().expect("the request names a model").to_owned(),
            page: format!("{:016x}", hash.finish()),
            is_yellow: is_yellow(&png),
        }
    }
}

/// Returns the mode whose built-in prompt has the longest matching prefix.
fn mode_of(prompt: &str) -> Option<String> {
    let prefixes = quire_ocr::default_prompts()
        .iter()
        .map(|(name, instruction)| (name, instruction.split('{').next().unwrap_or_default()))
        .filter(|(_, prefix)| prompt.starts_with(prefix));
    let (name, _) = prefixes.max_by_key(|(_, prefix)| prefix.len())?;
    // `translate.english` is a variant of `translate`.
    Some(name.split('.').next().unwrap_or_default().to_owned())
}

fn is_yellow(png: &[u8]) -> bool {
    let image = image::load_from_memory(png).expect("the image decodes").to_rgb8();
    let pixels = u64::from(image.width()) * u64::from(image.height());
    let mean = |channel: usize| image.pixels().map(|pixel| u64::from(pixel[channel])).sum::<u64>() / pixels;
    mean(0) > 160 && mean(2) < 100
}

/// Returns the model output. Its first line names the page and the model, so that tests can identify both.
pub(crate) fn output_for(request: &ModelRequest) -> String {
    let line = format!("Page {} by {}", request.page, request.model);
    match request.mode.as_deref() {
        Some("markdown") => format!("# {line}\n\n| a | b |\n|---|---|\n| 1 | $x^2$ |"),
        Some("spotting") => format!("{line}(100,250),(500,750)Second line(100,800),(300,900)"),
        Some("table") => format!("<table><tr><td>{line}</td></tr></table>"),
        Some("formula") => "\\frac{a}{b}".to_owned(),
        Some("fields") => "```json\n{\"total\": \"12.50\", \"date\": \"\"}\n```".to_owned(),
        Some("subtitles") => "First\\nSecond".to_owned(),
        Some("translate") => format!("Translated: {line}"),
        _ => format!("{line}\nSecond line"),
    }
}

/// Returns a chat completion with this text: as server-sent events, one per line, if the request has `stream: true`.
/// `confidence` is the probability of each token; `None` omits `logprobs`.
pub(crate) fn completion(text: &str, confidence: Option<f32>, request: &Value) -> Response {
    let logprobs = |text: &str| {
        let token = |confidence: f32| json!({ "content": [{ "token": text, "logprob": confidence.ln() }] });
        confidence.map_or(Value::Null, token)
    };
    if request["stream"] != true {
        let choice = json!({
            "index": 0, "finish_reason": "stop", "logprobs": logprobs(text),
            "message": { "role": "assistant", "content": text },
        });
        return Json(json!({ "object": "chat.completion", "choices": [choice] })).into_response();
    }
    let chunk = |delta: Value, logprobs: Value, reason: Option<&str>| {
        let choice = json!({ "index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": reason });
        format!("data: {}\n\n", json!({ "object": "chat.completion.chunk", "choices": [choice] }))
    };
    let mut events = chunk(json!({ "role": "assistant", "content": "" }), Value::Null, None);
    for line in text.split_inclusive('\n') {
        events.push_str(&chunk(json!({ "content": line }), logprobs(line), None));
    }
    events.push_str(&chunk(json!({}), Value::Null, Some("stop")));
    events.push_str("data: [DONE]\n\n");
    ([(header::CONTENT_TYPE, "text/event-stream")], events).into_response()
}
