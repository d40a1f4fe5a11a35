//! The minimum transfer rate of a fetch: a source that sends slower than that fails early, instead of holding a slot
//! until the timeout.
//!
//! The rate is that at which the file grows, so that it covers everything a source can be slow with: the connection,
//! the response's headers, redirects and the content.

use std::{path::Path, time::Duration};

use tokio::time::sleep;

/// Returns when the file at `path` has grown by less than `bytes_per_sec` on average over a window, after a grace
/// period of the same length: a server may have to prepare the document. Never returns for a rate of 0.
pub(crate) async fn wait_until_too_slow(path: &Path, bytes_per_sec: u64, window: Duration) {
    if bytes_per_sec == 0 {
        return std::future::pending().await;
    }
    sleep(window).await;
    let mut before = size_of(path).await;
    loop {
        sleep(window).await;
        let now = size_of(path).await;
        if (now.saturating_sub(before) as f64) < bytes_per_sec as f64 * window.as_secs_f64() {
            return;
        }
        before = now;
    }
}

/// Returns the size of a file in bytes; 0 while it does not exist.
async fn size_of(path: &Path) -> u64 {
    tokio::fs::metadata(path).await.map_or(0, |metadata| metadata.len())
}

#[cfg(test)]
mod tests {
    use std::{fs::File, io::Write};

    use tokio::time::{Instant, timeout};

    use super::*;

    /// Appends `bytes` to the file every second.
    async fn transfer(path: &Path, bytes: usize) {
        let mut file = File::create(path).expect("a file");
        loop {
            file.write_all(&vec![0; bytes]).expect("written");
            sleep(Duration::from_secs(1)).await;
        }
    }

    /// Returns after how many seconds a transfer of this rate is too slow, if it is within ten minutes.
    async fn seconds_until_too_slow(bytes_per_sec: usize, min_rate: u64) -> Option<u64> {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("document");
        let started = Instant::now();
        let too_slow = async {
            tokio::select! {
                () = wait_until_too_slow(&path, min_rate, Duration::from_secs(10)) => {}
                () = transfer(&path, bytes_per_sec) => {}
            }
        };
        timeout(Duration::from_mins(10), too_slow).await.ok().map(|()| started.elapsed().as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn a_transfer_below_the_minimum_rate_is_too_slow_after_the_first_window() {
        assert_eq!(seconds_until_too_slow(0, 10_000).await, Some(20));
        assert_eq!(seconds_until_too_slow(5_000, 10_000).await, Some(20));
        assert_eq!(seconds_until_too_slow(12_000, 10_000).await, None);
        assert_eq!(seconds_until_too_slow(0, 0).await, None, "0 disables the check");
    }
}
