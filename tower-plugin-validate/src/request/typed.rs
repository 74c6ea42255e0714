use core::{any::type_name, fmt, ops::Deref};
use std::sync::Arc;

use http::{Extensions, HeaderMap};
use tower_plugin_core::Violation;

#[cfg(feature = "serde")]
mod de;
#[cfg(feature = "serde")]
mod of;
#[cfg(all(test, feature = "serde"))]
mod tests;

#[cfg(feature = "serde")]
pub use of::InvalidType;

/// How the header fields of a request become a value, which is left as [`Metadata`] in its
/// extensions: parsed once, however many handlers read it.
///
/// It runs after the rules of the [`Schema`](crate::metadata::Schema), if the request is not refused
/// already, and its violations are of the same part.
///
/// ```
/// use http::HeaderMap;
/// use tower_plugin_validate::{RuleSet, TypedMetadata, Violation};
///
/// struct Tenant(u32);
///
/// let tenant = TypedMetadata::parsed_by(|headers: &HeaderMap| {
///     let id = headers.get("x-tenant").and_then(|id| id.to_str().ok()?.parse().ok());
///     let wrong = || Violation::new("header.x-tenant", "INTEGER", "must be a number");
///     id.map(Tenant).ok_or_else(|| vec![wrong()])
/// });
/// let rules = RuleSet::http().with_typed(tenant);
/// # let _ = rules;
/// ```
#[derive(Clone)]
#[must_use]
pub struct TypedMetadata {
    type_name: &'static str,
    parse: Arc<Parse>,
}

type Parse = dyn Fn(&HeaderMap, &mut Extensions) -> Vec<Violation> + Send + Sync;

impl TypedMetadata {
    /// Parses with a function of your own. It runs within the request: let it not panic, and let
    /// its violations repeat no value. Without a violation in its error, the request passes.
    pub fn parsed_by<T>(
        parse: impl Fn(&HeaderMap) -> Result<T, Vec<Violation>> + Send + Sync + 'static,
    ) -> Self
    where
        T: Send + Sync + 'static,
    {
        Self {
            type_name: type_name::<T>(),
            parse: Arc::new(move |headers, extensions| match parse(headers) {
                Ok(value) => {
                    extensions.insert(Metadata(Arc::new(value)));
                    Vec::new()
                }
                Err(violations) => violations,
            }),
        }
    }

    pub(super) fn leave_in(
        &self,
        extensions: &mut Extensions,
        headers: &HeaderMap,
    ) -> Vec<Violation> {
        (self.parse)(headers, extensions)
    }
}

impl fmt::Debug for TypedMetadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TypedMetadata")
            .field(&self.type_name)
            .finish()
    }
}

/// What the header fields of a request say, in its extensions. See [`TypedMetadata`].
///
/// In axum, a handler takes it as `Extension<Metadata<T>>`.
#[derive(Debug)]
pub struct Metadata<T>(Arc<T>);

impl<T> Clone for Metadata<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Deref for Metadata<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}
