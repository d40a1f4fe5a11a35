//! Files pages for review by a person.

use quire_tasks::ReviewEntry;

use crate::{
    Backend, Collection, Result,
    records::{self, RecordUpdate, UpdateOptions},
};

/// How a review entry is updated.
const UPDATE: UpdateOptions = UpdateOptions { what: "a review entry", attempts: 10, retry_busy: true };

/// Files a page for review, in place of its entry of an earlier round. Idempotent: an entry of the same or a later
/// round stays as it is. Must be called before the page is completed, so that every page marked `needs_review` has an
/// entry.
///
/// # Errors
/// As [`records::update`].
pub async fn file_for_review(backend: &Backend, entry: &ReviewEntry) -> Result<()> {
    let key = entry.key();
    let body = records::serialize(UPDATE.what, entry)?;
    records::update_body(backend.records.as_ref(), Collection::Review, &key, UPDATE, |record| {
        // An entry that cannot be parsed is replaced.
        let filed = record.and_then(|record| serde_json::from_str::<ReviewEntry>(&record.body).ok());
        if filed.is_some_and(|filed| filed.round >= entry.round) {
            return Ok(RecordUpdate::Keep(()));
        }
        Ok(RecordUpdate::Put { value: body.clone(), result: () })
    })
    .await
}
