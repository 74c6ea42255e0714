use std::time::SystemTime;

use ::redis::Cmd;

use super::{RedisStore, micros};
use crate::store::StoreError;

impl RedisStore {
    /// How many tokens of all replicas are valid at `now`. Redis is asked once, and that costs it the logarithm of
    /// the number: for a status page, not for every request.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if it does not answer within the [deadline](super::RedisStoreBuilder::with_deadline).
    pub async fn count_live(&self, now: SystemTime) -> Result<u64, StoreError> {
        self.count_after(&format!("{}:live", self.tag()), now).await
    }

    /// How many members of an index live on after `now`.
    pub(in crate::store) async fn count_after(
        &self,
        index: &str,
        now: SystemTime,
    ) -> Result<u64, StoreError> {
        let mut command = Cmd::new();
        command.arg("ZCOUNT").arg(index);
        command.arg(format!("({}", micros(now))).arg("+inf");
        self.link().query(command).await
    }
}
