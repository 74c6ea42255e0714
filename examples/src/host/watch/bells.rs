use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use parking_lot::Mutex;
use tokio::sync::watch;

/// One bell for each service that somebody watches.
///
/// A bell says that something has changed, never what: whoever is late looks once and sees the present
/// state, so nothing is queued for anyone. Those who watch are counted elsewhere, and there is no bell
/// without one of them.
#[derive(Debug, Default)]
pub(in crate::host) struct Bells(Mutex<HashMap<Box<str>, watch::Sender<()>>>);

/// The bell of one service, until this is dropped.
#[derive(Debug)]
pub(in crate::host) struct Bell {
    service_type: Box<str>,
    // Gone only while it is dropped.
    receiver: Option<watch::Receiver<()>>,
    bells: Arc<Bells>,
}

impl Bells {
    pub(in crate::host) fn hang(self: &Arc<Self>, service_type: &str) -> Bell {
        let mut bells = self.0.lock();
        let receiver = match bells.entry(service_type.into()) {
            Entry::Occupied(bell) => bell.get().subscribe(),
            Entry::Vacant(place) => {
                let (bell, receiver) = watch::channel(());
                place.insert(bell);
                receiver
            }
        };
        Bell {
            service_type: service_type.into(),
            receiver: Some(receiver),
            bells: Arc::clone(self),
        }
    }

    pub(in crate::host) fn ring(&self, service_types: &[Box<str>]) {
        let bells = self.0.lock();
        for bell in service_types.iter().filter_map(|name| bells.get(name)) {
            bell.send_replace(());
        }
    }
}

impl Bell {
    /// Completes when it has rung since this last completed, or since it was hung.
    pub(super) async fn rung(&mut self) {
        let rung = match &mut self.receiver {
            Some(receiver) => receiver.changed().await.is_ok(),
            None => false,
        };
        if !rung {
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Bell {
    fn drop(&mut self) {
        let mut bells = self.bells.0.lock();
        self.receiver = None;
        let is_last = |bell: &watch::Sender<()>| bell.receiver_count() == 0;
        if bells.get(&self.service_type).is_some_and(is_last) {
            bells.remove(&self.service_type);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn a_bell_rings_for_its_service_alone_and_once_however_often() {
        let bells = Arc::<Bells>::default();
        let (mut log, mut kv) = (bells.hang("log"), bells.hang("kv"));
        assert_eq!(log.rung().now_or_never(), None);
        for _ in 0..3 {
            bells.ring(&["log".into(), "unwatched".into()]);
        }
        assert_eq!(log.rung().now_or_never(), Some(()));
        assert_eq!(log.rung().now_or_never(), None);
        assert_eq!(kv.rung().now_or_never(), None);
    }

    #[test]
    fn the_last_who_listens_takes_the_bell_down() {
        let bells = Arc::<Bells>::default();
        let (first, second) = (bells.hang("log"), bells.hang("log"));
        drop(first);
        assert_eq!(bells.0.lock().len(), 1);
        drop(second);
        assert!(bells.0.lock().is_empty());
    }
}
