//! Downloads to a file.

use std::{path::Path, time::Duration};

use reqwest::{
    Response, StatusCode,
    header::{ACCEPT_ENCODING, CONTENT_TYPE, LOCATION},
};
use tokio::{fs::File, io::AsyncWriteExt, task::spawn_blocking};
use url::Url;

use crate::{
    Client, FetchError, MAX_URL_LENGTH, UrlRefused,
    client::{host_of, post_error},
    encoding::{ACCEPTED, DecodeError, Encoding, decode_file, encodings},
    received::{MAX_SEARCHED_BYTES, excerpt},
};

/// The most redirects of one download.
pub const MAX_REDIRECTS: usize = 5;

/// A downloaded file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// Its number of bytes, decoded.
    pub bytes: u64,
    /// The media type that the server stated, in lower case and without parameters.
    pub media_type: Option<String>,
}

impl Client {
    /// Downloads `url` to the file `path`, which is created or truncated. Follows up to [`MAX_REDIRECTS`] redirects,
    /// each of which is checked like `url`, and decodes a compressed response; `max_bytes` limits both its compressed
    /// and its decoded size. After an error, the file may contain a part of the response.
    ///
    /// # Errors
    /// Fails with [`FetchError`], whose variants state whether to retry.
    pub async fn fetch(
        &self,
        url: &Url,
        max_bytes: u64,
        timeout: Duration,
        path: &Path,
    ) -> Result<Fetched, FetchError> {
        self.validate(url)?;
        let transfer = async {
            let (url, response) = self.follow(url).await?;
            let encodings = encodings(response.headers()).map_err(FetchError::Encoding)?;
            let media_type = media_type(&response);
            let bytes = save(&url, response, max_bytes, path).await?;
            let bytes = if encodings.is_empty() { bytes } else { decode(path, encodings, max_bytes).await? };
            Ok(Fetched { bytes, media_type })
        };
        tokio::time::timeout(timeout, transfer)
            .await
            .unwrap_or_else(|_| Err(FetchError::TimedOut { host: host_of(url) }))
    }

    /// Returns the response with status 200, and its URL.
    async fn follow(&self, url: &Url) -> Result<(Url, Response), FetchError> {
        let mut url = url.clone();
        for _ in 0..=MAX_REDIRECTS {
            let request = self.http.get(url.clone()).header(ACCEPT_ENCODING, ACCEPTED);
            let response = request.send().await.map_err(|error| post_error(&url, &error))?;
            match response.status() {
                StatusCode::OK => return Ok((url, response)),
                StatusCode::MOVED_PERMANENTLY
                | StatusCode::FOUND
                | StatusCode::SEE_OTHER
                | StatusCode::TEMPORARY_REDIRECT
                | StatusCode::PERMANENT_REDIRECT
                    if response.headers().contains_key(LOCATION) =>
                {
                    let next = self.redirect_target(&url, &response);
                    url = next.map_err(|refused| UrlRefused::Redirect(Box::new(refused)))?;
                }
                _ => return Err(status_error(&url, response).await),
            }
        }
        Err(UrlRefused::TooManyRedirects(MAX_REDIRECTS).into())
    }

    /// Returns where a redirect leads, checked like any URL.
    fn redirect_target(&self, from: &Url, response: &Response) -> Result<Url, UrlRefused> {
        let location = response.headers().get(LOCATION).and_then(|location| location.to_str().ok());
        let location = location.ok_or(UrlRefused::Malformed)?;
        if location.len() > MAX_URL_LENGTH {
            return Err(UrlRefused::TooLong);
        }
        let next = from.join(location).map_err(|_| UrlRefused::Malformed)?;
        self.validate(&next)?;
        // The content of a page that was asked for by https must not come unprotected, even where http is allowed.
        if from.scheme() == "https" && next.scheme() != "https" { Err(UrlRefused::Scheme) } else { Ok(next) }
    }
}

/// Returns the error of a response without a document, with the message in it.
async fn status_error(url: &Url, mut response: Response) -> FetchError {
    let status = response.status().as_u16();
    let mut body = Vec::new();
    while body.len() < MAX_SEARCHED_BYTES
        && let Ok(Some(chunk)) = response.chunk().await
    {
        body.extend_from_slice(&chunk[..chunk.len().min(MAX_SEARCHED_BYTES)]);
    }
    let is_plain = encodings(response.headers()).is_ok_and(|encodings| encodings.is_empty());
    FetchError::Status { status, received: excerpt(&body, url).filter(|_| is_plain) }
}

fn media_type(response: &Response) -> Option<String> {
    let value = response.headers().get(CONTENT_TYPE)?.to_str().ok()?;
    let essence = value.split(';').next()?.trim().to_ascii_lowercase();
    let is_token = |character: char| character.is_ascii_alphanumeric() || "/+-.".contains(character);
    (essence.len() <= 64 && essence.contains('/') && essence.chars().all(is_token)).then_some(essence)
}

async fn save(url: &Url, mut response: Response, max_bytes: u64, path: &Path) -> Result<u64, FetchError> {
    let too_large = FetchError::TooLarge { limit: max_bytes };
    if response.content_length().is_some_and(|length| length > max_bytes) {
        return Err(too_large);
    }
    let mut file = File::create(path).await?;
    let mut bytes = 0;
    while let Some(chunk) = response.chunk().await.map_err(|error| post_error(url, &error))? {
        bytes += chunk.len() as u64;
        // The Content-Length header may be missing or wrong.
        if bytes > max_bytes {
            return Err(too_large);
        }
        file.write_all(&chunk).await?;
    }
    file.flush().await?;
    Ok(bytes)
}

async fn decode(path: &Path, encodings: Vec<Encoding>, max_bytes: u64) -> Result<u64, FetchError> {
    let path = path.to_owned();
    let decoded = spawn_blocking(move || decode_file(&path, &encodings, max_bytes)).await;
    match decoded {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(DecodeError::TooLarge)) => Err(FetchError::TooLarge { limit: max_bytes }),
        Ok(Err(DecodeError::Storage(error))) => Err(error.into()),
        // A decoder that panics was given a damaged response.
        Ok(Err(DecodeError::Damaged)) | Err(_) => Err(FetchError::Damaged),
    }
}
