//! What is gathered of all fields and asked about once.

use std::ptr;

use http::HeaderMap;

use crate::{
    limits::Sizes,
    octets::{CapitalRow, NonAscii},
};

/// What is gathered of all fields and asked about once, when all are seen: an octet or a size that is
/// out of bounds is rare, and which field it is in is looked for only then.
#[derive(Default)]
pub(super) struct Glance {
    pub(super) sizes: Sizes,
    /// In values. A `HeaderValue` has no control characters but tabs.
    pub(super) non_ascii: NonAscii,
    /// In names: there may be an underscore.
    pub(super) capital_row: CapitalRow,
}

impl Glance {
    /// Starts on the fields of a request.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let mut glance = Self::default();
        glance.sizes.count = headers.len();
        glance
    }

    /// Adds one of them.
    #[inline]
    pub(super) fn look_at(&mut self, name: &[u8], value: &[u8]) {
        let sizes = &mut self.sizes;
        sizes.bytes += name.len() + value.len();
        // Cheaper than the maximum, and as good if it is within the limit.
        sizes.name_lengths |= name.len();
        sizes.value_lengths |= value.len();
        self.non_ascii.look_at(value);
        self.capital_row.look_at(name);
    }

    /// Notes that a field is the `nth` of its name.
    pub(super) fn repeat(&mut self, nth: usize) {
        self.sizes.most_values = self.sizes.most_values.max(nth);
    }
}

/// Every field, and which of those of its name it is, from 1: the map gives the fields of one name one
/// after the other, with the same reference.
#[inline]
pub(super) fn fields(headers: &HeaderMap) -> impl Iterator<Item = (usize, &[u8], &[u8])> {
    let mut previous = ptr::null();
    let mut nth = 0;
    headers.iter().map(move |(name, value)| {
        nth = if ptr::eq(previous, name) { nth + 1 } else { 1 };
        previous = name;
        (nth, name.as_str().as_bytes(), value.as_bytes())
    })
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};
    use proptest::prelude::*;

    use super::*;
    use crate::{
        framing::{FramingRules, Version},
        limits::Limits,
    };

    fn headers() -> impl Strategy<Value = HeaderMap> {
        let name =
            prop::sample::select(&["a", "b_c", "b-c", "accept", "x-a-name-of-20-octets", "^"][..]);
        let octet = prop_oneof![20 => 0x20..0x7f_u8, 1 => Just(b'\t'), 1 => 0x80..=0xff_u8];
        let field = (name, prop::collection::vec(octet, 0..40));
        prop::collection::vec(field, 0..12).prop_map(|fields| {
            let mut headers = HeaderMap::new();
            for (name, value) in fields {
                let value = HeaderValue::from_bytes(&value).unwrap();
                headers.append(HeaderName::from_static(name), value);
            }
            headers
        })
    }

    proptest! {
        #[test]
        fn one_look_at_all_fields_finds_what_looking_at_each_does(
            headers in headers(),
            (count, bytes, name, value, values) in (1..12_usize, 64..600_usize, 1..24_usize, 1..48_usize, 1..6_usize),
        ) {
            let limits = Limits::builder()
                .header_count(count)
                .header_list_bytes(bytes)
                .name_bytes(name)
                .value_bytes(value)
                .values_per_name(values)
                .build()
                .unwrap();
            let mut glance = Glance::of(&headers);
            for (nth, name, value) in fields(&headers) {
                glance.look_at(name, value);
                glance.repeat(nth);
            }
            let mut tally = limits.tally();
            let each = fields(&headers).try_for_each(|(_, name, value)| tally.field(name, value));
            // Of lengths, it knows no more than their bits: where it doubts, each is looked at.
            if limits.allow(&glance.sizes) {
                prop_assert_eq!(each, Ok(()));
            } else if glance.sizes.name_lengths <= name
                && glance.sizes.value_lengths <= value
            {
                prop_assert!(each.is_err());
            }

            let mut careful = FramingRules::http().scan(Version::Http2);
            let mut quick = careful.clone();
            quick.note(glance.non_ascii.any(), glance.capital_row.any());
            let (mut found, mut quickly) = (Vec::new(), Vec::new());
            for (nth, name, value) in fields(&headers) {
                careful.field(name, value, &mut |fault| found.push(fault));
                quick.next(nth, name, value, &mut |fault| quickly.push(fault));
            }
            let all = || fields(&headers).map(|(_, name, value)| (name, value));
            careful.finish(Default::default(), all, &mut |fault| found.push(fault));
            quick.finish(Default::default(), all, &mut |fault| quickly.push(fault));
            prop_assert_eq!(found, quickly);
        }
    }
}
