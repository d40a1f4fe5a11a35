//! The object store on S3.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use async_trait::async_trait;
use aws_sdk_s3::{
    Client,
    error::ProvideErrorMetadata,
    operation::get_object::GetObjectOutput,
    presigning::PresigningConfig,
    primitives::{ByteStream, Length},
    types::{CompletedMultipartUpload, CompletedPart},
};
use bytes::Bytes;
use quire_platform::{Download, Error, ObjectStore, Result, UploadUrl};
use tokio::{fs::File, io::AsyncWriteExt};

use crate::{
    disk_cache::Cache,
    fault::{chain, fault},
};

pub(crate) const WHAT: &str = "object store";
/// Larger files go up in parts of this size: a part that fails costs no more than itself, and 500 MB make 32 of at most
/// 10 000 parts.
const PART: u64 = 16 * 1024 * 1024;
/// How often a write is tried again that met another one to the same key, and the first wait, which doubles.
const COLLISIONS: u32 = 6;
const COLLISION_WAIT: Duration = Duration::from_millis(50);

/// Objects in a bucket. Copies as files are kept by key, as long as this process does not replace the object: no key is
/// written anew once somebody may read it.
#[derive(Debug)]
pub(crate) struct S3Objects {
    pub(crate) client: Client,
    pub(crate) bucket: String,
    pub(crate) cache: Cache,
}

impl S3Objects {
    pub(crate) fn new(client: Client, bucket: String, cache_bytes: u64) -> Result<Self> {
        let cache = Cache::new(cache_bytes).map_err(|error| broken("the cache's folder", &error))?;
        Ok(Self { client, bucket, cache })
    }

    async fn object(&self, key: &str, version: Option<&str>) -> Result<GetObjectOutput> {
        let version = version.map(str::to_owned);
        let object = self.client.get_object().bucket(&self.bucket).key(key).set_version_id(version).send().await;
        object.map_err(|error| match error.code() {
            // A version that is a deletion's mark cannot be got by that method.
            Some("NoSuchKey" | "NoSuchVersion" | "MethodNotAllowed") => Error::NotFound { what: key.to_owned() },
            _ => fault(WHAT, &error),
        })
    }

    async fn fetch(&self, key: &str, mut body: ByteStream, place: &Path) -> Result<u64> {
        let mut file = File::create(place).await.map_err(|error| broken(key, &error))?;
        let mut bytes = 0;
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(|error| Error::Busy { what: WHAT, why: chain(&error) })?;
            bytes += chunk.len() as u64;
            file.write_all(&chunk).await.map_err(|error| broken(key, &error))?;
        }
        file.flush().await.map_err(|error| broken(key, &error))?;
        Ok(bytes)
    }

    async fn put_stream(&self, key: &str, body: ByteStream) -> Result<()> {
        let put = self.client.put_object().bucket(&self.bucket).key(key).body(body).send().await;
        self.cache.forget(key);
        put.map(drop).map_err(|error| fault(WHAT, &error))
    }

    async fn put_in_parts(&self, key: &str, file: &Path, size: u64) -> Result<()> {
        let upload = self.client.create_multipart_upload().bucket(&self.bucket).key(key).send().await;
        let upload = upload.map_err(|error| fault(WHAT, &error))?;
        let id = upload.upload_id().unwrap_or_default();
        let done = self.put_parts(key, id, file, size).await;
        if done.is_err() {
            // Parts are paid for until somebody says that they are not wanted; the bucket's lifecycle gets the rest.
            let abort = self.client.abort_multipart_upload().bucket(&self.bucket).key(key).upload_id(id).send().await;
            if let Err(error) = abort {
                tracing::warn!(error = %fault(WHAT, &error), "the parts of a failed upload stay behind");
            }
        }
        self.cache.forget(key);
        done
    }

    async fn put_parts(&self, key: &str, id: &str, file: &Path, size: u64) -> Result<()> {
        let mut parts = Vec::new();
        for (number, offset) in (1..).zip((0..size).step_by(PART as usize)) {
            // A part is retried here: whoever retries the whole file would send all the others again.
            let put = || self.put_part(key, id, file, number, offset..size.min(offset + PART));
            parts.push(quire_platform::retry_with_backoff(put).await?);
        }
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let complete = self.client.complete_multipart_upload().bucket(&self.bucket).key(key).upload_id(id);
        complete.multipart_upload(parts).send().await.map(drop).map_err(|error| fault(WHAT, &error))
    }

    async fn put_part(
        &self,
        key: &str,
        id: &str,
        file: &Path,
        number: i32,
        range: std::ops::Range<u64>,
    ) -> Result<CompletedPart> {
        let length = Length::Exact(range.end - range.start);
        let body = ByteStream::read_from().path(file).offset(range.start).length(length).build().await;
        let body = body.map_err(|error| broken(key, &error))?;
        let part = self.client.upload_part().bucket(&self.bucket).key(key).upload_id(id).part_number(number).body(body);
        let part = part.send().await.map_err(|error| fault(WHAT, &error))?;
        Ok(CompletedPart::builder()
            .part_number(number)
            .set_e_tag(part.e_tag)
            .set_checksum_crc32(part.checksum_crc32)
            .build())
    }
}

/// A header that makes a browser keep what it fetches as a file. Whatever a header cannot hold becomes `_`.
fn as_file(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_. ".contains(c) { c } else { '_' };
    format!("attachment; filename=\"{}\"", name.chars().map(plain).collect::<String>())
}

/// An error of this machine's files.
fn broken(what: &str, error: &(dyn std::error::Error + 'static)) -> Error {
    let io = error.downcast_ref::<std::io::Error>().or_else(|| error.source()?.downcast_ref());
    match io.map(std::io::Error::kind) {
        Some(std::io::ErrorKind::StorageFull) => Error::Full { what: WHAT },
        _ => Error::Failed { what: WHAT, why: format!("{what}: {}", chain(error)) },
    }
}

#[async_trait]
impl ObjectStore for S3Objects {
    async fn put(&self, key: &str, bytes: Bytes) -> Result<()> {
        self.put_stream(key, bytes.into()).await
    }

    async fn put_new(&self, key: &str, bytes: Bytes) -> Result<bool> {
        for collision in 0..COLLISIONS {
            let put = self.client.put_object().bucket(&self.bucket).key(key).if_none_match("*");
            match put.body(bytes.clone().into()).send().await {
                Ok(_) => return Ok(true),
                Err(error) if error.code() == Some("PreconditionFailed") => return Ok(false),
                // Somebody else writes it right now, and may yet fail.
                Err(error) if error.code() == Some("ConditionalRequestConflict") => {
                    tokio::time::sleep(COLLISION_WAIT * 2_u32.pow(collision)).await;
                }
                Err(error) => return Err(fault(WHAT, &error)),
            }
        }
        Err(Error::Busy { what: WHAT, why: "others keep writing the same object".to_owned() })
    }

    async fn put_file(&self, key: &str, file: &Path) -> Result<()> {
        let size = tokio::fs::metadata(file).await.map_err(|error| broken(key, &error))?.len();
        if size > PART {
            return self.put_in_parts(key, file, size).await;
        }
        let body = ByteStream::from_path(file).await.map_err(|error| broken(key, &error))?;
        self.put_stream(key, body).await
    }

    async fn read(&self, key: &str) -> Result<Bytes> {
        let body = self.object(key, None).await?.body.collect().await;
        // What breaks off in the middle may go through the next time.
        body.map(aws_sdk_s3::primitives::AggregatedBytes::into_bytes)
            .map_err(|error| Error::Busy { what: WHAT, why: chain(&error) })
    }

    async fn local_file(&self, key: &str) -> Result<PathBuf> {
        let fetch = async |place: PathBuf| self.fetch(key, self.object(key, None).await?.body, &place).await;
        self.cache.file(key, fetch).await
    }

    async fn download(&self, key: &str, version: Option<&str>, max_bytes: u64, into: &Path) -> Result<Download> {
        let object = self.object(key, version).await?;
        // S3 says beforehand how long its answers are, and sends no more.
        let bytes = object.content_length().unwrap_or_default().unsigned_abs();
        if bytes > max_bytes {
            return Ok(Download::TooLarge { bytes });
        }
        self.fetch(key, object.body, into).await.map(|bytes| Download::Whole { bytes })
    }

    fn supports_uploads(&self) -> bool {
        true
    }

    async fn upload_url(
        &self,
        key: &str,
        content_type: &str,
        bytes: u64,
        valid_for: Duration,
    ) -> Result<Option<UploadUrl>> {
        let config = PresigningConfig::expires_in(valid_for);
        let config = config.map_err(|error| Error::Failed { what: WHAT, why: chain(&error) })?;
        let put = self.client.put_object().bucket(&self.bucket).key(key);
        let put = put.content_type(content_type).content_length(bytes as i64).presigned(config).await;
        let put = put.map_err(|error| fault(WHAT, &error))?;
        let headers = put.headers().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Ok(Some(UploadUrl { url: put.uri().to_owned(), headers }))
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>> {
        let mut pages = self.client.list_objects_v2().bucket(&self.bucket).prefix(prefix).into_paginator().send();
        let mut keys = Vec::new();
        while let Some(page) = pages.next().await {
            let objects = page.map_err(|error| fault(WHAT, &error))?.contents.unwrap_or_default();
            keys.extend(objects.into_iter().filter_map(|object| object.key));
        }
        keys.sort_unstable();
        Ok(keys)
    }

    async fn delete(&self, key: &str) -> Result<()> {
        let deleted = self.client.delete_object().bucket(&self.bucket).key(key).send().await;
        self.cache.forget(key);
        deleted.map(drop).map_err(|error| fault(WHAT, &error))
    }

    async fn erase(&self, prefix: &str) -> Result<usize> {
        self.erase_all(prefix).await
    }

    async fn erase_version(&self, key: &str, version: Option<&str>) -> Result<()> {
        self.erase_one(key, version).await
    }

    async fn download_url(
        &self,
        key: &str,
        file_name: &str,
        content_type: &str,
        valid_for: Duration,
    ) -> Result<Option<String>> {
        let config = PresigningConfig::expires_in(valid_for);
        let config = config.map_err(|error| Error::Failed { what: WHAT, why: chain(&error) })?;
        let get = self.client.get_object().bucket(&self.bucket).key(key).response_content_type(content_type);
        let get = get.response_content_disposition(as_file(file_name)).presigned(config).await;
        get.map(|get| Some(get.uri().to_owned())).map_err(|error| fault(WHAT, &error))
    }

    fn spool(&self) -> PathBuf {
        self.cache.spool()
    }
}
