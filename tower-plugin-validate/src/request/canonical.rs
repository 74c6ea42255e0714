use std::fmt;

use http::uri::PathAndQuery;

/// The path of the request, checked and in its canonical spelling.
///
/// [`ValidateLayer`](crate::ValidateLayer) leaves it in the extensions of the requests it forwards, if
/// it is [told to](crate::RuleSet::with_canonical_path), for what further in has to know that the path was
/// checked. It always equals the path of the forwarded URI. `OPTIONS *` has none.
///
/// It shares the text of the URI rather than copying it.
#[derive(Clone, Eq, PartialEq)]
pub struct CanonicalPath(PathAndQuery);

impl CanonicalPath {
    pub(super) const fn new(target: PathAndQuery) -> Self {
        Self(target)
    }

    /// The path, without the query.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.path()
    }
}

/// The path alone: a query may hold secrets.
impl fmt::Debug for CanonicalPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CanonicalPath")
            .field(&self.as_str())
            .finish()
    }
}
