use std::sync::Arc;

use super::{Capability, GrantRequest};
use crate::authorize::AllowAll;

/// Decides who gets which grant.
///
/// Implemented by [`DenyAll`], by [`AllowAll`] and by closures. It may take its time, but not block: it runs in the
/// task of whoever asks.
#[diagnostic::on_unimplemented(
    note = "use a closure `|request: &GrantRequest, capability: &Capability| -> bool`, or `AllowAll`"
)]
pub trait GrantPolicy: Send + Sync {
    /// Whether the request may have what it asks for.
    fn permits(&self, request: &GrantRequest, capability: &Capability) -> bool;
}

/// Nobody gets anything.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "a marker has nothing to grow")]
pub struct DenyAll;

impl GrantPolicy for DenyAll {
    fn permits(&self, _: &GrantRequest, _: &Capability) -> bool {
        false
    }
}

/// Everybody who is known gets everything.
impl GrantPolicy for AllowAll {
    fn permits(&self, _: &GrantRequest, _: &Capability) -> bool {
        true
    }
}

impl<P: GrantPolicy + ?Sized> GrantPolicy for Arc<P> {
    fn permits(&self, request: &GrantRequest, capability: &Capability) -> bool {
        (**self).permits(request, capability)
    }
}

impl<F> GrantPolicy for F
where
    F: Fn(&GrantRequest, &Capability) -> bool + Send + Sync,
{
    fn permits(&self, request: &GrantRequest, capability: &Capability) -> bool {
        self(request, capability)
    }
}
