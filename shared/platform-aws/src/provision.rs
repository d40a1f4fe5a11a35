//! Creates the bucket, the table and the queues where Terraform does not.

use std::time::Duration;

use aws_config::Region;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection, ProjectionType,
    ScalarAttributeType, TableStatus, TimeToLiveSpecification, TimeToLiveStatus,
};
use aws_sdk_s3::{
    error::ProvideErrorMetadata,
    types::{BucketLocationConstraint, CreateBucketConfiguration},
};
use aws_sdk_sqs::types::QueueAttributeName;
use quire_platform::{Error, QueueName, QueueSettings, Result};

use crate::{
    fault::{error_chain, to_error},
    items::{
        BY_EXPIRY, BY_TENANT, CREATED_AT, EXPIRES_AT, EXPIRES_AT_MILLIS, LISTED, PARTITION, SHARD, SORT, TENANT,
        UNDISPATCHED,
    },
    queue::full_name,
};

/// How often, and at which interval, to check whether a new table is ready. It takes seconds.
const MAX_POLLS: u32 = 60;
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// The message retention period: 14 days, the maximum of SQS.
const RETENTION_SECS: &str = "1209600";

/// The key attributes, with their types.
const ATTRIBUTES: [(&str, &str); 8] = [
    (PARTITION, "S"),
    (SORT, "S"),
    (UNDISPATCHED, "S"),
    (CREATED_AT, "N"),
    (TENANT, "S"),
    (LISTED, "S"),
    (SHARD, "S"),
    (EXPIRES_AT_MILLIS, "N"),
];
/// The indexes, with the two attributes of their keys. They contain keys only, so that most changes of a task do not
/// write to them.
const INDEXES: [(&str, &str, &str); 3] =
    [(UNDISPATCHED, UNDISPATCHED, CREATED_AT), (BY_TENANT, TENANT, LISTED), (BY_EXPIRY, SHARD, EXPIRES_AT_MILLIS)];

/// Creates the bucket.
pub(crate) async fn create_bucket(client: &aws_sdk_s3::Client, name: &str, region: Option<&Region>) -> Result<()> {
    // The default region must not be named as a location constraint.
    let elsewhere = region.map(AsRef::as_ref).filter(|region: &&str| *region != "us-east-1");
    let place = elsewhere.map(|region| {
        let constraint = BucketLocationConstraint::from(region);
        CreateBucketConfiguration::builder().location_constraint(constraint).build()
    });
    match client.create_bucket().bucket(name).set_create_bucket_configuration(place).send().await {
        Err(error) if error.code() != Some("BucketAlreadyOwnedByYou") => Err(to_error("bucket", &error)),
        _ => Ok(()),
    }
}

/// Creates the table with its indexes, and waits until it is active.
pub(crate) async fn create_table(client: &aws_sdk_dynamodb::Client, name: &str) -> Result<()> {
    const WHAT: &str = "table";
    let built = |error| Error::Failed { what: WHAT, why: error_chain(&error) };
    let schema = |hash: &str, range: &str| -> Result<Vec<KeySchemaElement>> {
        let key = |name: &str, kind| KeySchemaElement::builder().attribute_name(name).key_type(kind).build();
        Ok(vec![key(hash, KeyType::Hash).map_err(built)?, key(range, KeyType::Range).map_err(built)?])
    };
    let mut create = client.create_table().table_name(name).billing_mode(BillingMode::PayPerRequest);
    for (name, kind) in ATTRIBUTES {
        let kind = ScalarAttributeType::from(kind);
        let attribute = AttributeDefinition::builder().attribute_name(name).attribute_type(kind).build();
        create = create.attribute_definitions(attribute.map_err(built)?);
    }
    for (name, hash, range) in INDEXES {
        let keys = Projection::builder().projection_type(ProjectionType::KeysOnly).build();
        let index = GlobalSecondaryIndex::builder().index_name(name).projection(keys);
        let index = index.set_key_schema(Some(schema(hash, range)?)).build().map_err(built)?;
        create = create.global_secondary_indexes(index);
    }
    let create = create.set_key_schema(Some(schema(PARTITION, SORT)?));
    match create.send().await {
        Err(error) if error.code() != Some("ResourceInUseException") => return Err(to_error(WHAT, &error)),
        _ => {}
    }
    for _ in 0..MAX_POLLS {
        let table = client.describe_table().table_name(name).send().await.map_err(|error| to_error(WHAT, &error))?;
        if table.table().and_then(|table| table.table_status()) == Some(&TableStatus::Active) {
            return enable_time_to_live(client, name).await;
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    Err(Error::Busy { what: WHAT, why: "the table is not active yet".to_owned() })
}

/// Enables the table's time to live, unless it is enabled: a second request would be an error.
async fn enable_time_to_live(client: &aws_sdk_dynamodb::Client, name: &str) -> Result<()> {
    const WHAT: &str = "table's time to live";
    let found = client.describe_time_to_live().table_name(name).send().await.map_err(|error| to_error(WHAT, &error))?;
    let status = found.time_to_live_description.and_then(|found| found.time_to_live_status);
    if matches!(status, Some(TimeToLiveStatus::Enabled | TimeToLiveStatus::Enabling)) {
        return Ok(());
    }
    let wanted = TimeToLiveSpecification::builder().enabled(true).attribute_name(EXPIRES_AT).build();
    let wanted = wanted.map_err(|error| Error::Failed { what: WHAT, why: error_chain(&error) })?;
    let update = client.update_time_to_live().table_name(name).time_to_live_specification(wanted);
    update.send().await.map(drop).map_err(|error| to_error(WHAT, &error))
}

/// Creates a secret without a value.
pub(crate) async fn create_secret(client: &aws_sdk_secretsmanager::Client, name: &str) -> Result<()> {
    match client.create_secret().name(name).send().await {
        Err(error) if error.code() != Some("ResourceExistsException") => Err(to_error("secret", &error)),
        _ => Ok(()),
    }
}

/// Creates a queue. Its dead-letter queue must exist.
pub(crate) async fn create_queue(
    client: &aws_sdk_sqs::Client,
    prefix: &str,
    name: QueueName,
    settings: QueueSettings,
) -> Result<()> {
    const WHAT: &str = "queue";
    let lease = settings.lease.as_secs().to_string();
    let mut create = client
        .create_queue()
        .queue_name(full_name(prefix, name))
        .attributes(QueueAttributeName::VisibilityTimeout, lease)
        .attributes(QueueAttributeName::MessageRetentionPeriod, RETENTION_SECS);
    if let Some(dead) = name.dead_letter_queue() {
        let arn = dead_letter_arn(client, &full_name(prefix, dead)).await?;
        let redrive = serde_json::json!({ "deadLetterTargetArn": arn, "maxReceiveCount": settings.max_receives });
        create = create.attributes(QueueAttributeName::RedrivePolicy, redrive.to_string());
    }
    create.send().await.map(drop).map_err(|error| to_error(WHAT, &error))
}

async fn dead_letter_arn(client: &aws_sdk_sqs::Client, name: &str) -> Result<String> {
    const WHAT: &str = "dead-letter queue";
    let found = client.get_queue_url().queue_name(name).send().await.map_err(|error| to_error(WHAT, &error))?;
    let arn = QueueAttributeName::QueueArn;
    let request = client.get_queue_attributes().set_queue_url(found.queue_url).attribute_names(arn.clone());
    let found = request.send().await.map_err(|error| to_error(WHAT, &error))?.attributes.unwrap_or_default();
    found.get(&arn).cloned().ok_or_else(|| Error::Failed { what: WHAT, why: format!("{name} has no ARN") })
}
