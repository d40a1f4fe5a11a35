//! A page is put where somebody will look at it.

use quire_tasks::ReviewEntry;

use crate::{Backend, Collection, Error, Result, retry_with_backoff};

/// How often it is tried while others change the same entry.
const TRIES: usize = 10;

/// Puts a page on the review shelf, in place of what was said of it in an earlier round. One that lies there for this round
/// or a later one stays as it is, so that filing twice is filing once. To be called before the page is completed: a page
/// that says that it needs a review is then always there to be found.
///
/// # Errors
/// As [`crate::RecordStore::put`].
pub async fn file_for_review(backend: &Backend, entry: &ReviewEntry) -> Result<()> {
    let key = entry.key();
    let body = serde_json::to_string(entry)
        .map_err(|error| Error::Failed { what: "a review entry", why: error.to_string() })?;
    for _ in 0..TRIES {
        let filed = retry_with_backoff(|| backend.records.read(Collection::Review, &key)).await?;
        let before = filed.as_ref().and_then(|record| serde_json::from_str::<ReviewEntry>(&record.body).ok());
        if before.is_some_and(|before| before.round >= entry.round) {
            return Ok(());
        }
        let seen = filed.map(|record| record.version);
        if retry_with_backoff(|| backend.records.put(Collection::Review, &key, body.clone(), seen, None)).await? {
            return Ok(());
        }
    }
    Err(Error::Busy { what: "a review entry", why: "others keep changing it".to_owned() })
}
