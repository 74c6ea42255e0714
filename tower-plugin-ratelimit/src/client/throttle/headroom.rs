//! `RateLimit` of draft-ietf-httpapi-ratelimit-headers-10, as a client reads it.

use std::fmt;

use http::HeaderMap;
use sfv::{
    BareItemFromInput, KeyRef, Parser,
    visitor::{EntryVisitor, InnerListVisitor, ItemVisitor, ListVisitor, Never, ParameterVisitor},
};

use super::Headroom;

/// What the server says is left of each of its quotas: nothing, if the field is not what RFC 9651 and
/// the draft say, or is longer than any honest one.
///
/// A quota without `t` is passed over: it does not say when there will be more.
pub(super) fn headroom(headers: &HeaderMap) -> Vec<Headroom> {
    let mut field = Vec::new();
    for line in headers.get_all("ratelimit") {
        if field.len() + line.len() > MAX_BYTES {
            return Vec::new();
        }
        if !field.is_empty() {
            field.extend_from_slice(b", ");
        }
        field.extend_from_slice(line.as_bytes());
    }
    if field.is_empty() {
        return Vec::new();
    }
    let list = List { quotas: Vec::new() };
    Parser::new(&field)
        .parse_list_with_visitor(list)
        .unwrap_or_default()
}

struct List {
    quotas: Vec<Headroom>,
}

impl<'de> ListVisitor<'de> for List {
    type Out = Vec<Headroom>;
    type Error = Unexpected;

    fn entry(&mut self) -> Result<impl EntryVisitor<'de>, Unexpected> {
        match self.quotas.len() < MAX_QUOTAS {
            true => Ok(Entry {
                quotas: &mut self.quotas,
                remaining: None,
                reset: None,
            }),
            false => Err(Unexpected),
        }
    }

    fn finish(self) -> Result<Vec<Headroom>, Unexpected> {
        Ok(self.quotas)
    }
}

struct Entry<'a> {
    quotas: &'a mut Vec<Headroom>,
    remaining: Option<u64>,
    reset: Option<u64>,
}

impl<'de> EntryVisitor<'de> for Entry<'_> {
    type Error = Unexpected;

    fn item(self) -> Result<impl ItemVisitor<'de>, Unexpected> {
        Ok(self)
    }

    fn inner_list(self) -> Result<impl InnerListVisitor<'de>, Unexpected> {
        Err::<Never, _>(Unexpected)
    }
}

impl<'de> ItemVisitor<'de> for Entry<'_> {
    type Out = ();
    type Error = Unexpected;

    fn bare_item(
        self,
        name: BareItemFromInput<'de>,
    ) -> Result<impl ParameterVisitor<'de, Out = ()>, Unexpected> {
        match name {
            BareItemFromInput::String(_) => Ok(self),
            _ => Err(Unexpected),
        }
    }
}

impl<'de> ParameterVisitor<'de> for Entry<'_> {
    type Out = ();
    type Error = Unexpected;

    /// The last of several parameters of one name counts (RFC 9651 section 4.2.3.2).
    fn parameter(
        &mut self,
        key: &'de KeyRef,
        value: BareItemFromInput<'de>,
    ) -> Result<(), Unexpected> {
        let known = match key.as_str() {
            "r" => &mut self.remaining,
            "t" => &mut self.reset,
            _ => return Ok(()),
        };
        let BareItemFromInput::Integer(number) = value else {
            return Err(Unexpected);
        };
        *known = Some(u64::try_from(i64::from(number)).map_err(|_| Unexpected)?);
        Ok(())
    }

    fn finish(self) -> Result<(), Unexpected> {
        let remaining = self.remaining.ok_or(Unexpected)?;
        if let Some(seconds) = self.reset {
            let nanos = seconds.saturating_mul(1_000_000_000);
            self.quotas.push(Headroom::new(remaining, nanos));
        }
        Ok(())
    }
}

/// Well formed, but not what the draft asks for.
#[derive(Debug)]
struct Unexpected;

impl fmt::Display for Unexpected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a list of quotas")
    }
}

impl std::error::Error for Unexpected {}

/// For 16 quotas with long names.
const MAX_BYTES: usize = 4096;
const MAX_QUOTAS: usize = 16;

#[cfg(test)]
mod tests;
