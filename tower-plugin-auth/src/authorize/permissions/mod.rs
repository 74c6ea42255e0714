//! Engine: who may do what, as a list of permissions; what none of them covers is denied.

use std::sync::Arc;

use tower_plugin_core::Principal;

mod callers;
pub(crate) mod path;
mod permission;
#[cfg(test)]
mod tests;

pub use callers::{Callers, is_listed};
pub use permission::{InvalidPermission, Permission};

/// Who may do what. A new one permits nobody anything.
///
/// Permissions only ever add: there is no rule that takes something away, and so no order to get wrong. A
/// decision compares the request with one after the other, and allocates nothing. Clones share the list.
///
/// ```
/// use tower_plugin_auth::{Principal, authorize::{Callers, Permission, Permissions}};
///
/// let permissions = Permissions::new()
///     .permit(Callers::principal("mtls-dns", "billing.internal"), Permission::rpc("billing.v1.Bills", "Get")?)
///     // Each runtime may call the services that its token was issued for.
///     .permit(Callers::kind("runtime"), Permission::rpc("{services}", "*")?);
///
/// let cache = Principal::new("runtime", "cache-1").with_attribute("services", "kv.v1.Store log.v1.Log");
/// assert!(permissions.permits(&cache, "POST", "/kv.v1.Store/Get"));
/// assert!(!permissions.permits(&cache, "POST", "/billing.v1.Bills/Get"));
/// assert!(!permissions.permits(&cache, "POST", "/kv.v1.Store/../../admin"));
/// # Ok::<_, tower_plugin_auth::authorize::InvalidPermission>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Permissions {
    rules: Arc<Vec<(Callers, Permission)>>,
}

impl Permissions {
    /// Permits nobody anything.
    pub fn new() -> Self {
        Self::default()
    }

    /// Permits these callers this, too.
    pub fn permit(mut self, callers: Callers, permission: Permission) -> Self {
        Arc::make_mut(&mut self.rules).push((callers, permission));
        self
    }

    /// Whether the principal may send this method to this path, which is taken without its query.
    ///
    /// A path is compared as it is spelled, so it has to be spelled as every reader understands it:
    ///
    /// * unreserved characters (`A-Z a-z 0-9 - . _ ~`) as themselves, everything else that is
    ///   percent-encoded with upper-case digits;
    /// * no segment of dots, no empty one but the last, no encoded `/`, `\`, `%` or control;
    /// * only characters that RFC 3986 (section 3.3) allows in a path.
    ///
    /// Any other is not permitted. `ValidateLayer` of `tower-plugin-validate` further out turns such
    /// requests away with 400, or rewrites them so that they can be judged.
    #[must_use]
    pub fn permits(&self, principal: &Principal, method: &str, path: &str) -> bool {
        let Some(segments) = path::segments(path) else {
            return false;
        };
        self.rules.iter().any(|(callers, permission)| {
            callers.include(principal) && permission.covers(principal, method, segments.clone())
        })
    }
}
