//! Lets through only who is known, and only what he may do.
//!
//! [`AuthorizeLayer`] asks a [`Permissions`]: which callers may send which methods to which paths, or call which
//! RPCs. What no permission covers is refused. [`RequireLayer`] is for a rule that is easier written as
//! a closure, or none at all. Both stand inside of an [`AuthLayer`](crate::AuthLayer), and refuse every
//! request without a principal with 401.

use std::sync::Arc;

use tower_plugin_core::{Principal, RequestHead};

mod layer;
pub(crate) mod permissions;
mod require;
mod service;

pub use crate::gated::ResponseFuture;
pub use layer::AuthorizeLayer;
pub use permissions::{Callers, InvalidPermission, Permission, Permissions, is_listed};
pub use require::RequireLayer;
pub use service::Authorize;

/// Decides whether a principal may do what a request asks for.
///
/// Implemented by [`Permissions`], by [`AllowAll`] and by closures.
#[diagnostic::on_unimplemented(
    note = "use a `Permissions`, or a closure `|principal: &Principal, request: &RequestHead<'_>| -> bool`"
)]
pub trait Authorizer {
    /// Whether the request may go on.
    fn permits(&self, principal: &Principal, request: &RequestHead<'_>) -> bool;
}

/// Judges the path as it stands in the request: what the router inside of the layer will see. A path that
/// another reader might take for a different one is not permitted, whatever it matches.
impl Authorizer for Permissions {
    fn permits(&self, principal: &Principal, request: &RequestHead<'_>) -> bool {
        self.permits(principal, request.method.as_str(), request.uri.path())
    }
}

/// Permits every principal everything: written out where that is meant.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "a marker has nothing to grow")]
pub struct AllowAll;

impl Authorizer for AllowAll {
    fn permits(&self, _: &Principal, _: &RequestHead<'_>) -> bool {
        true
    }
}

impl<A: Authorizer + ?Sized> Authorizer for Arc<A> {
    fn permits(&self, principal: &Principal, request: &RequestHead<'_>) -> bool {
        (**self).permits(principal, request)
    }
}

impl<F> Authorizer for F
where
    F: Fn(&Principal, &RequestHead<'_>) -> bool,
{
    fn permits(&self, principal: &Principal, request: &RequestHead<'_>) -> bool {
        self(principal, request)
    }
}
