//! Engine: one request under a schema.

use core::fmt;

use super::{
    Finding, Unknown,
    bin::{decode_one, measure, values},
    build::MAX_PREFIXES,
    rule::Kind,
    schema::{Compiled, Slot},
};
use crate::framing::well_known;

/// Checks one request's fields. Made by [`Schema::scan`](super::Schema::scan).
#[derive(Clone, Debug)]
pub struct Scan<'s> {
    schema: &'s Compiled,
    /// Of the field before.
    rule: Found<'s>,
    previous: &'s [u8],
    values: usize,
    /// Names with a rule of their own that were there with a value that is not empty.
    present: [u64; 4],
    prefix_names: [u16; MAX_PREFIXES],
    found: bool,
}

/// Where the rule of a name is.
#[derive(Clone, Copy, Debug)]
enum Found<'s> {
    Key(usize, &'s Slot),
    None,
    /// Of a prefix or of all `-bin` names.
    Wide(&'s Slot),
}

impl<'s> Scan<'s> {
    #[inline]
    pub(super) const fn new(schema: &'s Compiled) -> Self {
        Self {
            schema,
            rule: Found::None,
            previous: &[],
            values: 0,
            present: [0; 4],
            prefix_names: [0; MAX_PREFIXES],
            found: false,
        }
    }

    /// Looks at a field and reports what is wrong with it. Names must be in lower case, and fields
    /// of one name follow one another, as `http::HeaderMap` and HTTP/2 libraries yield them.
    #[inline]
    pub fn field<'n: 's>(
        &mut self,
        name: &'n [u8],
        value: &[u8],
        report: &mut impl FnMut(Finding<'s>),
    ) {
        let again = self.values > 0 && name == self.previous;
        self.previous = name;
        self.next(again, name, value, report);
    }

    /// Looks at a field, of which is known whether the one before had the same name.
    #[inline]
    pub(crate) fn next(
        &mut self,
        again: bool,
        name: &[u8],
        value: &[u8],
        report: &mut impl FnMut(Finding<'s>),
    ) {
        if again {
            self.values += 1;
        } else {
            self.values = 1;
            self.rule = self.look_up(name, report);
        }
        let (slot, place) = match self.rule {
            Found::None => return,
            Found::Key(place, slot) => (slot, Some(place)),
            Found::Wide(slot) => (slot, None),
        };
        if let Some((reason, description)) = self.failure(slot, value) {
            self.found = true;
            let name = place.and_then(|place| self.schema.index.name(place));
            report(Finding::new(name, reason, description));
        }
        if let Some(place) = place.filter(|_| !value.is_empty())
            && let Some(word) = self.present.get_mut(place / 64)
        {
            *word |= 1 << (place % 64);
        }
    }

    /// The rule of a name that was not there before.
    #[inline]
    fn look_up(&mut self, name: &[u8], report: &mut impl FnMut(Finding<'s>)) -> Found<'s> {
        let schema = self.schema;
        if let Some(place) = schema.index.find(name) {
            return match schema.slots.get(place) {
                Some(slot) => Found::Key(place, slot),
                None => Found::None,
            };
        }
        if schema.is_open {
            return Found::None;
        }
        self.look_further(name, report)
    }

    /// The rule of a name that has none of its own.
    fn look_further(&mut self, name: &[u8], report: &mut impl FnMut(Finding<'s>)) -> Found<'s> {
        let schema = self.schema;
        if let Some(slot) = schema
            .any_binary
            .as_ref()
            .filter(|_| name.ends_with(b"-bin"))
        {
            return Found::Wide(slot);
        }
        let first = name.first().copied().unwrap_or(0);
        if schema.prefix_starts >> (first & 0x1f) & 1 == 1 {
            for (prefix, count) in schema.prefixes.iter().zip(&mut self.prefix_names) {
                if name.starts_with(prefix.text.as_bytes()) {
                    *count += 1;
                    if usize::from(*count) == prefix.max_names.saturating_add(1) {
                        self.found = true;
                        report(Finding::new(
                            None,
                            "NAME_COUNT",
                            "there are too many names of one kind",
                        ));
                    }
                    return Found::Wide(&prefix.slot);
                }
            }
        }
        if schema.unknown == Unknown::Reject && well_known(name).is_none() {
            self.found = true;
            report(Finding::new(
                None,
                "UNKNOWN_NAME",
                "a header field is not known here",
            ));
        }
        Found::None
    }

    /// What is wrong with a value, as the one after those of the same name before.
    #[inline]
    fn failure(&mut self, slot: &'s Slot, value: &[u8]) -> Option<(&'static str, &'s str)> {
        if slot.kind == Kind::Text && slot.max_items.is_none() && self.values <= slot.max_values {
            return slot.failure(value);
        }
        self.rare_failure(slot, value)
    }

    fn rare_failure(&mut self, slot: &'s Slot, value: &[u8]) -> Option<(&'static str, &'s str)> {
        match slot.kind {
            Kind::Forbidden => return Some(("FORBIDDEN", "may not be sent")),
            Kind::Text => {}
            Kind::Binary => self.values += values(value).count() - 1,
        }
        if self.values > slot.max_values {
            return Some(("DUPLICATE", "has too many values"));
        }
        match (slot.kind, slot.max_items) {
            (Kind::Binary, _) => values(value).find_map(|value| slot.binary_failure(value)),
            (_, Some(max)) => {
                let items = || value.split(|&b| b == b',').map(<[u8]>::trim_ascii);
                if items().take(max + 1).count() > max {
                    return Some(("LIST_SIZE", "has too many items"));
                }
                items().find_map(|item| slot.failure(item))
            }
            (_, None) => slot.failure(value),
        }
    }

    /// Reports what only shows when all fields are known. `lookup` gives the first value of a name.
    #[inline]
    pub fn finish<'r>(
        &self,
        lookup: &'r dyn Fn(&str) -> Option<&'r [u8]>,
        report: &mut impl FnMut(Finding<'s>),
    ) {
        let schema = self.schema;
        let mut found = self.found;
        for (place, slot) in schema.slots.iter().enumerate() {
            let word = self.present.get(place / 64).copied().unwrap_or(0);
            if slot.required && word >> (place % 64) & 1 == 0 {
                found = true;
                let name = schema.index.name(place);
                report(Finding::new(name, "REQUIRED", "must be there"));
            }
        }
        if found {
            return;
        }
        let fields = Fields { lookup };
        for cross in &schema.crosses {
            if !(cross.holds)(&fields) {
                report(Finding::new(None, cross.reason, &cross.description));
            }
        }
    }
}

impl Slot {
    #[inline]
    fn failure(&self, value: &[u8]) -> Option<(&'static str, &str)> {
        if value.len() < self.min_bytes || value.len() > self.max_bytes {
            return Some(("LENGTH", &self.length));
        }
        // A value that may be empty need not be anything else.
        if value.is_empty() {
            return None;
        }
        self.checks.iter().find_map(|check| check.failure(value))
    }

    fn binary_failure(&self, value: &[u8]) -> Option<(&'static str, &str)> {
        let fault = ("BINARY", &*self.length);
        match measure(value, self.max_bytes) {
            Ok(bytes) if bytes >= self.min_bytes => {}
            _ => return Some(fault),
        }
        if self.checks.is_empty() || value.is_empty() {
            return None;
        }
        match decode_one(value, self.max_bytes) {
            Ok(decoded) => self.checks.iter().find_map(|check| check.failure(&decoded)),
            Err(_) => Some(fault),
        }
    }
}

/// The fields of one request, for a rule across them.
pub struct Fields<'a> {
    lookup: &'a dyn Fn(&str) -> Option<&'a [u8]>,
}

impl Fields<'_> {
    /// The first value of a name, written in lower case.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        (self.lookup)(name)
    }

    /// Whether a field is there, with a value that is not empty.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| !value.is_empty())
    }
}

/// Without values.
impl fmt::Debug for Fields<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fields").finish_non_exhaustive()
    }
}
