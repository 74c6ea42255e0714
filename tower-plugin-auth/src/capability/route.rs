use std::sync::Arc;

use http::{
    Uri,
    uri::{Parts, PathAndQuery},
};

use crate::{authorize::permissions::path, grant::DenialReason, token::TokenId};

/// Where a capability is found.
#[derive(Clone, Debug)]
pub(super) enum Route {
    /// At any path; which capability it is, is known.
    Any { capability: Arc<str> },
    /// Below `PREFIX/TYPE/ID`, of one type only if that is said.
    Below {
        prefix: Arc<str>,
        only: Option<Arc<str>>,
    },
}

/// What a path asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Target<'a> {
    pub(super) capability: &'a str,
    pub(super) grant: Option<TokenId>,
    /// As the capability knows it.
    pub(super) path: &'a str,
}

impl Route {
    /// Takes a path apart that can be read in one way.
    pub(super) fn target<'a>(&'a self, whole: &'a str) -> Result<Target<'a>, DenialReason> {
        path::segments(whole).ok_or(DenialReason::AmbiguousPath)?;
        match self {
            Self::Any { capability } => Ok(Target {
                capability,
                grant: None,
                path: whole,
            }),
            Self::Below { prefix, only } => below(whole, prefix)
                .filter(|target| {
                    only.as_ref()
                        .is_none_or(|only| **only == *target.capability)
                })
                .ok_or(DenialReason::OtherCapability),
        }
    }

    /// The one type that is found here, if there is but one.
    pub(super) fn only(&self) -> Option<Arc<str>> {
        match self {
            Self::Any { capability } => Some(Arc::clone(capability)),
            Self::Below { only, .. } => only.clone(),
        }
    }

    /// The same address without what stands in front of the capability's own.
    pub(super) fn rewrite(&self, uri: Uri) -> Option<Uri> {
        let path = match self {
            Self::Any { .. } => return Some(uri),
            Self::Below { prefix, .. } => below(uri.path(), prefix)?.path,
        };
        let path_and_query = match uri.query() {
            Some(query) => PathAndQuery::try_from(format!("{path}?{query}")),
            None => PathAndQuery::try_from(path),
        };
        let path_and_query = path_and_query.ok()?;
        let mut parts: Parts = uri.into_parts();
        parts.path_and_query = Some(path_and_query);
        Uri::from_parts(parts).ok()
    }
}

fn below<'a>(whole: &'a str, prefix: &str) -> Option<Target<'a>> {
    let rest = whole.strip_prefix(prefix)?.strip_prefix('/')?;
    let (capability, rest) = rest.split_once('/')?;
    let end = rest.find('/').unwrap_or(rest.len());
    let (id, path) = rest.split_at_checked(end)?;
    Some(Target {
        capability,
        grant: Some(id.parse().ok()?),
        path: if path.is_empty() { "/" } else { path },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "000102030405060708090a0b0c0d0e0f";

    fn below_capabilities() -> Route {
        Route::Below {
            prefix: "/capabilities".into(),
            only: None,
        }
    }

    #[test]
    fn a_path_names_a_capability_a_grant_and_what_the_capability_knows() {
        for (rest, path) in [("", "/"), ("/", "/"), ("/a", "/a"), ("/a/b/", "/a/b/")] {
            let whole = format!("/capabilities/logger/{ID}{rest}");
            let target = Target {
                capability: "logger",
                grant: Some(ID.parse().unwrap()),
                path,
            };
            assert_eq!(below_capabilities().target(&whole), Ok(target), "{whole}");
        }
    }

    #[test]
    fn a_path_that_names_none_or_can_be_read_in_two_ways_is_refused() {
        let route = below_capabilities();
        let other = |path: &str| route.target(path) == Err(DenialReason::OtherCapability);
        for path in [
            "/capabilities",
            "/capabilities/",
            "/capabilities/logger",
            "/capabilities/logger/",
            "/capabilities/logger/7",
            "/capabilities/logger/7/a",
            "/capabilitieslogger/7",
            "/other",
            "/",
        ] {
            assert!(other(path), "{path}");
        }
        assert!(other(&format!("/CAPABILITIES/logger/{ID}/a")));
        assert!(other(&format!(
            "/capabilities/logger/{}/a",
            ID.to_uppercase()
        )));
        let ambiguous = |path: &str| route.target(path) == Err(DenialReason::AmbiguousPath);
        for path in ["", "*", "capabilities/logger", "/capabilities//logger"] {
            assert!(ambiguous(path), "{path}");
        }
        for rest in [
            "/../x",
            "/./x",
            "//x",
            "/%2e%2e/x",
            "/%2F",
            "/a%5cb",
            "/%41",
            "/a/..;/b",
            "/\u{e9}",
        ] {
            assert!(
                ambiguous(&format!("/capabilities/logger/{ID}{rest}")),
                "{rest}"
            );
        }
    }

    #[test]
    fn a_rewritten_address_keeps_all_but_what_stood_in_front() {
        let rewrite = |uri: &str| {
            let uri = below_capabilities().rewrite(uri.parse().unwrap());
            uri.unwrap().to_string()
        };
        let below = format!("/capabilities/logger/{ID}");
        assert_eq!(rewrite(&format!("{below}/a/b?c=d/e?f")), "/a/b?c=d/e?f");
        assert_eq!(rewrite(&format!("{below}?c=d")), "/?c=d");
        assert_eq!(rewrite(&below), "/");
        assert_eq!(
            rewrite(&format!("https://h.example:1{below}/a%20b?c")),
            "https://h.example:1/a%20b?c"
        );
    }
}
