//! GET into a file.

use std::{path::Path, time::Duration};

use reqwest::{Response, StatusCode};
use tokio::{fs::File, io::AsyncWriteExt, time::timeout};
use url::Url;

use crate::{
    Client, FetchError,
    client::{explain, host_of},
};

impl Client {
    /// Fetches `url` into the file `into`, which is made or emptied first; says how many bytes there are. What a
    /// failed fetch leaves in the file is the caller's to delete.
    ///
    /// # Errors
    /// [`FetchError`], by what to do next.
    pub async fn fetch(&self, url: &Url, max_bytes: u64, within: Duration, into: &Path) -> Result<u64, FetchError> {
        self.admit(url)?;
        let transfer = async {
            let response = self.http.get(url.clone()).send().await.map_err(|error| explain(url, &error))?;
            if response.status() != StatusCode::OK {
                return Err(FetchError::Status(response.status().as_u16()));
            }
            save(url, response, max_bytes, into).await
        };
        timeout(within, transfer).await.unwrap_or_else(|_| Err(FetchError::TimedOut { host: host_of(url) }))
    }
}

async fn save(url: &Url, mut response: Response, max_bytes: u64, into: &Path) -> Result<u64, FetchError> {
    let too_large = FetchError::TooLarge { limit: max_bytes };
    if response.content_length().is_some_and(|length| length > max_bytes) {
        return Err(too_large);
    }
    let mut file = File::create(into).await?;
    let mut bytes = 0;
    while let Some(chunk) = response.chunk().await.map_err(|error| explain(url, &error))? {
        bytes += chunk.len() as u64;
        // The length that was announced, if any, is only a promise.
        if bytes > max_bytes {
            return Err(too_large);
        }
        file.write_all(&chunk).await?;
    }
    file.flush().await?;
    Ok(bytes)
}
