//! Which encoding a caller takes for its answer.

use http::{
    HeaderMap, HeaderValue,
    header::{ACCEPT_ENCODING, Entry},
};

/// Says in one plain word whether gzip may be answered: the RPC runtime compares whole members of the
/// list, and takes `gzip;q=0.5` for something it has never heard of (RFC 9110, section 12.5.3).
pub(super) fn simplify(headers: &mut HeaderMap) {
    if !headers.contains_key(ACCEPT_ENCODING) {
        return;
    }
    let takes_gzip = headers
        .get_all(ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|list| list.split(','))
        .any(is_gzip);
    if let Entry::Occupied(mut value) = headers.entry(ACCEPT_ENCODING) {
        value.insert(HeaderValue::from_static(if takes_gzip {
            "gzip"
        } else {
            "identity"
        }));
    }
}

/// Whether a member of the list is gzip, and not as something to be spared.
fn is_gzip(member: &str) -> bool {
    let mut parts = member.split(';').map(str::trim);
    let is_gzip = parts
        .next()
        .is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
    let is_spared = parts.any(|parameter| {
        parameter.split_once('=').is_some_and(|(name, weight)| {
            name.trim().eq_ignore_ascii_case("q")
                && !weight
                    .trim()
                    .parse::<f32>()
                    .is_ok_and(|weight| weight > 0.0)
        })
    });
    is_gzip && !is_spared
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_taken_with_any_weight_but_none() {
        for (member, expected) in [
            ("gzip", true),
            (" GZIP ", true),
            ("gzip;q=1", true),
            ("gzip ; Q = 0.001", true),
            ("gzip;q=0", false),
            ("gzip;q=0.000", false),
            ("gzip;q=", false),
            ("gzip;q=-1", false),
            ("gzipped", false),
            ("x-gzip", false),
            ("br", false),
            ("", false),
        ] {
            assert_eq!(is_gzip(member), expected, "{member:?}");
        }
    }
}
