//! What one look at all fields tells.

use std::ptr;

use http::HeaderMap;

use crate::{
    limits::Sizes,
    octets::{CapitalRow, NonAscii},
};

/// What one look at all fields tells, in a loop that does nothing else. It leaves little to look for one
/// by one.
pub(super) struct Glance {
    pub(super) sizes: Sizes,
    /// In values. A `HeaderValue` has no control characters but tabs.
    pub(super) non_ascii: NonAscii,
    /// In names: there may be an underscore.
    pub(super) capital_row: CapitalRow,
}

impl Glance {
    pub(super) fn at(headers: &HeaderMap) -> Self {
        let mut sizes = Sizes::default();
        let (mut non_ascii, mut capital_row) = (NonAscii::default(), CapitalRow::default());
        for (again, name, value) in fields(headers) {
            sizes.bytes += name.len() + value.len();
            sizes.longest_name = sizes.longest_name.max(name.len());
            sizes.longest_value = sizes.longest_value.max(value.len());
            sizes.repeated += usize::from(again);
            non_ascii.look_at(value);
            capital_row.look_at(name);
        }
        sizes.count = headers.len();
        Self {
            sizes,
            non_ascii,
            capital_row,
        }
    }
}

/// Every field, and whether it has the name of the one before: the map gives the fields of one name
/// one after the other, with the same reference.
pub(super) fn fields(headers: &HeaderMap) -> impl Iterator<Item = (bool, &[u8], &[u8])> {
    let mut previous = ptr::null();
    headers.iter().map(move |(name, value)| {
        let again = ptr::eq(previous, name);
        previous = name;
        (again, name.as_str().as_bytes(), value.as_bytes())
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
            let glance = Glance::at(&headers);
            let mut tally = limits.tally();
            let each = fields(&headers).try_for_each(|(_, name, value)| tally.field(name, value));
            // Which names are repeated how often, it does not count: where it doubts, each is looked at.
            if limits.allow(&glance.sizes) {
                prop_assert_eq!(each, Ok(()));
            } else if glance.sizes.repeated < values {
                prop_assert!(each.is_err());
            }

            let mut careful = FramingRules::http().scan(Version::Http2);
            let mut quick = careful.clone();
            quick.note(glance.non_ascii.any(), glance.capital_row.any());
            let (mut found, mut quickly) = (Vec::new(), Vec::new());
            for (again, name, value) in fields(&headers) {
                careful.field(name, value, &mut |fault| found.push(fault));
                quick.next(again, name, value, &mut |fault| quickly.push(fault));
            }
            let all = || fields(&headers).map(|(_, name, value)| (name, value));
            careful.finish(Default::default(), all, &mut |fault| found.push(fault));
            quick.finish(Default::default(), all, &mut |fault| quickly.push(fault));
            prop_assert_eq!(found, quickly);
        }
    }
}
