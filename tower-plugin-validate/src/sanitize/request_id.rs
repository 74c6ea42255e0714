use std::{
    fmt,
    hash::{BuildHasher, RandomState},
};

/// What a request is called in logs: 1 to 64 letters, digits, and `. _ : + = / -`.
///
/// Insert it into the extensions of a request for [`SanitizeErrorsLayer`](super::SanitizeErrorsLayer) to refer to.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct RequestId {
    text: [u8; MAX],
    length: u8,
}

impl RequestId {
    /// Takes `text` for the name of a request, if it may be one.
    #[must_use]
    pub fn new<T: AsRef<[u8]> + ?Sized>(text: &T) -> Option<Self> {
        Self::unchecked(text.as_ref()).filter(Self::is_well_formed)
    }

    /// Keeps `text`, if it is not too long, until it is known whether somebody asks for it.
    pub(super) fn unchecked(text: &[u8]) -> Option<Self> {
        let mut id = Self {
            text: [0; MAX],
            length: u8::try_from(text.len()).ok()?,
        };
        id.text.get_mut(..text.len())?.copy_from_slice(text);
        Some(id)
    }

    pub(super) fn is_well_formed(&self) -> bool {
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"._:+=/-".contains(byte);
        let text = self.text.get(..usize::from(self.length));
        text.is_some_and(|text| !text.is_empty() && text.iter().all(plain))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let text = self.text.get(..usize::from(self.length));
        text.and_then(|text| std::str::from_utf8(text).ok())
            .unwrap_or_default()
    }

    /// One that no other request has: it need not be hard to guess.
    pub(super) fn random() -> Self {
        let half = |n: u8| RandomState::new().hash_one(n);
        let text = format!("{:016x}{:016x}", half(0), half(1));
        Self::new(&text).unwrap_or(Self {
            text: [b'0'; MAX],
            length: 32,
        })
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RequestId").field(&self.as_str()).finish()
    }
}

const MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_safe_in_a_log_and_a_header_is_a_request_id() {
        let long = "a".repeat(64);
        let longer = "a".repeat(65);
        let cases = [
            ("7b0a9a3e-8a86-4f4f-9d1f-0d6d3c1c8d11", true),
            ("Root=1-67891233-abcdef012345678912345678", true),
            (&*long, true),
            (&*longer, false),
            ("", false),
            ("a b", false),
            ("a\nb", false),
            ("<script>", false),
            ("\u{e9}", false),
        ];
        for (text, is_one) in cases {
            let id = RequestId::new(text);
            assert_eq!(id.is_some(), is_one, "{text:?}");
            assert!(id.is_none_or(|id| id.as_str() == text));
        }
    }

    #[test]
    fn random_ones_differ() {
        let ids: std::collections::HashSet<_> = (0..1000).map(|_| RequestId::random()).collect();
        assert_eq!(ids.len(), 1000);
        assert!(ids.iter().all(|id| id.as_str().len() == 32));
    }
}
