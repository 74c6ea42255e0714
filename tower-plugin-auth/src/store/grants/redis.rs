use std::{fmt, num::NonZeroU32, pin::Pin, sync::Arc, time::SystemTime};

use ::redis::Cmd;

use super::{
    Counted, Covers, FoundGrant, GrantRevocation, GrantStore, InsertGrantError, MAX_LINKS,
};
use crate::{
    Answer,
    grant::{GrantRecord, LinkId, Uses},
    store::{
        RedisStore, StoreError,
        redis::{Atomic, Call, SLACK, digest, long_ago, micros},
    },
    token::TokenId,
};

/// Keeps the grants in Redis or Valkey, for all replicas of a service, beside the tokens of a
/// [`RedisStore`] and over its connection. Clones share it.
///
/// Whatever has to happen at once is one script, so of any number of replicas together no more use a grant than it
/// may be used. Each lookup and each use asks Redis: a revocation is in force at once, everywhere. Redis drops a record
/// one minute after the caller's clock says that it has expired; clocks of replicas may differ by that much.
///
/// Its keys are `{tp}:g:…`: `{tp}:g:r:ID` is a grant with what was counted and revoked, `{tp}:g:o:…` and `{tp}:g:c:…`
/// say which a principal has and which there are of a capability (both digested), `{tp}:g:live` which there are at
/// all. The capacity is that of the [`RedisStore`], and is counted apart from its tokens.
///
/// A script removes at most 500 records; what that means for revoking many is told at [`RedisStore`], as is what Redis
/// may forget. A *use* that is lost with the server that counted it can be had
/// again.
///
/// ```no_run
/// use tower_plugin_auth::store::RedisStore;
///
/// let tokens = RedisStore::builder("redis://127.0.0.1:6379").build()?;
/// let grants = tokens.grants();
/// # let _ = grants;
/// # Ok::<_, tower_plugin_auth::InvalidConfig>(())
/// ```
#[derive(Clone)]
pub struct RedisGrantStore {
    store: RedisStore,
    scripts: Arc<Scripts>,
}

struct Scripts {
    count: Atomic,
    insert: Atomic,
    revoke: Atomic,
    sweep: Atomic,
}

macro_rules! script {
    ($file:literal) => {
        Atomic::new(concat!(
            include_str!("redis/shared.lua"),
            "\n",
            include_str!($file)
        ))
    };
}

impl RedisStore {
    /// A store of grants beside this one's tokens, over the same connection.
    #[must_use]
    pub fn grants(&self) -> RedisGrantStore {
        RedisGrantStore {
            store: self.clone(),
            scripts: Arc::new(Scripts {
                count: script!("redis/count.lua"),
                insert: script!("redis/insert.lua"),
                revoke: script!("redis/revoke.lua"),
                sweep: script!("redis/sweep.lua"),
            }),
        }
    }
}

impl RedisGrantStore {
    fn call(&self) -> Call {
        let tag = self.store.tag();
        Call::new(format!("{tag}:g:live"), tag)
    }

    async fn look_up(self, id: TokenId) -> FoundGrant {
        let mut command = Cmd::new();
        let key = format!("{}:g:r:{id}", self.store.tag());
        command.arg("HMGET").arg(key).arg("r").arg("x");
        let (record, revoked): (Option<Vec<u8>>, Option<Vec<u8>>) =
            self.store.link().query(command).await?;
        let Some(record) = record else {
            return Ok(None);
        };
        // A record that cannot be read is no proof that there is none.
        let record = GrantRecord::from_bytes(&record).map_err(StoreError::unavailable)?;
        let (revoked, rest) = revoked.as_deref().unwrap_or_default().as_chunks();
        if !rest.is_empty() {
            return Err(StoreError::unavailable("revoked links cannot be read"));
        }
        let revoked = revoked.iter().copied().map(LinkId::from_bytes);
        Ok(Some(Arc::new(record.with_revoked_links(revoked))))
    }

    async fn count(self, call: Call) -> Result<Counted, StoreError> {
        let link = self.store.link();
        let (counted, left): (String, i64) = link.run(&self.scripts.count, &call).await?;
        match counted.as_str() {
            "GONE" => Ok(Counted::Gone),
            "OK" => Ok(Counted::Used {
                // Below 0: nothing is limited.
                left: u32::try_from(left).ok(),
            }),
            "USED_UP" => Ok(Counted::UsedUp),
            _ => Err(StoreError::unavailable("unexpected answer to a use")),
        }
    }

    async fn revoke_some(&self, call: impl Fn(Call) -> Call) -> Result<u64, StoreError> {
        let mut count: u64 = 0;
        loop {
            let call = call(self.call().number(BATCH));
            let link = self.store.link();
            let (removed, more): (u64, bool) = link.run(&self.scripts.revoke, &call).await?;
            count = count.saturating_add(removed);
            // A call that finds fewer than it might remove has seen all there was, in one moment.
            if !more {
                return Ok(count);
            }
        }
    }
}

impl RedisGrantStore {
    async fn revoke_if(&self, id: &str, covers: Covers<'_>) -> Result<u64, StoreError> {
        let id = id.parse().map_err(StoreError::unavailable)?;
        match self.clone().look_up(id).await? {
            Some(record) if covers(&record) => self.revoke(GrantRevocation::Grant(id)).await,
            _ => Ok(0),
        }
    }
}

impl GrantStore for RedisGrantStore {
    type Lookup = Pin<Box<dyn Future<Output = FoundGrant> + Send>>;
    type Using = Pin<Box<dyn Future<Output = Result<Counted, StoreError>> + Send>>;

    fn get(&self, id: &TokenId) -> Answer<FoundGrant, Self::Lookup> {
        Answer::Pending(Box::pin(self.clone().look_up(*id)))
    }

    fn count_use(
        &self,
        id: &TokenId,
        uses: &Uses,
    ) -> Answer<Result<Counted, StoreError>, Self::Using> {
        let of_grant = uses.of_grant().map_or(0, NonZeroU32::get);
        let call = self.call().arg(id.to_string()).number(LINKS);
        let call = call.number(of_grant.into());
        let call = uses.of_links().iter().fold(call, |call, (link, limit)| {
            call.arg(link.to_string()).number(limit.get().into())
        });
        Answer::Pending(Box::pin(self.clone().count(call)))
    }

    async fn insert(
        &self,
        record: GrantRecord,
        max_per_principal: usize,
        now: SystemTime,
    ) -> Result<(), InsertGrantError> {
        let end = record.expires_at();
        let left = end.duration_since(now).unwrap_or_default();
        let keep = left.saturating_add(SLACK).as_millis();
        let owner = record.principal();
        let call = self
            .call()
            .arg(record.id().to_string())
            .arg(record.to_bytes())
            .arg(digest(owner.kind(), owner.subject()))
            .arg(digest("", record.capability()))
            .number(micros(end))
            .number(u64::try_from(keep).unwrap_or(u64::MAX))
            .number(micros(now))
            .number(long_ago(now))
            .number(self.store.capacity())
            .number(u64::try_from(max_per_principal).unwrap_or(u64::MAX));
        let link = self.store.link();
        let inserted: String = link.run(&self.scripts.insert, &call).await?;
        match inserted.as_str() {
            "OK" => Ok(()),
            "EXISTS" => Err(InsertGrantError::AlreadyExists),
            "FULL" => Err(InsertGrantError::Full),
            "FULL_FOR_PRINCIPAL" => Err(InsertGrantError::FullForPrincipal),
            _ => Err(StoreError::unavailable("unexpected answer to an insert").into()),
        }
    }

    async fn revoke(&self, revocation: GrantRevocation<'_>) -> Result<u64, StoreError> {
        match revocation {
            GrantRevocation::Capability(capability) => {
                let index = format!(":c:{}", digest("", capability));
                self.revoke_some(|call| call.arg("index").arg(&*index))
                    .await
            }
            GrantRevocation::Grant(id) => {
                self.revoke_some(|call| call.arg("grant").arg(id.to_string()))
                    .await
            }
            GrantRevocation::Link { grant, link } => {
                self.revoke_some(|call| {
                    let call = call.arg("link").arg(grant.to_string());
                    call.arg(link.as_bytes().to_vec()).number(LINKS)
                })
                .await
            }
            GrantRevocation::Subject { kind, subject } => {
                let index = format!(":o:{}", digest(kind, subject));
                self.revoke_some(|call| call.arg("index").arg(&*index))
                    .await
            }
        }
    }

    async fn revoke_where(&self, covers: Covers<'_>) -> Result<u64, StoreError> {
        let (mut cursor, mut count, mut failure) = (0, 0_u64, None);
        loop {
            let live = format!("{}:g:live", self.store.tag());
            let mut scan = Cmd::new();
            scan.arg("ZSCAN").arg(live).arg(cursor);
            scan.arg("COUNT").arg(BATCH);
            let page: (u64, Vec<String>) = self.store.link().query(scan).await?;
            // Each is followed by when it ends.
            for id in page.1.iter().step_by(2) {
                match self.revoke_if(id, covers).await {
                    Ok(revoked) => count = count.saturating_add(revoked),
                    Err(error) => failure = Some(error),
                }
            }
            cursor = page.0;
            if cursor == 0 {
                return failure.map_or(Ok(count), Err);
            }
        }
    }

    async fn sweep(&self, now: SystemTime) -> Result<u64, StoreError> {
        let mut count: u64 = 0;
        loop {
            let call = self.call().number(long_ago(now)).number(BATCH);
            let link = self.store.link();
            let swept: u64 = link.run(&self.scripts.sweep, &call).await?;
            count = count.saturating_add(swept);
            if swept < BATCH {
                return Ok(count);
            }
        }
    }
}

impl fmt::Debug for RedisGrantStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisGrantStore")
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}

/// How many records one script removes, so that Redis is never busy for long.
const BATCH: u64 = 500;
const LINKS: u64 = MAX_LINKS as u64;
