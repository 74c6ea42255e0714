use core::{cmp::Ordering, fmt};

use http::Method;

use super::TypedMetadata;
use crate::{
    limits::Limits,
    metadata::Schema,
    path::{EmptySegments, PathRules, canonical},
};

/// Which requests some rules are for: a path in its canonical spelling, and perhaps a method.
///
/// Segments in braces stand for any one segment that is not empty, and `{*name}` at the end for
/// all that follows, nothing included. The names in braces are for readers.
///
/// ```
/// use http::Method;
/// use tower_plugin_validate::Route;
///
/// let get = Route::new("/kv.v1.KV/Get")?;
/// let any_method = Route::new("/kv.v1.KV/{method}")?;
/// let new_order = Route::new("/v1/users/{id}/orders")?.with_method(Method::POST);
/// let admin = Route::new("/admin/{*rest}")?;
/// # let _ = (get, any_method, new_order, admin);
/// assert!(Route::new("/admin/../x").is_err());
/// # Ok::<_, tower_plugin_validate::InvalidRoute>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[must_use]
pub struct Route {
    segments: Box<[Segment]>,
    open: bool,
    method: Option<Method>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Segment {
    Any,
    Is(Box<str>),
}

impl Route {
    /// Every request of this path.
    ///
    /// # Errors
    ///
    /// [`InvalidRoute`] if it is not a canonical path of at most 64 segments but for segments in
    /// braces, or if `{*name}` is not the last.
    pub fn new(path: &str) -> Result<Self, InvalidRoute> {
        Self::parse(path).ok_or_else(|| InvalidRoute { path: path.into() })
    }

    fn parse(path: &str) -> Option<Self> {
        let (path, open) = match path.rsplit_once('/') {
            Some((start, last)) if is_braced(last) && last.starts_with("{*") => (start, true),
            _ => (path, false),
        };
        let mut segments = Vec::new();
        // A path that is all open has no segment of its own.
        let own = if open && path.is_empty() {
            None
        } else {
            Some(path)
        };
        if let Some(path) = own {
            let rest = path.strip_prefix('/')?;
            for segment in rest.split('/') {
                segments.push(Segment::new(segment)?);
            }
        }
        (segments.len() <= MAX_SEGMENTS).then(|| Self {
            segments: segments.into(),
            open,
            method: None,
        })
    }

    /// Only requests of this method.
    pub fn with_method(mut self, method: Method) -> Self {
        self.method = Some(method);
        self
    }

    pub(super) fn matches(&self, method: &Method, path: &str) -> bool {
        if self.method.as_ref().is_some_and(|own| own != method) {
            return false;
        }
        let Some(rest) = path.strip_prefix('/') else {
            return false;
        };
        let mut rest = Some(rest);
        for segment in &self.segments {
            let Some(text) = rest else { return false };
            let (first, after) = match text.split_once('/') {
                Some((first, after)) => (first, Some(after)),
                None => (text, None),
            };
            let fits = match segment {
                Segment::Any => !first.is_empty(),
                Segment::Is(own) => **own == *first,
            };
            if !fits {
                return false;
            }
            rest = after;
        }
        rest.is_some() == self.open
    }

    /// The more particular one first: what says more, further to the left.
    pub(super) fn precedence(&self, other: &Self) -> Ordering {
        let kinds = |route: &Self| -> Vec<bool> {
            let any = route.segments.iter().map(|s| *s == Segment::Any);
            any.collect()
        };
        let (ours, theirs) = (kinds(self), kinds(other));
        let differs = ours
            .iter()
            .zip(&theirs)
            .map(|(a, b)| a.cmp(b))
            .find(|o| o.is_ne());
        differs
            .unwrap_or_else(|| theirs.len().cmp(&ours.len()))
            .then(self.open.cmp(&other.open))
            .then(self.method.is_none().cmp(&other.method.is_none()))
    }
}

impl Segment {
    fn new(text: &str) -> Option<Self> {
        if is_braced(text) {
            return (!text.starts_with("{*")).then_some(Self::Any);
        }
        // Characters that no path has, braces among them, are refused with the rest.
        let rules = PathRules::http().with_empty_segments(EmptySegments::Allow);
        let path = format!("/{text}");
        canonical(&path, &rules).ok()?;
        Some(Self::Is(text.into()))
    }
}

fn is_braced(text: &str) -> bool {
    text.len() > 2 && text.starts_with('{') && text.ends_with('}')
}

/// A text that is no [`Route`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct InvalidRoute {
    path: Box<str>,
}

impl InvalidRoute {
    /// The text.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl fmt::Display for InvalidRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "route {:?} must be a canonical path of at most {MAX_SEGMENTS} segments, of which some \
             may be {{name}} and the last {{*name}}",
            self.path
        )
    }
}

impl core::error::Error for InvalidRoute {}

/// What differs on a [`Route`] from the rules for all requests.
///
/// The path and the size of the target are decided by the rules for all: only then is known which
/// route it is.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct RouteRules {
    pub(super) limits: Option<Limits>,
    pub(super) schema: Option<Schema>,
    pub(super) typed: Option<TypedMetadata>,
}

impl RouteRules {
    /// No difference yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Other limits for header fields and the declared body. Their numbers for the target are not
    /// used.
    pub const fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = Some(limits);
        self
    }

    /// Another schema, in the place of the one for all requests. To add to that one, start from its
    /// [`to_builder`](Schema::to_builder).
    pub fn with_schema(mut self, schema: Schema) -> Self {
        self.schema = Some(schema);
        self
    }

    /// Other typed metadata, in the place of that for all requests.
    pub fn with_typed(mut self, typed: TypedMetadata) -> Self {
        self.typed = Some(typed);
        self
    }
}

const MAX_SEGMENTS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_matches_its_paths_and_no_others() {
        let cases: &[(&str, &[&str], &[&str])] = &[
            ("/", &["/"], &["/a", "//", ""]),
            ("/a/b", &["/a/b"], &["/a", "/a/b/", "/a/b/c", "/A/b", "a/b"]),
            ("/a/", &["/a/"], &["/a", "/a/b"]),
            (
                "/a/{x}",
                &["/a/b", "/a/%40"],
                &["/a", "/a/", "/a/b/c", "/b/b"],
            ),
            ("/{x}/b", &["/a/b"], &["//b", "/b"]),
            (
                "/a/{*r}",
                &["/a/", "/a/b", "/a/b/c"],
                &["/a", "/ab", "/b/a"],
            ),
            ("/{*r}", &["/", "/a", "/a/b"], &["", "a"]),
            (
                "/a/{x}/c/{*r}",
                &["/a/b/c/", "/a/b/c/d"],
                &["/a/b/c", "/a//c/d"],
            ),
        ];
        for (text, accepted, refused) in cases {
            let route = Route::new(text).unwrap();
            for path in *accepted {
                assert!(route.matches(&Method::GET, path), "{text} {path}");
            }
            for path in *refused {
                assert!(!route.matches(&Method::GET, path), "{text} {path}");
            }
        }
        let post = Route::new("/a").unwrap().with_method(Method::POST);
        assert!(post.matches(&Method::POST, "/a") && !post.matches(&Method::GET, "/a"));
    }

    #[test]
    fn the_more_particular_route_precedes() {
        let sorted = [
            "POST /a/b",
            "/a/b",
            "/a/b/{*r}",
            "/a/{x}/c",
            "/a/{x}/{*r}",
            "/a/{*r}",
            "/{x}/b",
            "/{x}/{*r}",
            "/{*r}",
        ];
        let routes = sorted.map(|text| match text.split_once(' ') {
            Some((method, path)) => {
                let route = Route::new(path).unwrap();
                route.with_method(method.parse().unwrap())
            }
            None => Route::new(text).unwrap(),
        });
        for (i, a) in routes.iter().enumerate() {
            for (j, b) in routes.iter().enumerate() {
                assert_eq!(a.precedence(b), i.cmp(&j), "{} {}", sorted[i], sorted[j]);
            }
        }
    }

    #[test]
    fn a_route_that_no_canonical_path_has_is_refused() {
        for bad in [
            "", "a", "/a/../b", "/%61", "/a b", "/{*r}/b", "/a{x}", "/{", "/{}", "/a?b", "/é",
        ] {
            let invalid = Route::new(bad).unwrap_err();
            assert_eq!(invalid.path(), bad);
            assert!(invalid.to_string().contains(&format!("{bad:?} must be")));
        }
        assert!(Route::new(&"/a".repeat(64)).is_ok());
        assert!(Route::new(&"/a".repeat(65)).is_err());
    }
}
