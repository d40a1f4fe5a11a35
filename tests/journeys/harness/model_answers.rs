//! What a model says of a page, in each of the forms that HunyuanOCR was trained to give.

use std::hash::{DefaultHasher, Hash, Hasher};

use axum::{
    Json,
    http::header,
    response::{IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

/// What a request shows and asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    /// By its prompt; `None` if it is none of ours.
    pub(crate) mode: Option<String>,
    pub(crate) prompt: String,
    pub(crate) model: String,
    /// Tells pages apart.
    pub(crate) page: String,
    pub(crate) is_yellow: bool,
}

impl Seen {
    pub(crate) fn of(request: &Value) -> Self {
        let said = &request["messages"][1]["content"];
        let url = said[0]["image_url"]["url"].as_str().expect("a picture");
        let prompt = said[1]["text"].as_str().expect("a prompt").to_owned();
        let png = STANDARD.decode(url.strip_prefix("data:image/png;base64,").expect("a PNG")).expect("base64");
        let mut hash = DefaultHasher::new();
        png.hash(&mut hash);
        Self {
            mode: mode_of(&prompt),
            prompt,
            model: request["model"].as_str().expect("a model").to_owned(),
            page: format!("{:016x}", hash.finish()),
            is_yellow: is_yellow(&png),
        }
    }
}

/// The mode whose built-in prompt begins like this; the longest such beginning counts.
fn mode_of(prompt: &str) -> Option<String> {
    let beginning = |instruction: &str| instruction.split('{').next().unwrap_or_default().to_owned();
    let fitting = quire_ocr::default_prompts()
        .iter()
        .map(|(name, instruction)| (name, beginning(instruction)))
        .filter(|(_, beginning)| prompt.starts_with(beginning.as_str()));
    let (name, _) = fitting.max_by_key(|(_, beginning)| beginning.len())?;
    // `translate.english` is a wording of `translate`.
    Some(name.split('.').next().unwrap_or_default().to_owned())
}

fn is_yellow(png: &[u8]) -> bool {
    let picture = image::load_from_memory(png).expect("a picture").to_rgb8();
    let pixels = u64::from(picture.width()) * u64::from(picture.height());
    let mean = |channel: usize| picture.pixels().map(|pixel| u64::from(pixel[channel])).sum::<u64>() / pixels;
    mean(0) > 160 && mean(2) < 100
}

/// The page's first line names it and the model, so that nobody can mistake it for another.
pub(crate) fn reads(seen: &Seen) -> String {
    let line = format!("Page {} by {}", seen.page, seen.model);
    match seen.mode.as_deref() {
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

/// An answer with this text: in events by the line, if that is what was asked for.
pub(crate) fn completion(text: &str, sure: Option<f32>, request: &Value) -> Response {
    let logprobs = |text: &str| {
        let token = |sure: f32| json!({ "content": [{ "token": text, "logprob": sure.ln() }] });
        sure.map_or(Value::Null, token)
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
