//! The records, in the same table as the tasks.
//!
//! ```text
//! pk                       sk       holds
//! shelf#review             a key    a record: its body, version, and when it expires
//! shelf#deliveries#task_…  a key    the same on a spread shelf: each room is a partition of its own
//! ```

use std::{collections::HashMap, error::Error as StdError};

use async_trait::async_trait;
use aws_sdk_dynamodb::{
    error::{ProvideErrorMetadata, SdkError},
    types::AttributeValue,
};
use quire_platform::{
    Collection, Record, RecordStore, Result, now,
    records::{new_version, partition_end, partition_prefix, validate_body, validate_key, validate_list},
};
use quire_tasks::UnixMillis;

use crate::{
    dynamo::Dynamo,
    fault::fault,
    items::{EXPIRES_AT, EXPIRES_AT_MILLIS, Item, PARTITION, RECORD, SORT, VERSION, number, text},
};

const WHAT: &str = "records";
/// As many records as one page of a list has.
const PAGE: usize = 1000;

/// The shelves.
#[derive(Debug)]
pub(crate) struct DynamoShelves {
    dynamo: Dynamo,
}

/// What must be so of a record for a write.
#[derive(Debug, Clone, Copy)]
enum Must {
    Lack,
    Exist,
    Match(u64),
}

/// An expression of DynamoDB's with its names and values.
struct Expression {
    text: &'static str,
    names: HashMap<String, String>,
    values: Item,
}

impl DynamoShelves {
    pub(crate) const fn new(dynamo: Dynamo) -> Self {
        Self { dynamo }
    }

    async fn write(&self, item: Item, must: Option<Must>) -> Result<bool> {
        let mut put = self.dynamo.client.put_item().table_name(&self.dynamo.table).set_item(Some(item));
        if let Some(Expression { text, names, values }) = must.map(Must::expression) {
            put = put.condition_expression(text).set_expression_attribute_names(Some(names));
            put = put.set_expression_attribute_values(Some(values));
        }
        unless_refused(put.send().await)
    }
}

impl Must {
    fn expression(self) -> Expression {
        let text = match self {
            Self::Lack => "attribute_not_exists(#k) OR #e <= :now",
            Self::Exist => "attribute_exists(#k) AND (attribute_not_exists(#e) OR #e > :now)",
            Self::Match(_) => "attribute_exists(#k) AND #v = :v AND (attribute_not_exists(#e) OR #e > :now)",
        };
        let mut names = HashMap::from([("#k", PARTITION), ("#e", EXPIRES_AT_MILLIS)]);
        let mut values = HashMap::from([(":now".to_owned(), AttributeValue::N(now().0.to_string()))]);
        if let Self::Match(version) = self {
            names.insert("#v", VERSION);
            values.insert(":v".to_owned(), AttributeValue::N(version.to_string()));
        }
        let names = names.into_iter().map(|(name, of)| (name.to_owned(), of.to_owned())).collect();
        Expression { text, names, values }
    }
}

#[async_trait]
impl RecordStore for DynamoShelves {
    async fn read(&self, on: Collection, key: &str) -> Result<Option<Record>> {
        validate_key(on, key)?;
        let items = self.dynamo.read(vec![place(on, key)]).await?;
        items.first().map_or(Ok(None), record)
    }

    async fn put(
        &self,
        on: Collection,
        key: &str,
        body: String,
        seen: Option<u64>,
        expires_at: Option<UnixMillis>,
    ) -> Result<bool> {
        self.write(item(on, key, body, expires_at)?, Some(seen.map_or(Must::Lack, Must::Match))).await
    }

    async fn set(&self, on: Collection, key: &str, body: String, expires_at: Option<UnixMillis>) -> Result<()> {
        self.write(item(on, key, body, expires_at)?, None).await.map(drop)
    }

    async fn delete(&self, on: Collection, key: &str, seen: Option<u64>) -> Result<bool> {
        validate_key(on, key)?;
        let Expression { text, names, values } = seen.map_or(Must::Exist, Must::Match).expression();
        let delete = self.dynamo.client.delete_item().table_name(&self.dynamo.table).set_key(Some(place(on, key)));
        let delete = delete.condition_expression(text).set_expression_attribute_names(Some(names));
        unless_refused(delete.set_expression_attribute_values(Some(values)).send().await)
    }

    async fn list(&self, on: Collection, after: Option<&str>, limit: usize) -> Result<Vec<Record>> {
        validate_list(on, after)?;
        // Every key lies behind a blank, and before this one.
        self.range(shelf_partition(on), after.unwrap_or(" "), "\x7f", limit).await
    }

    async fn list_partition(
        &self,
        on: Collection,
        room: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Record>> {
        let prefix = partition_prefix(on, room, after)?;
        let after = after.filter(|after| **after > *prefix).unwrap_or(&prefix);
        self.range(partition(on, &prefix), after, &partition_end(&prefix), limit).await
    }
}

impl DynamoShelves {
    /// Records of a partition between two keys, without these.
    async fn range(&self, partition: String, after: &str, below: &str, limit: usize) -> Result<Vec<Record>> {
        if after >= below {
            return Ok(Vec::new());
        }
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let query = self
            .dynamo
            .client
            .query()
            .table_name(&self.dynamo.table)
            .consistent_read(true)
            // With the two at its ends, which are not meant.
            .limit(limit.saturating_add(2).min(PAGE) as i32)
            .key_condition_expression("#p = :p AND #s BETWEEN :a AND :b")
            .expression_attribute_names("#p", PARTITION)
            .expression_attribute_names("#s", SORT)
            .expression_attribute_values(":p", AttributeValue::S(partition))
            .expression_attribute_values(":a", text(after))
            .expression_attribute_values(":b", text(below));
        let mut found = query.into_paginator().items().send();
        let mut records = Vec::new();
        while records.len() < limit
            && let Some(item) = found.next().await
        {
            let record = record(&item.map_err(|error| fault(WHAT, &error))?)?;
            records.extend(record.filter(|record| record.key != after && record.key != below));
        }
        Ok(records)
    }
}

fn shelf_partition(shelf: Collection) -> String {
    format!("shelf#{}", shelf.as_str())
}

/// Where a key, or what the keys of a room begin with, lies.
fn partition(shelf: Collection, key: &str) -> String {
    match key.split_once('/').filter(|_| shelf.is_partitioned()) {
        Some((room, _)) => format!("{}#{room}", shelf_partition(shelf)),
        None => shelf_partition(shelf),
    }
}

fn place(shelf: Collection, key: &str) -> Item {
    let pair = |name: &str, value| (name.to_owned(), AttributeValue::S(value));
    HashMap::from([pair(PARTITION, partition(shelf, key)), pair(SORT, key.to_owned())])
}

fn item(shelf: Collection, key: &str, body: String, expires_at: Option<UnixMillis>) -> Result<Item> {
    validate_key(shelf, key)?;
    validate_body(&body)?;
    let mut item = place(shelf, key);
    item.insert(RECORD.to_owned(), AttributeValue::S(body));
    item.insert(VERSION.to_owned(), AttributeValue::N(new_version().to_string()));
    if let Some(UnixMillis(at)) = expires_at {
        item.insert(EXPIRES_AT_MILLIS.to_owned(), AttributeValue::N(at.to_string()));
        // Never before its time.
        item.insert(EXPIRES_AT.to_owned(), AttributeValue::N((at.div_euclid(1000) + 1).to_string()));
    }
    Ok(item)
}

/// What an item says, unless it has expired.
fn record(item: &Item) -> Result<Option<Record>> {
    let expires_at = item.get(EXPIRES_AT_MILLIS).and_then(|value| value.as_n().ok()?.parse().ok());
    if expires_at.is_some_and(|at: i64| at <= now().0) {
        return Ok(None);
    }
    let (key, body) = (text(item, SORT)?.to_owned(), text(item, RECORD)?.to_owned());
    Ok(Some(Record { key, version: number(item, VERSION)?, body }))
}

/// Whether the write took place: a condition that does not hold is an answer.
fn unless_refused<T, E>(answer: Result<T, SdkError<E>>) -> Result<bool>
where
    E: ProvideErrorMetadata + StdError + 'static,
{
    match answer {
        Ok(_) => Ok(true),
        Err(error) if error.code() == Some("ConditionalCheckFailedException") => Ok(false),
        Err(error) => Err(fault(WHAT, &error)),
    }
}
