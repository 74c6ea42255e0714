use std::{collections::HashMap, num::NonZeroU32, sync::Arc};

use crate::{
    grant::{GrantRecord, LinkId, Uses},
    store::grants::{Counted, MAX_LINKS},
};

/// A grant, and what is counted of it.
pub(super) struct Kept {
    pub(super) record: Arc<GrantRecord>,
    used: u32,
    links_used: HashMap<LinkId, u32>,
}

impl Kept {
    pub(super) fn new(record: GrantRecord) -> Self {
        Self {
            record: Arc::new(record),
            used: 0,
            links_used: HashMap::new(),
        }
    }

    pub(super) fn count(&mut self, uses: &Uses) -> Counted {
        let mut left = None::<u32>;
        let mut is_left = |used: u32, limit: NonZeroU32| {
            let after = limit.get().checked_sub(used).and_then(|n| n.checked_sub(1));
            left = left.map_or(after, |left| Some(left.min(after?)));
            after.is_some()
        };
        if uses
            .of_grant()
            .is_some_and(|limit| !is_left(self.used, limit))
        {
            return Counted::UsedUp;
        }
        let mut unknown = 0;
        for (link, limit) in uses.of_links() {
            let used = self.links_used.get(link);
            if !is_left(used.copied().unwrap_or(0), *limit) {
                return Counted::UsedUp;
            }
            unknown += usize::from(used.is_none());
        }
        if self.links_used.len() + unknown > MAX_LINKS {
            return Counted::UsedUp;
        }
        self.used = self.used.saturating_add(1);
        for (link, _) in uses.of_links() {
            let used = self.links_used.entry(*link).or_default();
            *used = used.saturating_add(1);
        }
        Counted::Used { left }
    }

    /// Whether there was room to note it down.
    pub(super) fn note_revoked(&mut self, link: LinkId) -> bool {
        let revoked = self.record.revoked_links();
        if revoked.contains(&link) {
            return true;
        }
        let is_room = revoked.len() < MAX_LINKS;
        let all = revoked.iter().copied().chain([link]);
        self.record = Arc::new((*self.record).clone().with_revoked_links(all));
        is_room
    }
}
