//! Downloads to a file.

use std::{path::Path, time::Duration};

use reqwest::{Response, StatusCode};
use tokio::{fs::File, io::AsyncWriteExt};
use url::Url;

use crate::{
    Client, FetchError,
    client::{host_of, post_error},
};

impl Client {
    /// Downloads `url` to the file `path`, which is created or truncated, and returns the number of bytes. After an
    /// error, the file may contain a part of the response.
    ///
    /// # Errors
    /// Fails with [`FetchError`], whose variants state whether to retry.
    pub async fn fetch(&self, url: &Url, max_bytes: u64, timeout: Duration, path: &Path) -> Result<u64, FetchError> {
        self.validate(url)?;
        let transfer = async {
            let response = self.http.get(url.clone()).send().await.map_err(|error| post_error(url, &error))?;
            if response.status() != StatusCode::OK {
                return Err(FetchError::Status(response.status().as_u16()));
            }
            save(url, response, max_bytes, path).await
        };
        tokio::time::timeout(timeout, transfer)
            .await
            .unwrap_or_else(|_| Err(FetchError::TimedOut { host: host_of(url) }))
    }
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
