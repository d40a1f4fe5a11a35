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
    disk_cache::DiskCache,
    fault::{error_chain, to_error},
};

pub(crate) const WHAT: &str = "object store";
/// The part size of multipart uploads. A failed part is retried alone; 500 MB are 32 of at most 10,000 parts.
const PART_BYTES: u64 = 16 * 1024 * 1024;
/// The number of attempts after a conflicting write to the same key, and the first wait, which doubles.
const MAX_CONFLICTS: u32 = 6;
const CONFLICT_WAIT: Duration = Duration::from_millis(50);

/// The object store in a bucket. Local copies are cached by key until this process replaces the object: no key is
/// rewritten after another process may have read it.
#[derive(Debug)]
pub(crate) struct S3Objects {
    pub(crate) client: Client,
    pub(crate) bucket: String,
    pub(crate) cache: DiskCache,
}

impl S3Objects {
    pub(crate) fn new(client: Client, bucket: String, cache_bytes: u64) -> Result<Self> {
        let cache = DiskCache::new(cache_bytes).map_err(|error| file_error("the cache's folder", &error))?;
        Ok(Self { client, bucket, cache })
    }

    async fn object(&self, key: &str, version: Option<&str>) -> Result<GetObjectOutput> {
        let version = version.map(str::to_owned);
        let object = self.client.get_object().bucket(&self.bucket).key(key).set_version_id(version).send().await;
        object.map_err(|error| match error.code() {
            // A version that is a delete marker cannot be read (405).
            Some("NoSuchKey" | "NoSuchVersion" | "MethodNotAllowed") => Error::NotFound { what: key.to_owned() },
            _ => to_error(WHAT, &error),
        })
    }

    async fn fetch(&self, key: &str, mut body: ByteStream, place: &Path) -> Result<u64> {
        let mut file = File::create(place).await.map_err(|error| file_error(key, &error))?;
        let mut bytes = 0;
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(|error| Error::Busy { what: WHAT, why: error_chain(&error) })?;
            bytes += chunk.len() as u64;
            file.write_all(&chunk).await.map_err(|error| file_error(key, &error))?;
        }
        file.flush().await.map_err(|error| file_error(key, &error))?;
        Ok(bytes)
    }

    async fn put_stream(&self, key: &str, body: ByteStream) -> Result<()> {
        let put = self.client.put_object().bucket(&self.bucket).key(key).body(body).send().await;
        self.cache.remove(key);
        put.map(drop).map_err(|error| to_error(WHAT, &error))
    }

    async fn put_in_parts(&self, key: &str, file: &Path, size: u64) -> Result<()> {
        let upload = self.client.create_multipart_upload().bucket(&self.bucket).key(key).send().await;
        let upload = upload.map_err(|error| to_error(WHAT, &error))?;
        let id = upload.upload_id().unwrap_or_default();
        let done = self.put_parts(key, id, file, size).await;
        if done.is_err() {
            // Parts are billed until the upload is aborted; the bucket's lifecycle rule cleans up the rest.
            let abort = self.client.abort_multipart_upload().bucket(&self.bucket).key(key).upload_id(id).send().await;
            if let Err(error) = abort {
                let error = to_error(WHAT, &error);
                tracing::warn!(%error, "cannot abort a failed multipart upload; its parts are left");
            }
        }
        self.cache.remove(key);
        done
    }

    async fn put_parts(&self, key: &str, id: &str, file: &Path, size: u64) -> Result<()> {
        let mut parts = Vec::new();
        for (number, offset) in (1..).zip((0..size).step_by(PART_BYTES as usize)) {
            // A retry of the whole file would upload all other parts again.
            let put = || self.put_part(key, id, file, number, offset..size.min(offset + PART_BYTES));
            parts.push(quire_platform::retry_with_backoff(put).await?);
        }
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let complete = self.client.complete_multipart_upload().bucket(&self.bucket).key(key).upload_id(id);
        complete.multipart_upload(parts).send().await.map(drop).map_err(|error| to_error(WHAT, &error))
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
        let body = body.map_err(|error| file_error(key, &error))?;
        let part = self.client.upload_part().bucket(&self.bucket).key(key).upload_id(id).part_number(number).body(body);
        let part = part.send().await.map_err(|error| to_error(WHAT, &error))?;
        Ok(CompletedPart::builder()
            .part_number(number)
            .set_e_tag(part.e_tag)
            .set_checksum_crc32(part.checksum_crc32)
            .build())
    }
}

/// Returns a `Content-Disposition` header that makes browsers save the file. Other characters become `_`.
fn attachment_header(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_. ".contains(c) { c } else { '_' };
    format!("attachment; filename=\"{}\"", name.chars().map(plain).collect::<String>())
}

/// Converts an error of the local file system.
fn file_error(what: &str, error: &(dyn std::error::Error + 'static)) -> Error {
    let io = error.downcast_ref::<std::io::Error>().or_else(|| error.source()?.downcast_ref());
    match io.map(std::io::Error::kind) {
        Some(std::io::ErrorKind::StorageFull) => Error::Full { what: WHAT },
        _ => Error::Failed { what: WHAT, why: format!("{what}: {}", error_chain(error)) },
    }
}

#[async_trait]
impl ObjectStore for S3Objects {
    async fn put(&self, key: &str, bytes: Bytes) -> Result<()> {
        self.put_stream(key, bytes.into()).await
    }

    async fn put_new(&self, key: &str, bytes: Bytes) -> Result<bool> {
        for collision in 0..MAX_CONFLICTS {
            let put = self.client.put_object().bucket(&self.bucket).key(key).if_none_match("*");
            match put.body(bytes.clone().into()).send().await {
                Ok(_) => return Ok(true),
                Err(error) if error.code() == Some("PreconditionFailed") => return Ok(false),
                // Another writer is active, and may still fail.
                Err(error) if error.code() == Some("ConditionalRequestConflict") => {
                    tokio::time::sleep(CONFLICT_WAIT * 2_u32.pow(collision)).await;
                }
                Err(error) => return Err(to_error(WHAT, &error)),
            }
        }
        Err(Error::Busy { what: WHAT, why: "too many conflicting writes".to_owned() })
    }

    async fn put_file(&self, key: &str, file: &Path) -> Result<()> {
        let size = tokio::fs::metadata(file).await.map_err(|error| file_error(key, &error))?.len();
        if size > PART_BYTES {
            return self.put_in_parts(key, file, size).await;
        }
        let body = ByteStream::from_path(file).await.map_err(|error| file_error(key, &error))?;
        self.put_stream(key, body).await
    }

    async fn read(&self, key: &str) -> Result<Bytes> {
        let body = self.object(key, None).await?.body.collect().await;
        // An interrupted download is a transient error.
        body.map(aws_sdk_s3::primitives::AggregatedBytes::into_bytes)
            .map_err(|error| Error::Busy { what: WHAT, why: error_chain(&error) })
    }

    async fn local_file(&self, key: &str) -> Result<PathBuf> {
        let fetch = async |place: PathBuf| self.fetch(key, self.object(key, None).await?.body, &place).await;
        self.cache.file(key, fetch).await
    }

    async fn download(&self, key: &str, version: Option<&str>, max_bytes: u64, into: &Path) -> Result<Download> {
        let object = self.object(key, version).await?;
        // `Content-Length` is known before the body, and S3 sends no more than that.
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
        let config = config.map_err(|error| Error::Failed { what: WHAT, why: error_chain(&error) })?;
        let put = self.client.put_object().bucket(&self.bucket).key(key);
        let put = put.content_type(content_type).content_length(bytes as i64).presigned(config).await;
        let put = put.map_err(|error| to_error(WHAT, &error))?;
        let headers = put.headers().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Ok(Some(UploadUrl { url: put.uri().to_owned(), headers }))
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>> {
        let mut pages = self.client.list_objects_v2().bucket(&self.bucket).prefix(prefix).into_paginator().send();
        let mut keys = Vec::new();
        while let Some(page) = pages.next().await {
            let objects = page.map_err(|error| to_error(WHAT, &error))?.contents.unwrap_or_default();
            keys.extend(objects.into_iter().filter_map(|object| object.key));
        }
        keys.sort_unstable();
        Ok(keys)
    }

    async fn delete(&self, key: &str) -> Result<()> {
        let deleted = self.client.delete_object().bucket(&self.bucket).key(key).send().await;
        self.cache.remove(key);
        deleted.map(drop).map_err(|error| to_error(WHAT, &error))
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
        let config = config.map_err(|error| Error::Failed { what: WHAT, why: error_chain(&error) })?;
        let get = self.client.get_object().bucket(&self.bucket).key(key).response_content_type(content_type);
        let get = get.response_content_disposition(attachment_header(file_name)).presigned(config).await;
        get.map(|get| Some(get.uri().to_owned())).map_err(|error| to_error(WHAT, &error))
    }

    fn spool(&self) -> PathBuf {
        self.cache.spool()
    }
}
