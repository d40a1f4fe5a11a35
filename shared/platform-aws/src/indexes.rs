//! What the table's indexes tell, and how items go.

use aws_sdk_dynamodb::types::{AttributeValue, Delete, DeleteRequest, TransactWriteItem, WriteRequest};
use backon::BackoffBuilder;
use quire_platform::{Error, Result};

use crate::{
    dynamo::{Dynamo, TOGETHER, collisions},
    fault::{chain, fault},
    items::{BY_EXPIRY, BY_TENANT, EXPIRES_AT_MILLIS, Item, LISTED, PARTITION, SHARD, SORT, TENANT, WHAT},
};

/// As many deletions as one call takes.
const BATCH: usize = 25;
/// As many keys as are asked for in one call.
const PAGE: usize = 1000;

impl Dynamo {
    /// The keys of up to `limit` tasks of a tenant, newest first, by their places: from the first behind `after`, to
    /// `since`.
    pub(crate) async fn newest(
        &self,
        tenant: &str,
        since: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Item>> {
        // Behind every digit.
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
            // With the one at the end, which is not meant.
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
            let item = item.map_err(|error| fault(WHAT, &error))?;
            let at_the_end = item.get(LISTED).and_then(|place| place.as_s().ok()).is_some_and(|place| place == upper);
            keys.extend(Some(item).filter(|_| !at_the_end));
        }
        Ok(keys)
    }

    /// The keys of up to `limit` tasks of one shard that have expired by `now`, with when they did, in that order.
    pub(crate) async fn expired(&self, shard: u32, now: i64, limit: usize) -> Result<Vec<Item>> {
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
            keys.push(item.map_err(|error| fault(WHAT, &error))?);
        }
        Ok(keys)
    }

    /// The keys of all items of a partition, in order.
    pub(crate) async fn keys(&self, partition: String) -> Result<Vec<Item>> {
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .consistent_read(true)
            .key_condition_expression("#p = :p")
            .projection_expression("#p, #s")
            .expression_attribute_names("#p", PARTITION)
            .expression_attribute_names("#s", SORT)
            .expression_attribute_values(":p", AttributeValue::S(partition));
        let keys = query.into_paginator().items().send().collect::<Result<Vec<Item>, _>>().await;
        keys.map_err(|error| fault(WHAT, &error))
    }

    /// Deletes the items with these keys, one by one as it were.
    pub(crate) async fn delete(&self, keys: Vec<Item>) -> Result<()> {
        for keys in keys.chunks(BATCH) {
            let mut left = keys.iter().map(|key| delete_request(key.clone())).collect::<Result<Vec<_>>>()?;
            let mut waits = collisions().build();
            while !left.is_empty() {
                let deleted = self.client.batch_write_item().request_items(&self.table, left).send().await;
                let deleted = deleted.map_err(|error| fault(WHAT, &error))?;
                left = deleted.unprocessed_items.into_iter().flatten().flat_map(|(_, left)| left).collect();
                if !left.is_empty() {
                    let busy = || Error::Busy { what: WHAT, why: "deletions stay unprocessed".to_owned() };
                    tokio::time::sleep(waits.next().ok_or_else(busy)?).await;
                }
            }
        }
        Ok(())
    }

    /// Deletes the items with these keys together; of more than a transaction takes, the last ones.
    pub(crate) async fn delete_together(&self, mut keys: Vec<Item>) -> Result<()> {
        let last = keys.split_off(keys.len().saturating_sub(TOGETHER));
        self.delete(keys).await?;
        if last.is_empty() {
            return Ok(());
        }
        let delete = |key: Item| {
            let delete = Delete::builder().table_name(&self.table).set_key(Some(key)).build();
            let delete = delete.map_err(|error| Error::Failed { what: WHAT, why: chain(&error) })?;
            Ok(TransactWriteItem::builder().delete(delete).build())
        };
        self.transact(last.into_iter().map(delete).collect::<Result<_>>()?).await.map(drop)
    }
}

fn delete_request(key: Item) -> Result<WriteRequest> {
    let delete = DeleteRequest::builder().set_key(Some(key)).build();
    let delete = delete.map_err(|error| Error::Failed { what: WHAT, why: chain(&error) })?;
    Ok(WriteRequest::builder().delete_request(delete).build())
}
