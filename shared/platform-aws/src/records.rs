//! The record store, in the same table as the tasks.
//!
//! ```text
//! pk                       sk       item
//! shelf#review             a key    a record: its body, version and expiry
//! shelf#deliveries#task_…  a key    the same in a partitioned collection: each partition has its own partition key
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
    dynamo::DynamoClient,
    fault::to_error,
    items::{EXPIRES_AT, EXPIRES_AT_MILLIS, PARTITION, RECORD, SORT, TableItem, VERSION, number, text},
};

const WHAT: &str = "records";
/// The page size of lists.
const PAGE: usize = 1000;

/// The record store.
#[derive(Debug)]
pub(crate) struct DynamoRecords {
    dynamo: DynamoClient,
}

/// The condition of a write.
#[derive(Debug, Clone, Copy)]
enum RecordCondition {
    Absent,
    Exists,
    HasVersion(u64),
}

/// A condition expression with its names and values.
struct Expression {
    text: &'static str,
    names: HashMap<String, String>,
    values: TableItem,
}

impl DynamoRecords {
    pub(crate) const fn new(dynamo: DynamoClient) -> Self {
        Self { dynamo }
    }

    async fn write(&self, item: TableItem, must: Option<RecordCondition>) -> Result<bool> {
        let mut put = self.dynamo.client.put_item().table_name(&self.dynamo.table).set_item(Some(item));
        if let Some(Expression { text, names, values }) = must.map(RecordCondition::expression) {
            put = put.condition_expression(text).set_expression_attribute_names(Some(names));
            put = put.set_expression_attribute_values(Some(values));
        }
        condition_held(put.send().await)
    }
}

impl RecordCondition {
    fn expression(self) -> Expression {
        let text = match self {
            Self::Absent => "attribute_not_exists(#k) OR #e <= :now",
            Self::Exists => "attribute_exists(#k) AND (attribute_not_exists(#e) OR #e > :now)",
            Self::HasVersion(_) => "attribute_exists(#k) AND #v = :v AND (attribute_not_exists(#e) OR #e > :now)",
        };
        let mut names = HashMap::from([("#k", PARTITION), ("#e", EXPIRES_AT_MILLIS)]);
        let mut values = HashMap::from([(":now".to_owned(), AttributeValue::N(now().0.to_string()))]);
        if let Self::HasVersion(version) = self {
            names.insert("#v", VERSION);
            values.insert(":v".to_owned(), AttributeValue::N(version.to_string()));
        }
        let names = names.into_iter().map(|(name, of)| (name.to_owned(), of.to_owned())).collect();
        Expression { text, names, values }
    }
}

#[async_trait]
impl RecordStore for DynamoRecords {
    async fn read(&self, collection: Collection, key: &str) -> Result<Option<Record>> {
        validate_key(collection, key)?;
        let items = self.dynamo.read(vec![place(collection, key)]).await?;
        items.first().map_or(Ok(None), record)
    }

    async fn put(
        &self,
        collection: Collection,
        key: &str,
        body: String,
        seen: Option<u64>,
        expires_at: Option<UnixMillis>,
    ) -> Result<bool> {
        self.write(
            item(collection, key, body, expires_at)?,
            Some(seen.map_or(RecordCondition::Absent, RecordCondition::HasVersion)),
        )
        .await
    }

    async fn set(&self, collection: Collection, key: &str, body: String, expires_at: Option<UnixMillis>) -> Result<()> {
        self.write(item(collection, key, body, expires_at)?, None).await.map(drop)
    }

    async fn delete(&self, collection: Collection, key: &str, seen: Option<u64>) -> Result<bool> {
        validate_key(collection, key)?;
        let Expression { text, names, values } =
            seen.map_or(RecordCondition::Exists, RecordCondition::HasVersion).expression();
        let delete =
            self.dynamo.client.delete_item().table_name(&self.dynamo.table).set_key(Some(place(collection, key)));
        let delete = delete.condition_expression(text).set_expression_attribute_names(Some(names));
        condition_held(delete.set_expression_attribute_values(Some(values)).send().await)
    }

    async fn list(&self, collection: Collection, after: Option<&str>, limit: usize) -> Result<Vec<Record>> {
        validate_list(collection, after)?;
        // All keys are visible ASCII, i.e. between the space and DEL.
        self.range(collection_partition(collection), after.unwrap_or(" "), "\x7f", limit).await
    }

    async fn list_partition(
        &self,
        collection: Collection,
        partition: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Record>> {
        let prefix = partition_prefix(collection, partition, after)?;
        let after = after.filter(|after| **after > *prefix).unwrap_or(&prefix);
        self.range(partition_key(collection, &prefix), after, &partition_end(&prefix), limit).await
    }
}

impl DynamoRecords {
    /// Returns records of a partition between two keys, exclusive.
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
            // Two more, since `BETWEEN` includes its bounds, which are dropped.
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
            let record = record(&item.map_err(|error| to_error(WHAT, &error))?)?;
            records.extend(record.filter(|record| record.key != after && record.key != below));
        }
        Ok(records)
    }
}

fn collection_partition(collection: Collection) -> String {
    format!("shelf#{}", collection.as_str())
}

/// Returns the partition key of a record's key, or of the prefix of a partition's keys.
fn partition_key(collection: Collection, key: &str) -> String {
    match key.split_once('/').filter(|_| collection.is_partitioned()) {
        Some((partition, _)) => format!("{}#{partition}", collection_partition(collection)),
        None => collection_partition(collection),
    }
}

fn place(collection: Collection, key: &str) -> TableItem {
    let pair = |name: &str, value| (name.to_owned(), AttributeValue::S(value));
    HashMap::from([pair(PARTITION, partition_key(collection, key)), pair(SORT, key.to_owned())])
}

fn item(collection: Collection, key: &str, body: String, expires_at: Option<UnixMillis>) -> Result<TableItem> {
    validate_key(collection, key)?;
    validate_body(&body)?;
    let mut item = place(collection, key);
    item.insert(RECORD.to_owned(), AttributeValue::S(body));
    item.insert(VERSION.to_owned(), AttributeValue::N(new_version().to_string()));
    if let Some(UnixMillis(at)) = expires_at {
        item.insert(EXPIRES_AT_MILLIS.to_owned(), AttributeValue::N(at.to_string()));
        // Rounded up, so that no record is deleted before its expiry.
        item.insert(EXPIRES_AT.to_owned(), AttributeValue::N((at.div_euclid(1000) + 1).to_string()));
    }
    Ok(item)
}

/// Parses a record, or returns `None` if it has expired.
fn record(item: &TableItem) -> Result<Option<Record>> {
    let expires_at = item.get(EXPIRES_AT_MILLIS).and_then(|value| value.as_n().ok()?.parse().ok());
    if expires_at.is_some_and(|at: i64| at <= now().0) {
        return Ok(None);
    }
    let key = text(item, SORT)?.to_owned();
    let body = text(item, RECORD)?.to_owned();
    Ok(Some(Record { key, version: number(item, VERSION)?, body }))
}

/// Returns whether the write succeeded. A failed condition is not an error.
fn condition_held<T, E>(answer: Result<T, SdkError<E>>) -> Result<bool>
where
    E: ProvideErrorMetadata + StdError + 'static,
{
    match answer {
        Ok(_) => Ok(true),
        Err(error) if error.code() == Some("ConditionalCheckFailedException") => Ok(false),
        Err(error) => Err(to_error(WHAT, &error)),
    }
}
