use std::{borrow::Cow, sync::Arc};

/// Who was authenticated.
///
/// An authenticating layer puts it in the request's extensions; rate limits key on it, authorisation
/// and handlers read it. It is immutable, and a clone costs one reference count. It holds no secret,
/// so its `Debug` output may be logged.
///
/// ```
/// use tower_plugin_core::Principal;
///
/// let principal = Principal::new("runtime", "cache-plugin-7f3a").with_attribute("plan", "gold");
/// assert_eq!(principal.subject(), "cache-plugin-7f3a");
/// assert_eq!(principal.attribute("plan"), Some("gold"));
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Principal(Arc<Inner>);

#[derive(Clone, Debug, Eq, PartialEq)]
struct Inner {
    kind: Cow<'static, str>,
    subject: Box<str>,
    token_id: Option<Box<str>>,
    attributes: Vec<(Box<str>, Box<str>)>,
}

impl Principal {
    /// Names a caller: `kind` is how it was authenticated (`runtime`, `mtls`, `api-key`), `subject`
    /// who it is within that kind.
    #[must_use]
    pub fn new(kind: impl Into<Cow<'static, str>>, subject: impl Into<Box<str>>) -> Self {
        Self(Arc::new(Inner {
            kind: kind.into(),
            subject: subject.into(),
            token_id: None,
            attributes: Vec::new(),
        }))
    }

    /// Adds an attribute, e.g. a plan or a role; a later one of the same name replaces it.
    #[must_use]
    pub fn with_attribute(mut self, name: impl Into<Box<str>>, value: impl Into<Box<str>>) -> Self {
        let (name, value) = (name.into(), value.into());
        let attributes = &mut Arc::make_mut(&mut self.0).attributes;
        match attributes.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = value,
            None => attributes.push((name, value)),
        }
        self
    }

    /// Names the token it was authenticated by: the public id, which may be logged and revoked by.
    #[must_use]
    pub fn with_token_id(mut self, id: impl Into<Box<str>>) -> Self {
        Arc::make_mut(&mut self.0).token_id = Some(id.into());
        self
    }

    /// How it was authenticated.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.0.kind
    }

    /// Who it is, unique within its [kind](Self::kind).
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.0.subject
    }

    /// The value of one attribute.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes()
            .find_map(|(known, value)| (known == name).then_some(value))
    }

    /// Every attribute, in the order they were first added.
    pub fn attributes(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .attributes
            .iter()
            .map(|(name, value)| (&**name, &**value))
    }

    /// The public id of the token it was authenticated by.
    #[must_use]
    pub fn token_id(&self) -> Option<&str> {
        self.0.token_id.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_derived_principal_leaves_its_origin_alone() {
        let plain = Principal::new("runtime", "a");
        let gold = plain
            .clone()
            .with_attribute("plan", "silver")
            .with_attribute("plan", "gold")
            .with_token_id("id");

        assert_eq!(plain.attribute("plan"), None);
        assert_eq!(gold.attributes().collect::<Vec<_>>(), [("plan", "gold")]);
        assert_eq!(
            (gold.kind(), gold.subject(), gold.token_id()),
            ("runtime", "a", Some("id"))
        );
    }
}
