use http::{HeaderMap, HeaderName};

/// Headers that are taken from every response.
#[derive(Clone, Debug)]
pub(super) struct Scrubbed {
    /// Sorted.
    names: Vec<HeaderName>,
    /// The [`kind`] of each of them: most headers are known from it not to be among them.
    kinds: u64,
}

impl Scrubbed {
    pub(super) fn new(names: impl IntoIterator<Item = HeaderName>) -> Self {
        let mut names: Vec<_> = names.into_iter().collect();
        names.sort_unstable_by(|one, other| one.as_str().cmp(other.as_str()));
        let kinds = names.iter().fold(0, |kinds, name| kinds | kind(name));
        Self { names, kinds }
    }

    /// Goes through the headers that are there, which are few, and hashes none of them.
    pub(super) fn remove_from(&self, headers: &mut HeaderMap) {
        if headers.keys().any(|name| self.contains(name)) {
            for name in &self.names {
                headers.remove(name);
            }
        }
    }

    fn contains(&self, name: &HeaderName) -> bool {
        let find = |known: &HeaderName| known.as_str().cmp(name.as_str());
        self.kinds & kind(name) != 0 && self.names.binary_search_by(find).is_ok()
    }
}

/// One bit, by length and first letter.
fn kind(name: &HeaderName) -> u64 {
    let name = name.as_str().as_bytes();
    let first = name.first().copied().unwrap_or_default();
    1 << (name.len().wrapping_add(first.into()) % 64)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_named_is_removed_and_nothing_else(
            named in prop::collection::vec("[a-c]{1,3}|server|date", 0..20),
            sent in prop::collection::vec("[a-c]{1,3}|server|date", 0..20),
        ) {
            let name = |text: &String| text.parse::<HeaderName>().unwrap();
            let mut headers = HeaderMap::new();
            for text in &sent {
                headers.append(name(text), HeaderValue::from_static("1"));
            }
            Scrubbed::new(named.iter().map(name)).remove_from(&mut headers);

            let kept = sent.iter().filter(|text| !named.contains(text));
            prop_assert_eq!(headers.len(), kept.clone().count());
            for text in kept {
                prop_assert!(headers.contains_key(text));
            }
        }
    }
}
