//! Engine: whom a permission is for.

use tower_plugin_core::Principal;

/// Whom a permission is for.
#[derive(Clone, Debug)]
#[must_use]
pub struct Callers(Which);

#[derive(Clone, Debug)]
enum Which {
    Any,
    Attribute { name: Box<str>, value: Box<str> },
    Kind(Box<str>),
    Listed { name: Box<str>, word: Box<str> },
    Principal { kind: Box<str>, subject: Box<str> },
}

impl Callers {
    /// Every principal, however it was authenticated. Never somebody unknown.
    pub const fn any() -> Self {
        Self(Which::Any)
    }

    /// Every principal of one [kind](Principal::kind).
    pub fn kind(kind: impl Into<Box<str>>) -> Self {
        Self(Which::Kind(kind.into()))
    }

    /// One principal. Subjects are unique within their kind alone, so both are named.
    pub fn principal(kind: impl Into<Box<str>>, subject: impl Into<Box<str>>) -> Self {
        Self(Which::Principal {
            kind: kind.into(),
            subject: subject.into(),
        })
    }

    /// Every principal whose attribute has exactly this value.
    pub fn attribute(name: impl Into<Box<str>>, value: impl Into<Box<str>>) -> Self {
        Self(Which::Attribute {
            name: name.into(),
            value: value.into(),
        })
    }

    /// Every principal whose attribute [lists](is_listed) this word, e.g. one of several roles.
    pub fn listed(name: impl Into<Box<str>>, word: impl Into<Box<str>>) -> Self {
        Self(Which::Listed {
            name: name.into(),
            word: word.into(),
        })
    }

    pub(super) fn include(&self, caller: &Principal) -> bool {
        match &self.0 {
            Which::Any => true,
            Which::Attribute { name, value } => caller.attribute(name) == Some(value),
            Which::Kind(kind) => caller.kind() == &**kind,
            Which::Listed { name, word } => is_listed(caller, name, word),
            Which::Principal { kind, subject } => {
                caller.kind() == &**kind && caller.subject() == &**subject
            }
        }
    }
}

/// Whether an attribute of the principal lists this word.
///
/// The words of a list are separated by spaces or commas, and compared as they are; `*` among them lists
/// every word. Without the attribute, or with an empty one, nothing is listed. For handlers that learn
/// only from the message what is asked for, such as the service that a plugin wants to register.
///
/// ```
/// use tower_plugin_auth::{Principal, authorize::is_listed};
///
/// let cache = Principal::new("runtime", "cache-1").with_attribute("services", "cache logger");
/// assert!(is_listed(&cache, "services", "logger"));
/// assert!(!is_listed(&cache, "services", "secrets"));
/// assert!(!is_listed(&Principal::new("runtime", "new"), "services", "cache"));
/// ```
#[must_use]
pub fn is_listed(principal: &Principal, attribute: &str, word: &str) -> bool {
    // What separates words is in none of them, and nothing is no word.
    if word.is_empty() || word.contains([' ', ',']) {
        return false;
    }
    principal
        .attribute(attribute)
        .is_some_and(|list| list.split([' ', ',']).any(|one| one == word || one == "*"))
}
