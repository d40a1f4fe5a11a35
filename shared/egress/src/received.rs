//! What a server said, for an error message: text only, short, and without secrets.

use url::Url;

/// The most characters of an excerpt.
const MAX_CHARS: usize = 200;
/// The longest word of an excerpt; longer ones are signatures, tokens and paths.
const MAX_WORD_CHARS: usize = 32;
/// The beginning of a body that is searched for a message, in bytes.
pub(crate) const MAX_SEARCHED_BYTES: usize = 4096;
/// Members of a JSON error, and elements of an XML or HTML page, that have its message.
const JSON_MEMBERS: [&str; 7] = ["message", "Message", "detail", "error_description", "title", "error", "errorMessage"];
const ELEMENTS: [&str; 5] = ["Message", "message", "title", "h1", "body"];

/// Returns the message in the body of an error response, or `None` if it has none.
///
/// Trade-off: a body may repeat the URL with its tokens, or the server's addresses. Words that look like a URL, an
/// address, a token or a part of the request's URL are replaced by `…`.
pub(crate) fn excerpt(body: &[u8], url: &Url) -> Option<String> {
    let body = String::from_utf8_lossy(&body[..body.len().min(MAX_SEARCHED_BYTES)]).into_owned();
    // A binary body is no message.
    if body.chars().filter(|character| *character == '\u{FFFD}' || *character == '\0').count() > 4 {
        return None;
    }
    let message = if body.trim_start().starts_with('{') {
        json_message(&body)
    } else if body.trim_start().starts_with('<') {
        ELEMENTS.iter().find_map(|element| element_text(&body, element))
    } else {
        Some(body)
    };
    let words: Vec<String> = visible(&message?).split_whitespace().map(|word| without_secrets(word, url)).collect();
    let mut text = words.join(" ");
    if text.chars().count() > MAX_CHARS {
        text = text.chars().take(MAX_CHARS - 1).chain(['…']).collect();
    }
    let text = text.trim_end_matches(['.', ' ']).to_owned();
    text.chars().any(char::is_alphanumeric).then_some(text)
}

/// Returns the value of the first known member that is a string, by its text: the beginning of a long body is not valid
/// JSON.
fn json_message(body: &str) -> Option<String> {
    JSON_MEMBERS.iter().find_map(|member| {
        let (_, rest) = body.split_once(&format!("\"{member}\""))?;
        let value = rest.trim_start().strip_prefix(':')?.trim_start().strip_prefix('"')?;
        let mut escaped = false;
        let end = value.find(|character| {
            let is_end = character == '"' && !escaped;
            escaped = character == '\\' && !escaped;
            is_end
        });
        Some(value[..end?].replace("\\n", " ").replace('\\', ""))
    })
}

/// Returns the text inside the first element of this name, without the tags in it.
fn element_text(body: &str, element: &str) -> Option<String> {
    let (_, rest) = body.split_once(&format!("<{element}"))?;
    let (_, rest) = rest.split_once('>')?;
    let inner = rest.split_once(&format!("</{element}")).map_or(rest, |(inner, _)| inner);
    let mut text = String::new();
    for part in inner.split('<') {
        let is_first = text.is_empty() && !inner.starts_with('<');
        text.push_str(if is_first { part } else { part.split_once('>').map_or("", |(_, after)| after) });
        text.push(' ');
    }
    (!text.trim().is_empty()).then_some(text)
}

/// Replaces control characters and invisible or direction-changing ones by spaces.
fn visible(text: &str) -> String {
    let is_hidden = |character: char| {
        character.is_control()
            || matches!(
                character,
                '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}' | '\u{FFFD}'
            )
    };
    text.chars().map(|character| if is_hidden(character) { ' ' } else { character }).collect()
}

fn without_secrets(word: &str, url: &Url) -> String {
    let bare = word.trim_matches(|character: char| !character.is_alphanumeric());
    let is_long = word.chars().count() > MAX_WORD_CHARS;
    let is_url = word.contains("://") || word.contains(['?', '=', '&', '@', '\\']) || word.matches('/').count() > 1;
    let is_address = bare.parse::<std::net::IpAddr>().is_ok()
        || bare.rsplit_once(':').is_some_and(|(host, _)| host.parse::<std::net::IpAddr>().is_ok());
    // Names of private hosts end like this.
    let is_internal = [".internal", ".local", ".corp", ".lan", ".intranet", ".svc", ".cluster"]
        .iter()
        .any(|end| bare.to_ascii_lowercase().split(':').next().unwrap_or_default().ends_with(end));
    let is_from_url = url
        .query_pairs()
        .any(|(_, value)| (value.len() >= 4 && word.contains(&*value)) || (bare.len() >= 6 && value.contains(bare)));
    if is_long || is_url || is_address || is_internal || is_from_url { "…".to_owned() } else { word.to_owned() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn excerpt_of(body: &str) -> Option<String> {
        let url =
            Url::parse("https://bucket.example.com/secret-path/a.pdf?X-Amz-Signature=0123456789abcdef&user=alice");
        excerpt(body.as_bytes(), &url.expect("a valid URL"))
    }

    #[test]
    fn the_message_of_a_store_is_found() {
        let s3 = r#"<?xml version="1.0" encoding="UTF-8"?>
            <Error><Code>AccessDenied</Code><Message>Request has expired</Message><X-Amz-Expires>60</X-Amz-Expires>
            <AWSAccessKeyId>AKIAIOSFODNN7EXAMPLE</AWSAccessKeyId><HostId>x</HostId></Error>"#;
        for (body, message) in [
            (s3, Some("Request has expired")),
            (r#"{"error": {"code": 404, "message": "No such object: \"a\""}}"#, Some(r#"No such object: "a""#)),
            (r#"{"detail":"Not found."}"#, Some("Not found")),
            ("<html><head><title>403 Forbidden</title></head><body>…</body></html>", Some("403 Forbidden")),
            ("<html><body><p>Sign <b>in</b> first</p></body></html>", Some("Sign in first")),
            ("the link\r\nhas expired", Some("the link has expired")),
            ("", None),
            ("---", None),
            ("{\"status\": 500}", None),
        ] {
            assert_eq!(excerpt_of(body).as_deref(), message, "{body}");
        }
        assert_eq!(excerpt(&[0, 159, 146, 150, 255, 254, 253, 0, 0], &Url::parse("https://a.b").expect("a URL")), None);
    }

    #[test]
    fn control_characters_and_secrets_are_removed() {
        for (body, message) in [
            ("\u{1b}[31mred\u{7} \u{202e}text", "[31mred text"),
            ("no /secret-path/a.pdf?X-Amz-Signature=0123456789abcdef here", "no … here"),
            ("signature 0123456789abcdef of alice", "signature … of …"),
            ("connect to 10.1.2.3:9000 or db.corp.internal or [fd00::1] failed", "connect to … or … or … failed"),
            ("token 0123456789012345678901234567890123456789 is invalid", "token … is invalid"),
        ] {
            assert_eq!(excerpt_of(body).as_deref(), Some(message), "{body:?}");
        }
        assert_eq!(excerpt_of(&"word ".repeat(500)).expect("an excerpt").chars().count(), MAX_CHARS);
    }

    proptest! {
        #[test]
        fn any_body_is_short_and_visible(body in prop::collection::vec(any::<u8>(), 0..300)) {
            let text = excerpt(&body, &Url::parse("https://a.b/c?token=secret").expect("a URL")).unwrap_or_default();
            prop_assert!(text.chars().count() <= MAX_CHARS && !text.chars().any(char::is_control));
        }

        #[test]
        fn a_token_of_the_url_is_never_repeated(
            token in "[a-zA-Z0-9]{8,40}",
            before in "[a-z ]{0,9}",
            after in "[/a-z .]{0,9}",
        ) {
            let url = Url::parse(&format!("https://a.b/c?token={token}")).expect("a URL");
            let text = excerpt(format!("{before}{token}{after}").as_bytes(), &url).unwrap_or_default();
            prop_assert!(!text.contains(&token), "{}", text);
        }
    }
}
