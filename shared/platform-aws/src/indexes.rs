//! Queries of the table's indexes, and deletions.

use aws_sdk_dynamodb::types::{AttributeValue, Delete, DeleteRequest, TransactWriteItem, WriteRequest};
use backon::BackoffBuilder;
use quire_platform::{Error, Result};
use quire_tasks::{PageRef, TaskId};

use crate::{
    dynamo::{DynamoClient, MAX_BATCH_ITEMS, back_off, conflict_backoff},
    fault::{error_chain, to_error},
    items::{
        BY_EXPIRY, BY_TENANT, EXPIRES_AT_MILLIS, LISTED, PAGES, PARTITION, SHARD, SORT, TENANT, TableItem, WHAT,
        page_key,
    },
};

/// The maximum number of deletions in a `BatchWriteItem` call.
const BATCH: usize = 25;
/// The page size of index queries.
const PAGE: usize = 1000;

impl DynamoClient {
    /// Returns the keys of up to `limit` tasks of a tenant, newest first, starting after the position `after` and
    /// ending at `since`.
    pub(crate) async fn newest(
        &self,
        tenant: &str,
        since: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<TableItem>> {
        // The colon sorts after every digit.
        let upper = after.unwrap_or(":");
        if since > upper {
            return Ok(Vec::new());
        }
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(BY_TENANT)
            .scan_index_forward(false)
            // One more, since `BETWEEN` includes the upper bound, which is dropped.
            .limit(limit.saturating_add(1).min(PAGE) as i32)
            .key_condition_expression("#t = :t AND #l BETWEEN :a AND :b")
            .expression_attribute_names("#t", TENANT)
            .expression_attribute_names("#l", LISTED)
            .expression_attribute_values(":t", AttributeValue::S(tenant.to_owned()))
            .expression_attribute_values(":a", AttributeValue::S(since.to_owned()))
            .expression_attribute_values(":b", AttributeValue::S(upper.to_owned()));
        let mut found = query.into_paginator().items().send();
        let mut keys = Vec::new();
        while keys.len() < limit
            && let Some(item) = found.next().await
        {
            let item = item.map_err(|error| to_error(WHAT, &error))?;
            let at_the_end = item.get(LISTED).and_then(|place| place.as_s().ok()).is_some_and(|place| place == upper);
            keys.extend(Some(item).filter(|_| !at_the_end));
        }
        Ok(keys)
    }

    /// Returns the keys and expiry times of up to `limit` tasks of one shard that have expired by `now`, in order.
    pub(crate) async fn expired(&self, shard: u32, now: i64, limit: usize) -> Result<Vec<TableItem>> {
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(BY_EXPIRY)
            .limit(limit.clamp(1, PAGE) as i32)
            .key_condition_expression("#s = :s AND #e <= :now")
            .expression_attribute_names("#s", SHARD)
            .expression_attribute_names("#e", EXPIRES_AT_MILLIS)
            .expression_attribute_values(":s", AttributeValue::S(shard.to_string()))
            .expression_attribute_values(":now", AttributeValue::N(now.to_string()));
        let mut found = query.into_paginator().items().send();
        let mut keys = Vec::new();
        while keys.len() < limit
            && let Some(item) = found.next().await
        {
            keys.push(item.map_err(|error| to_error(WHAT, &error))?);
        }
        Ok(keys)
    }

    /// Returns up to [`PAGE`] keys of the items of a partition, in order, after this sort key.
    pub(crate) async fn keys(&self, partition: String, after: Option<&str>) -> Result<Vec<TableItem>> {
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .consistent_read(true)
            .limit(PAGE as i32)
            .key_condition_expression("#p = :p AND #s > :s")
            .projection_expression("#p, #s")
            .expression_attribute_names("#p", PARTITION)
            .expression_attribute_names("#s", SORT)
            .expression_attribute_values(":p", AttributeValue::S(partition))
            // All sort keys begin with a letter.
            .expression_attribute_values(":s", AttributeValue::S(after.unwrap_or(" ").to_owned()));
        let keys = query.send().await.map_err(|error| to_error(WHAT, &error))?;
        Ok(keys.items.unwrap_or_default())
    }

    /// Returns up to `limit` items of a task's pages, in order, after this page.
    pub(crate) async fn pages_after(&self, id: TaskId, after: Option<PageRef>, limit: usize) -> Result<Vec<TableItem>> {
        let first = PageRef { task_id: id, document: 0, page: 0 };
        let after = page_key(after.unwrap_or(first)).remove(SORT).unwrap_or(AttributeValue::Null(true));
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .consistent_read(true)
            // One more, since `BETWEEN` includes its bounds.
            .limit(limit.saturating_add(1).min(PAGE) as i32)
            .key_condition_expression("#p = :p AND #s BETWEEN :a AND :b")
            .expression_attribute_names("#p", PARTITION)
            .expression_attribute_names("#s", SORT)
            .expression_attribute_values(":p", AttributeValue::S(id.to_string()))
            .expression_attribute_values(":a", after.clone())
            .expression_attribute_values(":b", AttributeValue::S(format!("{PAGES}~")));
        let mut found = query.into_paginator().items().send();
        let mut items = Vec::new();
        while items.len() < limit
            && let Some(item) = found.next().await
        {
            let item = item.map_err(|error| to_error(WHAT, &error))?;
            items.extend(Some(item).filter(|item| item.get(SORT) != Some(&after)));
        }
        Ok(items)
    }

    /// Deletes the items with these keys, in batches that are not atomic.
    pub(crate) async fn delete(&self, keys: Vec<TableItem>) -> Result<()> {
        for keys in keys.chunks(BATCH) {
            let mut left = keys.iter().map(|key| delete_request(key.clone())).collect::<Result<Vec<_>>>()?;
            let mut waits = conflict_backoff().build();
            while !left.is_empty() {
                let deleted = self.client.batch_write_item().request_items(&self.table, left).send().await;
                let deleted = deleted.map_err(|error| to_error(WHAT, &error))?;
                left = deleted.unprocessed_items.into_iter().flatten().flat_map(|(_, left)| left).collect();
                if !left.is_empty() {
                    back_off(&mut waits, || "deletions stay unprocessed".to_owned()).await?;
                }
            }
        }
        Ok(())
    }

    /// Deletes the items with these keys. Only the last ones, up to the size of a transaction, are deleted atomically.
    pub(crate) async fn delete_together(&self, mut keys: Vec<TableItem>) -> Result<()> {
        let last = keys.split_off(keys.len().saturating_sub(MAX_BATCH_ITEMS));
        self.delete(keys).await?;
        if last.is_empty() {
            return Ok(());
        }
        let delete = |key: TableItem| {
            let delete = Delete::builder().table_name(&self.table).set_key(Some(key)).build();
            let delete = delete.map_err(|error| Error::Failed { what: WHAT, why: error_chain(&error) })?;
            Ok(TransactWriteItem::builder().delete(delete).build())
        };
        self.transact(last.into_iter().map(delete).collect::<Result<_>>()?).await.map(drop)
    }
}

fn delete_request(key: TableItem) -> Result<WriteRequest> {
    let delete = DeleteRequest::builder().set_key(Some(key)).build();
    let delete = delete.map_err(|error| Error::Failed { what: WHAT, why: error_chain(&error) })?;
    Ok(WriteRequest::builder().delete_request(delete).build())
}
