//! The bucket, the table and the queues, made where no Terraform does it.

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
    fault::{chain, fault},
    items::{
        BY_EXPIRY, BY_TENANT, CREATED_AT, EXPIRES_AT, EXPIRES_AT_MILLIS, LISTED, PARTITION, SHARD, SORT, TENANT,
        UNDISPATCHED,
    },
    queue::full_name,
};

/// A new table is ready within seconds.
const LOOKS: u32 = 60;
const LOOK: Duration = Duration::from_secs(1);
/// SQS keeps a message for 14 days at most: as long as somebody may want to look at it.
const RETENTION_SECS: &str = "1209600";

/// The attributes of all keys, with their types.
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
/// Each index with the two attributes of its key. They hold keys only, so that most changes of a task do not write them.
const INDEXES: [(&str, &str, &str); 3] =
    [(UNDISPATCHED, UNDISPATCHED, CREATED_AT), (BY_TENANT, TENANT, LISTED), (BY_EXPIRY, SHARD, EXPIRES_AT_MILLIS)];

/// Makes the bucket.
pub(crate) async fn bucket(client: &aws_sdk_s3::Client, name: &str, region: Option<&Region>) -> Result<()> {
    // Where S3 began needs no name, and takes none.
    let elsewhere = region.map(AsRef::as_ref).filter(|region: &&str| *region != "us-east-1");
    let place = elsewhere.map(|region| {
        let constraint = BucketLocationConstraint::from(region);
        CreateBucketConfiguration::builder().location_constraint(constraint).build()
    });
    match client.create_bucket().bucket(name).set_create_bucket_configuration(place).send().await {
        Err(error) if error.code() != Some("BucketAlreadyOwnedByYou") => Err(fault("bucket", &error)),
        _ => Ok(()),
    }
}

/// Makes the table with its indexes, and waits until it is ready.
pub(crate) async fn table(client: &aws_sdk_dynamodb::Client, name: &str) -> Result<()> {
    const WHAT: &str = "table";
    let built = |error| Error::Failed { what: WHAT, why: chain(&error) };
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
        Err(error) if error.code() != Some("ResourceInUseException") => return Err(fault(WHAT, &error)),
        _ => {}
    }
    for _ in 0..LOOKS {
        let table = client.describe_table().table_name(name).send().await.map_err(|error| fault(WHAT, &error))?;
        if table.table().and_then(|table| table.table_status()) == Some(&TableStatus::Active) {
            return forgetful(client, name).await;
        }
        tokio::time::sleep(LOOK).await;
    }
    Err(Error::Busy { what: WHAT, why: "it is not ready".to_owned() })
}

/// Lets the table forget what has expired. Said twice, it is an error.
async fn forgetful(client: &aws_sdk_dynamodb::Client, name: &str) -> Result<()> {
    const WHAT: &str = "table's time to live";
    let told = client.describe_time_to_live().table_name(name).send().await.map_err(|error| fault(WHAT, &error))?;
    let status = told.time_to_live_description.and_then(|told| told.time_to_live_status);
    if matches!(status, Some(TimeToLiveStatus::Enabled | TimeToLiveStatus::Enabling)) {
        return Ok(());
    }
    let wanted = TimeToLiveSpecification::builder().enabled(true).attribute_name(EXPIRES_AT).build();
    let wanted = wanted.map_err(|error| Error::Failed { what: WHAT, why: chain(&error) })?;
    let update = client.update_time_to_live().table_name(name).time_to_live_specification(wanted);
    update.send().await.map(drop).map_err(|error| fault(WHAT, &error))
}

/// Makes a secret without a value.
pub(crate) async fn secret(client: &aws_sdk_secretsmanager::Client, name: &str) -> Result<()> {
    match client.create_secret().name(name).send().await {
        Err(error) if error.code() != Some("ResourceExistsException") => Err(fault("secret", &error)),
        _ => Ok(()),
    }
}

/// Makes a queue. The one that its dead letters go to must be there.
pub(crate) async fn queue(
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
    create.send().await.map(drop).map_err(|error| fault(WHAT, &error))
}

async fn dead_letter_arn(client: &aws_sdk_sqs::Client, name: &str) -> Result<String> {
    const WHAT: &str = "dead-letter queue";
    let found = client.get_queue_url().queue_name(name).send().await.map_err(|error| fault(WHAT, &error))?;
    let arn = QueueAttributeName::QueueArn;
    let ask = client.get_queue_attributes().set_queue_url(found.queue_url).attribute_names(arn.clone());
    let told = ask.send().await.map_err(|error| fault(WHAT, &error))?.attributes.unwrap_or_default();
    told.get(&arn).cloned().ok_or_else(|| Error::Failed { what: WHAT, why: format!("{name} has no ARN") })
}
