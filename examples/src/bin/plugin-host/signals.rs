use std::{future::Future, io, sync::Arc};

use tower_plugin_examples::host::{HostState, tls::Tls};

/// Completes when the host is told to end.
#[cfg(unix)]
pub(super) fn shutdown() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};

    let (mut interrupt, mut terminate) = (
        signal(SignalKind::interrupt())?,
        signal(SignalKind::terminate())?,
    );
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

#[cfg(windows)]
pub(super) fn shutdown() -> io::Result<impl Future<Output = ()>> {
    let mut interrupt = tokio::signal::windows::ctrl_c()?;
    Ok(async move {
        interrupt.recv().await;
    })
}

/// Reads the TLS files and the manifest again whenever it is told to; never completes.
#[cfg(unix)]
pub(super) fn reload(
    tls: Option<Tls>,
    host: Arc<HostState>,
) -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};

    // Also without TLS: the signal would end the process.
    let mut hangup = signal(SignalKind::hangup())?;
    Ok(async move {
        while hangup.recv().await.is_some() {
            let host = Arc::clone(&host);
            // It has said in the log what came of it.
            let _told = tokio::task::spawn_blocking(move || host.reload_manifest()).await;
            match &tls {
                Some(tls) => tls.reload_and_tell().await,
                None => tracing::info!("nothing to read again: TLS is not served"),
            }
        }
        std::future::pending::<()>().await;
    })
}

#[cfg(windows)]
#[expect(clippy::unnecessary_wraps, reason = "as on Unix")]
pub(super) fn reload(_: Option<Tls>, _: Arc<HostState>) -> io::Result<impl Future<Output = ()>> {
    Ok(std::future::pending())
}
