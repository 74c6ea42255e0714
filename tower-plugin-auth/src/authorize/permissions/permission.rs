//! Engine: what a permission covers.

use std::{fmt, str::FromStr};

use tower_plugin_core::Principal;

use super::{callers::is_listed, path};

/// What may be done: methods, and the paths they may be sent to.
///
/// As text it is `METHODS PATH`. `METHODS` is one, or several with `|` between them, or `*` for any; they
/// are compared as they are, and `GET` does not include `HEAD`. `PATH` is made of segments:
///
/// | Segment | covers |
/// |---|---|
/// | `items` | itself |
/// | `*` | exactly one segment, which is not empty |
/// | `**`, as the last | everything below: `/v1/**` covers `/v1/` and `/v1/a/b`, not `/v1` |
/// | `{services}` | a segment that the caller's attribute `services` [lists](is_listed()); it is **not** the parameter of a route, which is `*` here |
///
/// Nothing else is a wildcard: `*` beside other characters is an error, and so is a segment that starts with `:`,
/// as parameters do elsewhere. A slash at the end counts.
///
/// ```
/// use tower_plugin_auth::authorize::Permission;
///
/// assert!("GET|HEAD /v1/items/*".parse::<Permission>().is_ok());
/// assert!("* /services/{services}/**".parse::<Permission>().is_ok());
/// let error = "GET /v1/item*".parse::<Permission>().unwrap_err();
/// assert_eq!(error.to_string(), "a wildcard must be a segment of its own, `**` the last");
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[must_use]
pub struct Permission {
    /// Empty for any.
    methods: Box<[Box<str>]>,
    segments: Box<[Segment]>,
    and_below: bool,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Segment {
    Any,
    ListedIn(Box<str>),
    Literal(Box<str>),
}

impl Permission {
    /// A method of a gRPC or Connect service, called by POST: `service` is the full name as it stands in
    /// the path (`cache.v1.Cache`) or `{attribute}`, `method` a name or `*`.
    ///
    /// Connect may send a method without side effects by GET as well; that is `GET /SERVICE/METHOD` as
    /// text.
    ///
    /// # Errors
    ///
    /// [`InvalidPermission`] if one of the two is not such a name.
    pub fn rpc(service: &str, method: &str) -> Result<Self, InvalidPermission> {
        let word = |word: &str| {
            !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        };
        let is_service = service.starts_with('{') || service.split('.').all(word);
        if !is_service || !(method == "*" || word(method)) {
            return Err(InvalidPermission::Rpc);
        }
        format!("POST /{service}/{method}").parse()
    }

    pub(crate) fn covers<'a>(
        &self,
        principal: &Principal,
        method: &str,
        mut path: impl Iterator<Item = &'a str>,
    ) -> bool {
        if !self.methods.is_empty() && !self.methods.iter().any(|one| **one == *method) {
            return false;
        }
        let covered = self.segments.iter().all(|segment| {
            path.next().is_some_and(|asked| match segment {
                Segment::Any => !asked.is_empty(),
                Segment::ListedIn(attribute) => is_listed(principal, attribute, asked),
                Segment::Literal(text) => **text == *asked,
            })
        });
        covered && path.next().is_some() == self.and_below
    }
}

/// Its text, by which it can be kept: parsed, it is the same again.
impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.methods {
            [] => f.write_str("* ")?,
            several => write!(f, "{} ", several.join("|"))?,
        }
        for segment in &self.segments {
            match segment {
                Segment::Any => f.write_str("/*")?,
                Segment::ListedIn(attribute) => write!(f, "/{{{attribute}}}")?,
                Segment::Literal(text) => write!(f, "/{text}")?,
            }
        }
        if self.and_below {
            f.write_str("/**")?;
        }
        Ok(())
    }
}

impl FromStr for Permission {
    type Err = InvalidPermission;

    fn from_str(text: &str) -> Result<Self, InvalidPermission> {
        let (methods, pattern) = text.split_once(' ').ok_or(InvalidPermission::Form)?;
        let pattern = pattern.strip_prefix('/').ok_or(InvalidPermission::Form)?;
        let methods = match methods {
            "*" => Box::default(),
            several => several.split('|').map(method).collect::<Result<_, _>>()?,
        };
        let (pattern, and_below) = match pattern.strip_suffix("**") {
            Some("") => (None, true),
            Some(above) => {
                let above = above.strip_suffix('/').ok_or(InvalidPermission::Wildcard)?;
                (Some(above), true)
            }
            None => (Some(pattern), false),
        };
        let segments = pattern.into_iter().flat_map(|pattern| pattern.split('/'));
        let count = segments.clone().count();
        let segments = segments
            .enumerate()
            .map(|(at, text)| segment(text, at + 1 == count && !and_below))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            methods,
            segments,
            and_below,
        })
    }
}

fn method(name: &str) -> Result<Box<str>, InvalidPermission> {
    let is_method = !name.is_empty() && name.bytes().all(|b| b.is_ascii_uppercase() || b == b'-');
    is_method
        .then(|| name.into())
        .ok_or(InvalidPermission::Method)
}

fn segment(text: &str, is_last: bool) -> Result<Segment, InvalidPermission> {
    if let Some(inside) = text.strip_prefix('{') {
        let name = inside.strip_suffix('}').unwrap_or_default();
        let is_name = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
        if name.is_empty() || !name.bytes().all(is_name) {
            return Err(InvalidPermission::Attribute);
        }
        return Ok(Segment::ListedIn(name.into()));
    }
    match text {
        "*" => Ok(Segment::Any),
        "" if is_last => Ok(Segment::Literal(Box::default())),
        _ if text.contains('*') => Err(InvalidPermission::Wildcard),
        _ if text.starts_with(':') => Err(InvalidPermission::Parameter),
        _ if path::is_plain(text, false) => Ok(Segment::Literal(text.into())),
        _ => Err(InvalidPermission::Path),
    }
}

/// A text that is no permission.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum InvalidPermission {
    /// Braces that do not hold the name of an attribute.
    Attribute,
    /// Not methods, a space, and a path that starts with a slash.
    Form,
    /// A method that is not written in upper-case letters.
    Method,
    /// A segment that starts with `:`.
    Parameter,
    /// A segment that no path is permitted with: empty, of dots, or not spelled canonically.
    Path,
    /// Not the name of a service and of a method.
    Rpc,
    /// A wildcard beside other characters, or `**` before the end.
    Wildcard,
}

impl fmt::Display for InvalidPermission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Attribute => {
                "braces must hold the name of an attribute: letters, digits, '-', '.', '_'"
            }
            Self::Form => {
                "a permission must be `METHODS /PATH`: `GET /items`, `GET|HEAD /items/*`, `* /**`"
            }
            Self::Method => "a method must be upper-case letters and '-'; several have '|' between",
            Self::Parameter => "a segment that may be any is `*`; there are no parameters",
            Self::Path => "a segment must be spelled canonically, and not be empty or of dots",
            Self::Rpc => "an rpc must be a full service name or {attribute}, and a method or `*`",
            Self::Wildcard => "a wildcard must be a segment of its own, `**` the last",
        })
    }
}

impl std::error::Error for InvalidPermission {}
