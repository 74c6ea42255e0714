//! Batch after batch, until nothing is left of what a revocation covers.

use std::time::Duration;

use super::{BATCH, Call, RedisStore, digest, micros};
use crate::store::{Revocation, StoreError};

impl RedisStore {
    pub(super) async fn revoke_in_batches(
        &self,
        revocation: Revocation<'_>,
    ) -> Result<u64, StoreError> {
        match revocation {
            Revocation::Tokens(ids) => {
                let mut count: u64 = 0;
                for ids in ids.chunks(BATCH_LEN) {
                    let revoked = self.revoke_some(|call| {
                        ids.iter()
                            .fold(call.arg("tokens"), |call, id| call.arg(id.to_string()))
                    });
                    count = count.saturating_add(revoked.await?);
                }
                Ok(count)
            }
            Revocation::Family(family) => {
                let index = format!(":f:{family}");
                self.revoke_some(|call| call.arg("index").arg(&*index))
                    .await
            }
            Revocation::Subject { kind, subject } => {
                let index = format!(":s:{}", digest(kind, subject));
                self.revoke_some(|call| call.arg("index").arg(&*index))
                    .await
            }
            Revocation::BegunBefore(instant) => {
                // Rounded up: rather a token too many than one too few.
                let rounded = instant.checked_add(Duration::from_nanos(999));
                let instant = micros(rounded.unwrap_or(instant));
                self.revoke_some(|call| call.arg("began").number(instant))
                    .await
            }
        }
    }

    async fn revoke_some(&self, call: impl Fn(Call) -> Call) -> Result<u64, StoreError> {
        let mut count: u64 = 0;
        loop {
            let call = call(self.call().number(BATCH));
            let revoke = &self.0.scripts.revoke;
            let (removed, more): (u64, bool) = self.0.link.run(revoke, &call).await?;
            count = count.saturating_add(removed);
            // A call that finds fewer than it might remove has seen all there was, in one moment.
            if !more {
                return Ok(count);
            }
        }
    }
}

const BATCH_LEN: usize = 500;
