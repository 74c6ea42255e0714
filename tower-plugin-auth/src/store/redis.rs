use std::{fmt, sync::Arc, time::SystemTime};

use ::redis::Cmd;

use super::{
    BoxLookup, CachedStore, CachedStoreBuilder, Filter, Found, InsertError, List, Revocation,
    StoreError, TokenStore,
};
use crate::{
    Answer,
    config::InvalidConfig,
    store::Cursor,
    token::{Record, TokenId},
};

mod builder;
mod link;
mod revoke;
mod script;
mod watch;
mod words;

pub use builder::RedisStoreBuilder;
pub(super) use watch::Watcher;

use link::Link;
use script::Scripts;
pub(super) use script::{Atomic, Call};
pub(super) use words::{SLACK, digest, long_ago, micros};

/// Keeps the records in Redis or Valkey, for all replicas of a service. Clones share one connection.
///
/// Whatever has to happen at once is one script, so of any number of replicas one gets a single-use
/// token, and a [revocation](#revoking-many) leaves no successor of a rotation behind. Redis drops a record one
/// minute after the caller's clock says that it may be forgotten; clocks of replicas may differ by that much.
///
/// Each lookup asks Redis. [`cached`](Self::cached) remembers, and hears of revocations at once.
///
/// It connects when it is first asked, within a Tokio runtime with I/O and time enabled. An answer that
/// is not there within the [deadline](RedisStoreBuilder::with_deadline) is a [`StoreError`]; so is
/// everything Redis refuses to do.
///
/// ```no_run
/// use tower_plugin_auth::{SystemRng, Tokens, store::{CachedStore, RedisStore}, token::{KeyRing, Pepper}};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = RedisStore::builder("redis://127.0.0.1:6379").build()?.cached(CachedStore::builder())?;
/// // All replicas need the same keys.
/// let keys = KeyRing::new(Pepper::new(1, std::env::var("TOKEN_PEPPER")?.as_bytes())?, [])?;
/// let tokens = Tokens::builder(store, keys).build()?;
/// # let _ = tokens;
/// # Ok(())
/// # }
/// ```
///
/// One address is asked: a server, or a name that leads to the primary. A server that is one no more is
/// let go and the name asked anew. It speaks neither to a cluster nor to sentinels.
///
/// # What is where
///
/// All keys begin with the [prefix](RedisStoreBuilder::with_prefix) in braces, `{tp}` by default: in a
/// cluster one store is in one place, which is what makes its scripts atomic. `{tp}:t:ID` is the record
/// of a token, `{tp}:f:…` and `{tp}:s:…` say which tokens a family and an owner have, `{tp}:live` and
/// `{tp}:began` which there are at all. Owners' names are digested. A token takes about 1500 bytes.
///
/// # Revoking many
///
/// A script removes at most 500 records, so that Redis keeps nobody else waiting for longer than some milliseconds:
/// up to 500 are gone in one moment, more in several. Ids go in the order in which they are given, those
/// of an age, a family or an owner from the earliest (to begin, to be issued, to be forgotten) to the
/// latest, and it has ended when a script has found fewer than 500. A rotation in between leaves nothing: its
/// successor stands in the same index, and goes with a later script.
///
/// If a script is not answered, that is the error. What those before it removed is gone for good, it has
/// itself been done or not, and what would have come later is as valid as before: revoke again, and all
/// the rest goes. Nobody else does it for you.
///
/// # What Redis may forget
///
/// Nothing: `maxmemory-policy noeviction` is required. A record that is evicted makes a valid token unknown. Worse,
/// an evicted index makes a *revocation* find nothing: `{tp}:f:…` and `{tp}:s:…` (and those of
/// [grants](Self::grants)) are keys with a lifetime of their own, which `allkeys-*` and `volatile-*` evict alike, and
/// then revoking a family or an owner answers `Ok(0)` while all its tokens stay valid.
///
/// A revocation that is lost brings a token back to life: what a server that
/// crashes has not yet written to disk (`appendfsync everysec`: up to a second), and what a
/// replica that takes over has not yet received. Where that matters, set `appendfsync always` and
/// `min-replicas-to-write`, and keep lifetimes short.
#[derive(Clone)]
pub struct RedisStore(Arc<Inner>);

struct Inner {
    link: Link,
    scripts: Scripts,
    /// The prefix in braces.
    tag: String,
    capacity: u64,
}

impl RedisStore {
    /// Starts from an address: `redis://`, `rediss://` (feature `redis-tls`) or `redis+unix://`, with
    /// user, password and database as usual.
    ///
    /// With `rediss://` the certificate is checked against the system's. The process must have installed
    /// a crypto provider by then (`rustls::crypto::CryptoProvider::install_default`).
    pub fn builder(url: &str) -> RedisStoreBuilder {
        RedisStoreBuilder::new(url)
    }

    /// Remembers what Redis has said until it says otherwise, over a connection of its own
    /// (`CLIENT TRACKING` in broadcast mode, Redis 6 or later).
    ///
    /// A task feeds the cache, and ends when the last clone is dropped.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] names a setting outside its range, or says that there is no Tokio runtime.
    pub fn cached(self, settings: CachedStoreBuilder) -> Result<CachedStore<Self>, InvalidConfig> {
        let cached = settings.build(self)?;
        let watcher = cached.get_ref().watch(cached.invalidator())?;
        Ok(cached.watched_by(watcher))
    }

    fn watch(&self, invalidator: super::Invalidator) -> Result<Watcher, InvalidConfig> {
        let Inner { link, tag, .. } = &*self.0;
        Watcher::start(link.client(), link.connect_timeout(), tag, invalidator)
    }

    pub(super) fn link(&self) -> &Link {
        &self.0.link
    }

    pub(super) fn tag(&self) -> &str {
        &self.0.tag
    }

    pub(super) fn capacity(&self) -> u64 {
        self.0.capacity
    }

    fn call(&self) -> Call {
        let tag = &self.0.tag;
        Call::new(format!("{tag}:live"), tag)
    }

    /// The call that writes down a record.
    fn put(&self, record: &Record, now: SystemTime) -> Call {
        let forget_at = record.forget_at();
        let left = forget_at.duration_since(now).unwrap_or_default();
        let keep = left.saturating_add(SLACK);
        self.call()
            .arg(record.id().to_string())
            .arg(record.to_bytes())
            .number(record.version())
            .arg(record.family().to_string())
            .arg(digest(
                record.principal().kind(),
                record.principal().subject(),
            ))
            .number(micros(record.live_until()))
            .number(Cursor::of(record).began_micros())
            .number(micros(record.issued_at()))
            .number(micros(forget_at))
            .number(u64::try_from(keep.as_millis()).unwrap_or(u64::MAX))
    }

    async fn look_up(self, id: TokenId) -> Found {
        let Inner { link, tag, .. } = &*self.0;
        let mut command = Cmd::new();
        command.arg("HGET").arg(format!("{tag}:t:{id}")).arg("r");
        read(link.query(command).await?)
    }
}

impl TokenStore for RedisStore {
    type Lookup = BoxLookup;

    fn get(&self, id: &TokenId) -> Answer<Found, BoxLookup> {
        Answer::Pending(Box::pin(self.clone().look_up(*id)))
    }

    async fn insert(&self, record: Record, now: SystemTime) -> Result<(), InsertError> {
        let Inner {
            link,
            scripts,
            capacity,
            ..
        } = &*self.0;
        let call = self.put(&record, now).number(micros(now));
        let call = call.number(long_ago(now)).number(*capacity);
        let inserted: String = link.run(&scripts.insert, &call).await?;
        match inserted.as_str() {
            "OK" => Ok(()),
            "EXISTS" => Err(InsertError::AlreadyExists),
            "FULL" => Err(InsertError::Full),
            _ => Err(StoreError::unavailable("unexpected answer to an insert").into()),
        }
    }

    async fn update(&self, next: Record, now: SystemTime) -> Result<bool, StoreError> {
        let Inner { link, scripts, .. } = &*self.0;
        let call = self.put(&next, now).number(next.version().wrapping_sub(1));
        link.run(&scripts.update, &call).await
    }

    async fn take(&self, id: &TokenId) -> Found {
        let Inner { link, scripts, .. } = &*self.0;
        let call = self.call().arg(id.to_string());
        read(link.run(&scripts.take, &call).await?)
    }

    async fn revoke(&self, revocation: Revocation<'_>) -> Result<u64, StoreError> {
        self.revoke_in_batches(revocation).await
    }

    async fn list(&self, list: &List<'_>) -> Result<Vec<Arc<Record>>, StoreError> {
        let Inner { link, scripts, .. } = &*self.0;
        let index = match list.filter() {
            Filter::All => String::new(),
            Filter::Family(family) => format!(":f:{family}"),
            Filter::Subject { kind, subject } => format!(":s:{}", digest(kind, subject)),
        };
        let (micros, id) = match list.cursor() {
            Some(cursor) => (cursor.began_micros(), cursor.id().to_string()),
            None => (0, String::new()),
        };
        let limit = u64::try_from(list.limit()).unwrap_or(u64::MAX);
        let call = self.call().number(limit).arg(index).number(micros).arg(id);
        let page: Vec<Vec<u8>> = link.run(&scripts.list, &call).await?;
        page.iter().map(|bytes| parse(bytes)).collect()
    }

    async fn sweep(&self, now: SystemTime) -> Result<u64, StoreError> {
        let Inner { link, scripts, .. } = &*self.0;
        let mut count: u64 = 0;
        loop {
            let call = self.call().number(micros(now)).number(BATCH);
            let swept: u64 = link.run(&scripts.sweep, &call).await?;
            count = count.saturating_add(swept);
            if swept < BATCH {
                return Ok(count);
            }
        }
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("tag", &self.0.tag)
            .field("capacity", &self.0.capacity)
            .finish_non_exhaustive()
    }
}

fn read(bytes: Option<Vec<u8>>) -> Found {
    bytes.map(|bytes| parse(&bytes)).transpose()
}

/// A record that cannot be read is no proof that there is none.
fn parse(bytes: &[u8]) -> Result<Arc<Record>, StoreError> {
    Record::from_bytes(bytes)
        .map(Arc::new)
        .map_err(StoreError::unavailable)
}

/// How many records one script removes, so that Redis is never busy for long.
const BATCH: u64 = 500;
