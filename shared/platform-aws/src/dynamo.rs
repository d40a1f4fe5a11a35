//! The calls to DynamoDB: consistent reads of many items, and transactions.

use std::time::Duration;

use aws_sdk_dynamodb::{
    Client,
    operation::{put_item::PutItemError, transact_write_items::TransactWriteItemsError},
    types::{AttributeValue, ConditionCheck, KeysAndAttributes, Put, TransactWriteItem},
};
use backon::{ExponentialBuilder, Retryable};
use quire_platform::{Error, Result};

use crate::{
    fault::{chain, fault},
    items::{Item, OPEN, PARTITION, ROUND, SETTLED, SORT, VERSION, WHAT},
};

/// As many items as one read takes, and as many actions as one transaction does.
pub(crate) const TOGETHER: usize = 100;
/// Collisions with others in the same moment are over in milliseconds: short waits, many tries, all of them jittered.
const FIRST_WAIT: Duration = Duration::from_millis(10);
const LONGEST_WAIT: Duration = Duration::from_millis(400);
const TRIES: usize = 12;

/// The waits between tries that met others.
pub(crate) fn collisions() -> ExponentialBuilder {
    ExponentialBuilder::default()
        .with_min_delay(FIRST_WAIT)
        .with_max_delay(LONGEST_WAIT)
        .with_max_times(TRIES)
        .with_jitter()
}

/// What must be so for a write.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Condition {
    /// There is no such item.
    Absent,
    /// The page is queued in this round.
    Open(u32),
    /// The task is as it was read.
    Version(u64),
    /// No document was settled and no round begun since it was read.
    Unsettled {
        /// The documents that were settled by then.
        settled: u64,
        /// The round it was in.
        round: u32,
    },
}

/// An expression of DynamoDB's with its names and values.
struct Expression {
    text: &'static str,
    names: Vec<(&'static str, &'static str)>,
    values: Vec<(&'static str, u64)>,
}

impl Condition {
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
            Self::Unsettled { settled, round } => Expression {
                text: "#s = :s AND #r = :r",
                names: vec![("#s", SETTLED), ("#r", ROUND)],
                values: vec![(":s", settled), (":r", round.into())],
            },
        }
    }
}

/// An item to be written, and what must be so for it.
pub(crate) type Write = (Item, Option<Condition>);

/// How a transaction ended that did not take place.
enum Refused {
    /// It met another one.
    Collided(Error),
    Failed(Error),
}

/// The table.
#[derive(Debug, Clone)]
pub(crate) struct Dynamo {
    pub(crate) client: Client,
    pub(crate) table: String,
}

impl Dynamo {
    pub(crate) const fn new(client: Client, table: String) -> Self {
        Self { client, table }
    }

    /// The items with these keys that are there, in any order.
    pub(crate) async fn read(&self, keys: Vec<Item>) -> Result<Vec<Item>> {
        let mut items = Vec::new();
        for keys in keys.chunks(TOGETHER) {
            let mut keys = keys.to_vec();
            let mut waits = backon::BackoffBuilder::build(collisions());
            while !keys.is_empty() {
                let wanted = KeysAndAttributes::builder().set_keys(Some(keys)).consistent_read(true).build();
                let wanted = wanted.map_err(|error| Error::Failed { what: WHAT, why: chain(&error) })?;
                let read = self.client.batch_get_item().request_items(&self.table, wanted).send().await;
                let read = read.map_err(|error| fault(WHAT, &error))?;
                items.extend(read.responses.into_iter().flat_map(std::collections::HashMap::into_values).flatten());
                keys = read.unprocessed_keys.into_iter().flatten().flat_map(|(_, left)| left.keys).collect();
                if !keys.is_empty() {
                    let busy = || Error::Busy { what: WHAT, why: "keys stay unprocessed".to_owned() };
                    tokio::time::sleep(waits.next().ok_or_else(busy)?).await;
                }
            }
        }
        Ok(items)
    }

    /// The items of a task whose sort keys begin with `prefix`, in their order.
    pub(crate) async fn range(&self, partition: String, prefix: &str) -> Result<Vec<Item>> {
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
        let items = query.into_paginator().items().send().collect::<Result<Vec<Item>, _>>().await;
        items.map_err(|error| fault(WHAT, &error))
    }

    /// Up to `limit` keys from an index, of one partition, whose sort value is below `below`, in order.
    pub(crate) async fn index(
        &self,
        (index, partition): (&str, &str),
        sort: &str,
        below: i64,
        limit: usize,
    ) -> Result<Vec<Item>> {
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
            items.push(item.map_err(|error| fault(WHAT, &error))?);
        }
        Ok(items)
    }

    /// Writes items, and last the task's, on its condition; whether the condition held. What does not fit one
    /// transaction goes before it, on `meanwhile`: nobody looks at it until the task's item says so.
    pub(crate) async fn write(
        &self,
        mut items: Vec<Write>,
        task: Item,
        condition: Condition,
        meanwhile: Condition,
    ) -> Result<bool> {
        if items.is_empty() {
            return self.write_one(task, condition).await;
        }
        let last = items.split_off(items.len().saturating_sub(TOGETHER - 1));
        for batch in items.chunks(TOGETHER - 1) {
            let mut actions = vec![self.check(&task, meanwhile)?];
            actions.extend(self.puts(batch.to_vec())?);
            if !self.transact(actions).await? {
                return Ok(false);
            }
        }
        let mut actions = self.puts(last)?;
        actions.push(self.put((task, Some(condition)))?);
        self.transact(actions).await
    }

    /// A write of one item is no transaction: that would cost twice as much.
    async fn write_one(&self, item: Item, condition: Condition) -> Result<bool> {
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
                    Some(PutItemError::TransactionConflictException(_)) => Err(Refused::Collided(fault(WHAT, &error))),
                    _ => Err(Refused::Failed(fault(WHAT, &error))),
                },
            }
        };
        unless_collided(attempt).await
    }

    pub(crate) async fn transact(&self, actions: Vec<TransactWriteItem>) -> Result<bool> {
        let attempt = || async {
            let write = self.client.transact_write_items().set_transact_items(Some(actions.clone()));
            match write.send().await {
                Ok(_) => Ok(true),
                Err(error) => match error.as_service_error() {
                    Some(TransactWriteItemsError::TransactionCanceledException(canceled)) => {
                        verdict(canceled.cancellation_reasons().iter().filter_map(|reason| reason.code()))
                    }
                    _ => Err(Refused::Failed(fault(WHAT, &error))),
                },
            }
        };
        unless_collided(attempt).await
    }

    fn puts(&self, items: Vec<Write>) -> Result<Vec<TransactWriteItem>> {
        items.into_iter().map(|item| self.put(item)).collect()
    }

    fn put(&self, (item, condition): Write) -> Result<TransactWriteItem> {
        let mut put = Put::builder().table_name(&self.table).set_item(Some(item));
        if let Some(Expression { text, names, values }) = condition.map(Condition::expression) {
            put = put.condition_expression(text);
            put = names.into_iter().fold(put, |put, (name, of)| put.expression_attribute_names(name, of));
            put = values.into_iter().fold(put, |put, (name, of)| put.expression_attribute_values(name, number(of)));
        }
        let put = put.build().map_err(|error| Error::Failed { what: WHAT, why: chain(&error) })?;
        Ok(TransactWriteItem::builder().put(put).build())
    }

    fn check(&self, task: &Item, condition: Condition) -> Result<TransactWriteItem> {
        let Expression { text, names, values } = condition.expression();
        let mut check = ConditionCheck::builder().table_name(&self.table).condition_expression(text);
        for name in [PARTITION, SORT] {
            check = check.key(name, task.get(name).cloned().unwrap_or(AttributeValue::Null(true)));
        }
        check = names.into_iter().fold(check, |check, (name, of)| check.expression_attribute_names(name, of));
        check = values.into_iter().fold(check, |check, (name, of)| check.expression_attribute_values(name, number(of)));
        let check = check.build().map_err(|error| Error::Failed { what: WHAT, why: chain(&error) })?;
        Ok(TransactWriteItem::builder().condition_check(check).build())
    }
}

/// Tries again for as long as a write meets others.
async fn unless_collided<F>(attempt: impl FnMut() -> F) -> Result<bool>
where
    F: Future<Output = Result<bool, Refused>>,
{
    let done = attempt.retry(collisions()).when(|refused| matches!(refused, Refused::Collided(_))).await;
    done.map_err(|(Refused::Collided(error) | Refused::Failed(error))| error)
}

/// Why a transaction was canceled, by the codes of its actions. A condition that does not hold decides: to try again
/// without looking would not help.
fn verdict<'a>(codes: impl Iterator<Item = &'a str>) -> Result<bool, Refused> {
    let codes: Vec<&str> = codes.filter(|&code| code != "None").collect();
    let why = codes.join(", ");
    if codes.contains(&"ConditionalCheckFailed") {
        Ok(false)
    } else if codes.contains(&"TransactionConflict") {
        Err(Refused::Collided(Error::Busy { what: WHAT, why }))
    } else if codes.iter().any(|code| matches!(*code, "ThrottlingError" | "ProvisionedThroughputExceeded")) {
        Err(Refused::Failed(Error::Busy { what: WHAT, why }))
    } else {
        Err(Refused::Failed(Error::Failed { what: WHAT, why }))
    }
}

fn number(value: u64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_decides_a_collision_is_tried_again_and_throttling_is_waited_out() {
        let verdict = |codes: &[&'static str]| super::verdict(codes.iter().copied());
        assert!(matches!(verdict(&["TransactionConflict", "ConditionalCheckFailed"]), Ok(false)));
        assert!(matches!(verdict(&["None", "TransactionConflict"]), Err(Refused::Collided(Error::Busy { .. }))));
        assert!(matches!(verdict(&["ThrottlingError", "None"]), Err(Refused::Failed(Error::Busy { .. }))));
        assert!(matches!(verdict(&["ValidationError"]), Err(Refused::Failed(Error::Failed { .. }))));
    }
}
