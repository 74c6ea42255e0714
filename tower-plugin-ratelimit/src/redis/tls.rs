//! What `rediss://` needs of the process.

use rustls::crypto::{CryptoProvider, ring};

/// Chooses ring for whoever has not chosen.
///
/// The client takes the process' provider, and where there is none it panics: in the middle of a
/// connection, in a task that everyone waits for.
pub(super) fn prepare<'a>(urls: impl IntoIterator<Item = &'a str>) {
    let is_tls = |url: &str| url.starts_with("rediss:") || url.starts_with("valkeys:");
    if urls.into_iter().any(is_tls) && CryptoProvider::get_default().is_none() {
        // Somebody else may have been faster, and then there is one as well.
        let _ = ring::default_provider().install_default();
    }
}
