//! Calls to `DynamoDB`: consistent batch reads, and conditional transactions.

use std::time::Duration;

use aws_sdk_dynamodb::{
    Client,
    operation::{put_item::PutItemError, transact_write_items::TransactWriteItemsError},
    types::{AttributeValue, ConditionCheck, KeysAndAttributes, Put, TransactWriteItem},
};
use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder, Retryable};
use quire_platform::{Error, Result};

use crate::{
    fault::{error_chain, to_error},
    items::{OPEN, PARTITION, ROUND, SETTLED, SORT, TableItem, VERSION, WHAT},
};

/// The maximum number of items in a `BatchGetItem` and of actions in a `TransactWriteItems` call.
pub(crate) const MAX_BATCH_ITEMS: usize = 100;
/// The backoff after a write conflict. Conflicts last milliseconds: short waits with jitter, many attempts.
const FIRST_WAIT: Duration = Duration::from_millis(10);
const MAX_WAIT: Duration = Duration::from_millis(400);
const MAX_RETRIES: usize = 12;

/// Returns the backoff policy for write conflicts.
pub(crate) fn conflict_backoff() -> ExponentialBuilder {
    ExponentialBuilder::default()
        .with_min_delay(FIRST_WAIT)
        .with_max_delay(MAX_WAIT)
        .with_max_times(MAX_RETRIES)
        .with_jitter()
}

/// Waits until the next attempt.
///
/// # Errors
/// [`Error::Busy`] with the reason `why` if all attempts are used up.
pub(crate) async fn back_off(waits: &mut ExponentialBackoff, why: impl FnOnce() -> String) -> Result<()> {
    let Some(wait) = waits.next() else { return Err(Error::Busy { what: WHAT, why: why() }) };
    tokio::time::sleep(wait).await;
    Ok(())
}

/// The condition of a write.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum WriteCondition {
    /// The item does not exist.
    Absent,
    /// The page is queued in this round.
    Open(u32),
    /// The task's version has not changed since it was read.
    Version(u64),
    /// No document was finished and no round started since the task was read.
    DocumentsUnchanged {
        /// The number of document changes when it was read.
        settled: u64,
        /// The round when it was read.
        round: u32,
    },
}

/// A condition expression with its names and values.
struct Expression {
    text: &'static str,
    names: Vec<(&'static str, &'static str)>,
    values: Vec<(&'static str, u64)>,
}

impl WriteCondition {
    fn expression(self) -> Expression {
        match self {
            Self::Absent => {
                Expression { text: "attribute_not_exists(#k)", names: vec![("#k", PARTITION)], values: vec![] }
            }
            Self::Open(round) => {
                Expression { text: "#o = :o", names: vec![("#o", OPEN)], values: vec![(":o", round.into())] }
            }
            Self::Version(version) => {
                Expression { text: "#v = :v", names: vec![("#v", VERSION)], values: vec![(":v", version)] }
            }
            Self::DocumentsUnchanged { settled, round } => Expression {
                text: "#s = :s AND #r = :r",
                names: vec![("#s", SETTLED), ("#r", ROUND)],
                values: vec![(":s", settled), (":r", round.into())],
            },
        }
    }
}

/// An item to write, and its condition.
pub(crate) type ItemWrite = (TableItem, Option<WriteCondition>);

/// Why a transaction failed.
enum WriteFailure {
    /// A conflict with another transaction. Decision: retry.
    Conflict(Error),
    Error(Error),
}

/// The table's client.
#[derive(Debug, Clone)]
pub(crate) struct DynamoClient {
    pub(crate) client: Client,
    pub(crate) table: String,
}

impl DynamoClient {
    pub(crate) const fn new(client: Client, table: String) -> Self {
        Self { client, table }
    }

    /// Returns the existing items with these keys, unordered.
    pub(crate) async fn read(&self, keys: Vec<TableItem>) -> Result<Vec<TableItem>> {
        let mut items = Vec::new();
        for keys in keys.chunks(MAX_BATCH_ITEMS) {
            let mut keys = keys.to_vec();
            let mut waits = conflict_backoff().build();
            while !keys.is_empty() {
                let wanted = KeysAndAttributes::builder().set_keys(Some(keys)).consistent_read(true).build();
                let wanted = wanted.map_err(|error| Error::Failed { what: WHAT, why: error_chain(&error) })?;
                let read = self.client.batch_get_item().request_items(&self.table, wanted).send().await;
                let read = read.map_err(|error| to_error(WHAT, &error))?;
                items.extend(read.responses.into_iter().flat_map(std::collections::HashMap::into_values).flatten());
                keys = read.unprocessed_keys.into_iter().flatten().flat_map(|(_, left)| left.keys).collect();
                if !keys.is_empty() {
                    back_off(&mut waits, || "keys stay unprocessed".to_owned()).await?;
                }
            }
        }
        Ok(items)
    }

    /// Returns a task's items whose sort keys begin with `prefix`, in order.
    pub(crate) async fn range(&self, partition: String, prefix: &str) -> Result<Vec<TableItem>> {
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .consistent_read(true)
            .key_condition_expression("#p = :p AND begins_with(#s, :s)")
            .expression_attribute_names("#p", PARTITION)
            .expression_attribute_names("#s", SORT)
            .expression_attribute_values(":p", AttributeValue::S(partition))
            .expression_attribute_values(":s", AttributeValue::S(prefix.to_owned()));
        let items = query.into_paginator().items().send().collect::<Result<Vec<TableItem>, _>>().await;
        items.map_err(|error| to_error(WHAT, &error))
    }

    /// Returns up to `limit` keys from one partition of an index whose sort value is below `below`, in order.
    pub(crate) async fn index(
        &self,
        (index, partition): (&str, &str),
        sort: &str,
        below: i64,
        limit: usize,
    ) -> Result<Vec<TableItem>> {
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(index)
            .limit(limit.clamp(1, 1000) as i32)
            .key_condition_expression("#p = :p AND #s < :s")
            .expression_attribute_names("#p", index)
            .expression_attribute_names("#s", sort)
            .expression_attribute_values(":p", AttributeValue::S(partition.to_owned()))
            .expression_attribute_values(":s", AttributeValue::N(below.to_string()));
        let mut found = query.into_paginator().items().send();
        let mut items = Vec::new();
        while items.len() < limit
            && let Some(item) = found.next().await
        {
            items.push(item.map_err(|error| to_error(WHAT, &error))?);
        }
        Ok(items)
    }

    /// Writes items, and the task's item last, on its condition. Returns whether the condition held. Items that exceed
    /// one transaction are written first, on the condition `early_condition`: they are ignored until the task's item
    /// refers to them.
    pub(crate) async fn write(
        &self,
        mut items: Vec<ItemWrite>,
        task: TableItem,
        condition: WriteCondition,
        early_condition: WriteCondition,
    ) -> Result<bool> {
        if items.is_empty() {
            return self.write_one(task, condition).await;
        }
        let last = items.split_off(items.len().saturating_sub(MAX_BATCH_ITEMS - 1));
        for batch in items.chunks(MAX_BATCH_ITEMS - 1) {
            let mut actions = vec![self.check(&task, early_condition)?];
            actions.extend(self.puts(batch.to_vec())?);
            if !self.transact(actions).await? {
                return Ok(false);
            }
        }
        let mut actions = self.puts(last)?;
        actions.push(self.put((task, Some(condition)))?);
        self.transact(actions).await
    }

    /// Writes one item without a transaction, which would cost twice as much.
    async fn write_one(&self, item: TableItem, condition: WriteCondition) -> Result<bool> {
        let Expression { text, names, values } = condition.expression();
        let attempt = || async {
            let mut put = self.client.put_item().table_name(&self.table).set_item(Some(item.clone()));
            put = put.condition_expression(text);
            put = names.iter().fold(put, |put, &(name, of)| put.expression_attribute_names(name, of));
            put = values.iter().fold(put, |put, &(name, of)| put.expression_attribute_values(name, number(of)));
            match put.send().await {
                Ok(_) => Ok(true),
                Err(error) => match error.as_service_error() {
                    Some(PutItemError::ConditionalCheckFailedException(_)) => Ok(false),
                    Some(PutItemError::TransactionConflictException(_)) => {
                        Err(WriteFailure::Conflict(to_error(WHAT, &error)))
                    }
                    _ => Err(WriteFailure::Error(to_error(WHAT, &error))),
                },
            }
        };
        retry_conflicts(attempt).await
    }

    pub(crate) async fn transact(&self, actions: Vec<TransactWriteItem>) -> Result<bool> {
        let attempt = || async {
            let write = self.client.transact_write_items().set_transact_items(Some(actions.clone()));
            match write.send().await {
                Ok(_) => Ok(true),
                Err(error) => match error.as_service_error() {
                    Some(TransactWriteItemsError::TransactionCanceledException(canceled)) => {
                        classify_cancellation(canceled.cancellation_reasons().iter().filter_map(|reason| reason.code()))
                    }
                    _ => Err(WriteFailure::Error(to_error(WHAT, &error))),
                },
            }
        };
        retry_conflicts(attempt).await
    }

    fn puts(&self, items: Vec<ItemWrite>) -> Result<Vec<TransactWriteItem>> {
        items.into_iter().map(|item| self.put(item)).collect()
    }

    fn put(&self, (item, condition): ItemWrite) -> Result<TransactWriteItem> {
        let mut put = Put::builder().table_name(&self.table).set_item(Some(item));
        if let Some(Expression { text, names, values }) = condition.map(WriteCondition::expression) {
            put = put.condition_expression(text);
            put = names.into_iter().fold(put, |put, (name, of)| put.expression_attribute_names(name, of));
            put = values.into_iter().fold(put, |put, (name, of)| put.expression_attribute_values(name, number(of)));
        }
        let put = put.build().map_err(|error| Error::Failed { what: WHAT, why: error_chain(&error) })?;
        Ok(TransactWriteItem::builder().put(put).build())
    }

    fn check(&self, task: &TableItem, condition: WriteCondition) -> Result<TransactWriteItem> {
        let Expression { text, names, values } = condition.expression();
        let mut check = ConditionCheck::builder().table_name(&self.table).condition_expression(text);
        for name in [PARTITION, SORT] {
            check = check.key(name, task.get(name).cloned().unwrap_or(AttributeValue::Null(true)));
        }
        check = names.into_iter().fold(check, |check, (name, of)| check.expression_attribute_names(name, of));
        check = values.into_iter().fold(check, |check, (name, of)| check.expression_attribute_values(name, number(of)));
        let check = check.build().map_err(|error| Error::Failed { what: WHAT, why: error_chain(&error) })?;
        Ok(TransactWriteItem::builder().condition_check(check).build())
    }
}

/// Retries write conflicts with backoff.
async fn retry_conflicts<F>(attempt: impl FnMut() -> F) -> Result<bool>
where
    F: Future<Output = Result<bool, WriteFailure>>,
{
    let done = attempt.retry(conflict_backoff()).when(|refused| matches!(refused, WriteFailure::Conflict(_))).await;
    done.map_err(|(WriteFailure::Conflict(error) | WriteFailure::Error(error))| error)
}

/// Classifies why a transaction was canceled, by the codes of its actions. A failed condition takes precedence: a retry
/// without reading again could not succeed.
fn classify_cancellation<'a>(codes: impl Iterator<Item = &'a str>) -> Result<bool, WriteFailure> {
    let codes: Vec<&str> = codes.filter(|&code| code != "None").collect();
    let why = codes.join(", ");
    if codes.contains(&"ConditionalCheckFailed") {
        Ok(false)
    } else if codes.contains(&"TransactionConflict") {
        Err(WriteFailure::Conflict(Error::Busy { what: WHAT, why }))
    } else if codes.iter().any(|code| matches!(*code, "ThrottlingError" | "ProvisionedThroughputExceeded")) {
        Err(WriteFailure::Error(Error::Busy { what: WHAT, why }))
    } else {
        Err(WriteFailure::Error(Error::Failed { what: WHAT, why }))
    }
}

fn number(value: u64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_condition_takes_precedence_over_conflicts_and_throttling() {
        let classify = |codes: &[&'static str]| classify_cancellation(codes.iter().copied());
        assert!(matches!(classify(&["TransactionConflict", "ConditionalCheckFailed"]), Ok(false)));
        assert!(matches!(classify(&["None", "TransactionConflict"]), Err(WriteFailure::Conflict(Error::Busy { .. }))));
        assert!(matches!(classify(&["ThrottlingError", "None"]), Err(WriteFailure::Error(Error::Busy { .. }))));
        assert!(matches!(classify(&["ValidationError"]), Err(WriteFailure::Error(Error::Failed { .. }))));
    }
}
