//! A depot in S3, or in what speaks its protocol. The only file that names `object_store`, but for the names of its options.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures::{StreamExt, TryStreamExt};
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::path::Path;
use object_store::{
    ClientConfigKey, Error, GetResult, ObjectStore, ObjectStoreExt, PutPayload, RetryConfig,
};
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};
use tokio::fs::File;
use tokio::io::AsyncReadExt;

use super::config::ClientOptions;
use super::error::RegistryError;
use super::shelf::{Entry, Shelf, Stage, is_version};
use crate::blocking::blocking;
use crate::fault;
use crate::model::manifest::{Bundle, BundleError, MANIFEST_FILE, Manifest};

/// Files of this size and more are sent in parts of it.
const PART: usize = 8 << 20;
/// No manifest is larger.
const MOST_MANIFEST: u64 = 64 << 20;
/// How often a request that failed on the way is repeated, and for how long at most.
const RETRIES: usize = 5;
const RETRY_FOR: Duration = Duration::from_secs(240);
/// Longest part of what a server says that is shown.
const MOST_SAID: usize = 300;

/// Bundles as objects: `prefix/version/file`, the manifest written last and deleted first.
#[derive(Debug, Clone)]
pub(super) struct Bucket {
    objects: Arc<dyn ObjectStore>,
    prefix: Path,
    /// `s3://bucket/prefix`, for people.
    url: String,
    cache: Shelf,
}

impl Bucket {
    /// Makes the client; asks nothing of the server yet.
    pub(super) fn open(
        bucket: &str,
        prefix: &str,
        options: &ClientOptions,
        cache: PathBuf,
    ) -> Result<Self, RegistryError> {
        // Fails where one is installed already, which will do as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let retry = RetryConfig {
            max_retries: RETRIES,
            retry_timeout: RETRY_FOR,
            ..RetryConfig::default()
        };
        // A large file takes longer than the client gives a request by default; a server that stands still is noticed all the
        // same.
        let mut builder = AmazonS3Builder::from_env()
            .with_retry(retry)
            .with_config(
                AmazonS3ConfigKey::Client(ClientConfigKey::Timeout),
                "1 hour",
            )
            .with_config(
                AmazonS3ConfigKey::Client(ClientConfigKey::ReadTimeout),
                "2 minutes",
            );
        for (name, value) in options.iter() {
            let key: AmazonS3ConfigKey = name.parse().map_err(|_| {
                RegistryError::Config(format!("[registry.client] has no option {name}"))
            })?;
            builder = builder.with_config(key, value.expose_secret());
        }
        let objects = builder
            .with_bucket_name(bucket)
            // Deleting one by one is what every server of the protocol can.
            .with_config(AmazonS3ConfigKey::DisableBulkDelete, "true")
            .build()
            .map_err(|error| {
                RegistryError::Config(format!(
                    "[registry.client] makes no client for the bucket {bucket}: {}",
                    say(&error)
                ))
            })?;
        Ok(Self::over(Arc::new(objects), bucket, prefix, cache))
    }

    fn over(objects: Arc<dyn ObjectStore>, bucket: &str, prefix: &str, cache: PathBuf) -> Self {
        Self {
            objects,
            prefix: Path::from(prefix),
            url: format!("s3://{bucket}/{prefix}"),
            cache: Shelf::new(cache),
        }
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn cache(&self) -> &Shelf {
        &self.cache
    }

    fn path(&self, version: &str, file: &str) -> Path {
        self.prefix.clone().join(version).join(file)
    }

    /// Sends a bundle, unless it stands there whole; says whether it was sent.
    pub(super) async fn put(&self, bundle: &Bundle) -> Result<bool, RegistryError> {
        let version = &bundle.version;
        let manifest_path = self.path(version, MANIFEST_FILE);
        let had_manifest = match self.manifest(version).await {
            Ok(_) => true,
            Err(RegistryError::Missing { .. }) => false,
            Err(error @ RegistryError::Bucket { .. }) => return Err(error),
            Err(error) => {
                tracing::warn!(%error, "the manifest in the depot is damaged, and is replaced");
                self.delete(&manifest_path).await?;
                false
            }
        };
        let mut complete = had_manifest;
        for (name, sha256) in &bundle.manifest.files {
            let path = self.path(version, name);
            // What an earlier attempt has sent need not be sent again.
            if self.hash(&path).await?.as_deref() == Some(sha256) {
                continue;
            }
            if complete {
                tracing::warn!(object = %path, "the bundle in the depot is damaged, and is sent again");
                self.delete(&manifest_path).await?;
                complete = false;
            }
            self.send(&path, bundle.file(name)).await?;
            match self.hash(&path).await? {
                Some(is) if is == *sha256 => {}
                is => return Err(self.changed(&path, is, sha256)),
            }
            fault::point("bundle-file-copied");
        }
        if complete {
            return Ok(false);
        }
        let path = bundle.file(MANIFEST_FILE);
        let bytes = tokio::fs::read(&path)
            .await
            .map_err(|source| BundleError::Read { path, source })?;
        fault::point("bundle-copied");
        self.objects
            .put(&manifest_path, PutPayload::from(bytes))
            .await
            .map_err(|error| self.failed(&manifest_path, &error))?;
        self.manifest(version).await?;
        Ok(true)
    }

    /// The bundle of a version in the cache, every file of it verified; fetched where the cache lacks it or holds another.
    pub(super) async fn fetch(&self, version: &str) -> Result<Bundle, RegistryError> {
        let (cache, wanted) = (self.cache.clone(), version.to_owned());
        let cached = blocking(move || match cache.get(&wanted) {
            Err(error) => {
                tracing::warn!(%error, "a bundle in the cache is damaged, and is fetched again");
                cache.remove(&wanted).map(|()| None)
            }
            got => got,
        });
        if let Some(bundle) = cached.await? {
            return Ok(bundle);
        }
        let (bytes, manifest) = self.manifest(version).await?;
        let stage = self.cache.stage()?;
        for (name, sha256) in &manifest.files {
            self.receive(&self.path(version, name), &stage, name, sha256)
                .await?;
        }
        let version = version.to_owned();
        blocking(move || stage.finish(&version, &bytes)).await
    }

    /// The manifest of a version, which must be the one of that name.
    async fn manifest(&self, version: &str) -> Result<(Vec<u8>, Manifest), RegistryError> {
        let path = self.path(version, MANIFEST_FILE);
        let Some(object) = self.get(&path).await? else {
            return Err(RegistryError::Missing {
                depot: self.url.clone(),
                version: version.to_owned(),
            });
        };
        let refuse = |reason| RegistryError::Manifest {
            place: self.place(&path),
            reason,
        };
        if object.meta.size > MOST_MANIFEST {
            return Err(refuse(format!("it has {} bytes", object.meta.size)));
        }
        let bytes = object
            .bytes()
            .await
            .map_err(|error| self.failed(&path, &error))?;
        let is = hex::encode(Sha256::digest(&bytes));
        if is != version {
            return Err(self.changed(&path, Some(is), version));
        }
        let manifest = Manifest::parse(&bytes).map_err(refuse)?;
        Ok((bytes.into(), manifest))
    }

    /// All that stands there.
    pub(super) async fn list(&self) -> Result<Vec<Entry>, RegistryError> {
        let mut entries: BTreeMap<String, Entry> = BTreeMap::new();
        let mut objects = self.objects.list(Some(&self.prefix));
        while let Some(object) = objects.next().await {
            let object = object.map_err(|error| self.failed(&self.prefix, &error))?;
            let Some(mut parts) = object.location.prefix_match(&self.prefix) else {
                continue;
            };
            let (Some(version), Some(file), None) = (parts.next(), parts.next(), parts.next())
            else {
                continue;
            };
            if !is_version(version.as_ref()) {
                continue;
            }
            let modified = SystemTime::from(object.last_modified);
            let name = version.as_ref().to_owned();
            let entry = entries.entry(name.clone()).or_insert_with(|| Entry {
                name,
                bytes: 0,
                is_whole: false,
                modified,
            });
            entry.bytes += object.size;
            entry.is_whole |= file.as_ref() == MANIFEST_FILE;
            entry.modified = entry.modified.max(modified);
        }
        Ok(entries.into_values().collect())
    }

    /// Deletes what stands under a version, the manifest first: from then on it is no bundle any more.
    pub(super) async fn remove(&self, version: &str) -> Result<(), RegistryError> {
        self.delete(&self.path(version, MANIFEST_FILE)).await?;
        let folder = self.prefix.clone().join(version);
        let objects: Vec<_> = self
            .objects
            .list(Some(&folder))
            .try_collect()
            .await
            .map_err(|error| self.failed(&folder, &error))?;
        for object in objects {
            self.delete(&object.location).await?;
        }
        Ok(())
    }

    async fn send(&self, to: &Path, from: PathBuf) -> Result<(), RegistryError> {
        let unreadable = |source| BundleError::Read {
            path: from.clone(),
            source,
        };
        let mut file = File::open(&from).await.map_err(unreadable)?;
        let first = part(&mut file).await.map_err(unreadable)?;
        if first.len() < PART {
            let sent = self.objects.put(to, first.into()).await;
            return sent.map(drop).map_err(|error| self.failed(to, &error));
        }
        let mut upload = self
            .objects
            .put_multipart(to)
            .await
            .map_err(|error| self.failed(to, &error))?;
        let sent = async {
            let mut part_of_file = first;
            while !part_of_file.is_empty() {
                upload
                    .put_part(part_of_file.into())
                    .await
                    .map_err(|error| self.failed(to, &error))?;
                part_of_file = part(&mut file).await.map_err(unreadable)?;
            }
            let done = upload.complete().await;
            done.map(drop).map_err(|error| self.failed(to, &error))
        };
        let sent: Result<(), RegistryError> = sent.await;
        if sent.is_err() {
            // Parts that were sent would be paid for as long as nobody says that they are not wanted.
            let _ = upload.abort().await;
        }
        sent
    }

    async fn receive(
        &self,
        from: &Path,
        stage: &Stage,
        name: &str,
        sha256: &str,
    ) -> Result<(), RegistryError> {
        let object = self
            .get(from)
            .await?
            .ok_or_else(|| self.changed(from, None, sha256))?;
        let mut file = stage.begin(name)?;
        let mut chunks = object.into_stream();
        while let Some(chunk) = chunks.next().await {
            file.add(&chunk.map_err(|error| self.failed(from, &error))?)?;
        }
        let is = blocking(move || file.finish()).await?;
        if is == sha256 {
            Ok(())
        } else {
            Err(self.changed(from, Some(is), sha256))
        }
    }

    /// The hex SHA-256 of an object; `None` where there is none.
    async fn hash(&self, path: &Path) -> Result<Option<String>, RegistryError> {
        let Some(object) = self.get(path).await? else {
            return Ok(None);
        };
        let mut hash = Sha256::new();
        let mut chunks = object.into_stream();
        while let Some(chunk) = chunks.next().await {
            hash.update(chunk.map_err(|error| self.failed(path, &error))?);
        }
        Ok(Some(hex::encode(hash.finalize())))
    }

    async fn get(&self, path: &Path) -> Result<Option<GetResult>, RegistryError> {
        match self.objects.get(path).await {
            Ok(object) => Ok(Some(object)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed(path, &error)),
        }
    }

    async fn delete(&self, path: &Path) -> Result<(), RegistryError> {
        match self.objects.delete(path).await {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.failed(path, &error)),
        }
    }

    /// An object's address, for people.
    fn place(&self, path: &Path) -> String {
        let bucket = self.url.split('/').nth(2).unwrap_or_default();
        format!("s3://{bucket}/{path}")
    }

    fn changed(&self, path: &Path, is: Option<String>, expected: &str) -> RegistryError {
        RegistryError::Changed {
            place: self.place(path),
            is: is.unwrap_or_else(|| "that of nothing, since it is missing".to_owned()),
            expected: expected.to_owned(),
        }
    }

    fn failed(&self, path: &Path, error: &Error) -> RegistryError {
        let said = say(error);
        let problem = match error {
            Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => format!(
                "the server refuses it ({said}); correct the keys and the region in [registry.client], or grant the right"
            ),
            Error::NotFound { .. } => {
                format!("the server knows no such bucket ({said}); correct [registry] url")
            }
            _ => format!("{said}; see whether [registry.client] endpoint answers from here"),
        };
        RegistryError::Bucket {
            place: self.place(path),
            problem,
        }
    }
}

/// The next bytes of a file, as many as are sent at once; fewer, or none, at its end.
async fn part(file: &mut File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(PART);
    let most = u64::try_from(PART).unwrap_or(u64::MAX);
    file.take(most).read_to_end(&mut bytes).await?;
    Ok(bytes)
}

/// What an error of the client says at its root, in one line of bounded length.
fn say(error: &Error) -> String {
    let mut root: &dyn std::error::Error = error;
    while let Some(source) = root.source() {
        root = source;
    }
    let said = root.to_string();
    let words: Vec<&str> = said.split_whitespace().collect();
    words.join(" ").chars().take(MOST_SAID).collect()
}
