//! Streams that tell how something is, and then of every change.
//!
//! Each looks for itself when its bell rings and every [`LOOK`], and says what it sees if that is not
//! what it has said last. So a slow reader gets the latest state instead of a queue of old ones.

use std::{sync::Arc, time::Duration};

use connectrpc::{ConnectError, ErrorCode};
use futures_util::{Stream, stream};
use tokio::{sync::watch, time};

use super::{HostState, identity::Session, own_words::refuse};

mod bells;

pub(super) use bells::{Bell, Bells};

/// Why streams have to look whether they may go on: tokens were revoked.
#[derive(Debug)]
pub(super) struct Revocations(watch::Sender<()>);

impl Revocations {
    pub(super) fn tell(&self) {
        self.0.send_replace(());
    }

    pub(super) fn listen(&self) -> watch::Receiver<()> {
        self.0.subscribe()
    }
}

impl Default for Revocations {
    fn default() -> Self {
        Self(watch::Sender::new(()))
    }
}

/// What a stream of changes needs.
pub(super) struct Watch<L> {
    pub(super) host: Arc<HostState>,
    /// Ends the stream when its token does.
    pub(super) session: Session,
    /// Rings at every change.
    pub(super) bell: Bell,
    /// Tells how it is.
    pub(super) look: L,
}

/// What `look` sees, and then what it sees whenever that is something else.
///
/// Ends with an error when the token is valid no longer, which is found out at once if it was revoked
/// here and otherwise within [`LOOK`], when nobody can say whether it is, and when the host shuts down.
/// The stream's deadline is not kept here.
pub(super) fn changes<T, L>(watch: Watch<L>) -> impl Stream<Item = Result<T, ConnectError>> + Send
where
    T: Clone + PartialEq + Send,
    L: Fn(&HostState) -> T + Send,
{
    let revoked = watch.host.revocations.listen();
    stream::unfold(
        Some((watch, revoked, None)),
        async |state: Option<(Watch<L>, _, Option<T>)>| {
            let (mut watch, mut revoked, mut last) = state?;
            loop {
                if let Err(end) = may_go_on(&watch.host, &watch.session).await {
                    return Some((Err(end), None));
                }
                let seen = (watch.look)(&watch.host);
                if last.as_ref() != Some(&seen) {
                    last = Some(seen.clone());
                    return Some((Ok(seen), Some((watch, revoked, last))));
                }
                tokio::select! {
                    () = watch.bell.rung() => {}
                    _ = revoked.changed() => {}
                    () = time::sleep(LOOK) => {}
                }
            }
        },
    )
}

async fn may_go_on(host: &HostState, session: &Session) -> Result<(), ConnectError> {
    if !host.readiness.is_ready() {
        return Err(refuse(ErrorCode::Unavailable, "the host is shutting down"));
    }
    match session.is_live().await {
        Some(true) => Ok(()),
        Some(false) => Err(refuse(ErrorCode::Unauthenticated, "invalid token")),
        None => Err(refuse(
            ErrorCode::Unavailable,
            "whether the token is valid could not be found out",
        )),
    }
}

/// The longest a stream goes without looking. What needs no ringing is found this late: a token or a
/// provider that expired, a token that was revoked by another copy, the end of the host.
const LOOK: Duration = Duration::from_secs(1);
