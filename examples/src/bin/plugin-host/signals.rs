#[cfg(unix)]
use std::env;
use std::{future::Future, io, sync::Arc};

#[cfg(unix)]
use tokio::signal::unix;
#[cfg(unix)]
use tower_plugin_examples::host::config::Settings;
use tower_plugin_examples::host::{HostState, tls::Tls};

/// What tells the host to end.
#[cfg(unix)]
pub(super) struct Shutdown(unix::Signal, unix::Signal);

#[cfg(windows)]
pub(super) struct Shutdown(tokio::signal::windows::CtrlC);

#[cfg(unix)]
pub(super) fn shutdown() -> io::Result<Shutdown> {
    Ok(Shutdown(
        unix::signal(unix::SignalKind::interrupt())?,
        unix::signal(unix::SignalKind::terminate())?,
    ))
}

#[cfg(windows)]
pub(super) fn shutdown() -> io::Result<Shutdown> {
    tokio::signal::windows::ctrl_c().map(Shutdown)
}

impl Shutdown {
    /// Completes each time the host is told to end.
    #[cfg(unix)]
    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.0.recv() => {}
            _ = self.1.recv() => {}
        }
    }

    #[cfg(windows)]
    pub(super) async fn next(&mut self) {
        self.0.recv().await;
    }
}

/// Reads the TLS files, the manifest and the quotas again whenever it is told to; never completes.
#[cfg(unix)]
pub(super) fn reload(
    tls: Option<Tls>,
    host: Arc<HostState>,
) -> io::Result<impl Future<Output = ()>> {
    // Also without TLS: the signal would end the process.
    let mut hangup = unix::signal(unix::SignalKind::hangup())?;
    Ok(async move {
        while hangup.recv().await.is_some() {
            let host = Arc::clone(&host);
            // It has said in the log what came of it.
            let _told = tokio::task::spawn_blocking(move || {
                host.reload_manifest();
                reload_quotas(&host);
            })
            .await;
            match &tls {
                Some(tls) => tls.reload_and_tell().await,
                None => tracing::info!("no certificate to read again: TLS is not served"),
            }
        }
        std::future::pending::<()>().await;
    })
}

/// From the configuration file, if there is one; what the command line or the environment says of them still counts
/// before it. Whatever is wrong with the file, the quotas in force stay.
#[cfg(unix)]
fn reload_quotas(host: &HostState) {
    match Settings::of(env::args_os()) {
        Ok(settings) if settings.options.config.is_none() => {}
        Ok(settings) => host.set_quotas(settings.options.quotas),
        Err(error) => {
            // Where arguments do not fit together, more lines tell of their use.
            let error = error.to_string();
            let error = error.lines().next().unwrap_or_default();
            tracing::error!(error, "the quotas were not read again: those in force stay");
        }
    }
}

#[cfg(windows)]
#[expect(clippy::unnecessary_wraps, reason = "as on Unix")]
pub(super) fn reload(_: Option<Tls>, _: Arc<HostState>) -> io::Result<impl Future<Output = ()>> {
    Ok(std::future::pending())
}
