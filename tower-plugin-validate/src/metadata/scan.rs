//! Engine: one request under a schema.

use core::fmt;

use super::{
    Finding, Unknown,
    bin::{decode_one, measure, values},
    build::MAX_PREFIXES,
    finding::Words,
    rule::Kind,
    schema::{Compiled, Places, Slot},
};
use crate::framing::well_known;

/// Checks one request's fields. Made by [`Schema::scan`](super::Schema::scan).
#[derive(Clone, Debug)]
pub struct Scan<'s> {
    schema: &'s Compiled,
    /// Of the field before.
    rule: Option<&'s Slot>,
    previous: &'s [u8],
    /// How many fields have had the name of the last one.
    nth: usize,
    /// How many values they hold.
    values: usize,
    /// Required names that were there with a value that is not empty.
    present: Places,
    prefix_names: [u16; MAX_PREFIXES],
    found: bool,
}

impl<'s> Scan<'s> {
    #[inline]
    pub(super) const fn new(schema: &'s Compiled) -> Self {
        Self {
            schema,
            rule: None,
            previous: &[],
            nth: 0,
            values: 0,
            present: Places::NONE,
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
        let again = self.nth > 0 && name == self.previous;
        self.nth = if again { self.nth + 1 } else { 1 };
        self.previous = name;
        self.next(self.nth, name, value, report);
    }

    /// Looks at a field, the `nth` of its name. All fields of a name are looked at, or none.
    #[inline(always)]
    pub(crate) fn next(
        &mut self,
        nth: usize,
        name: &[u8],
        value: &[u8],
        report: &mut impl FnMut(Finding<'s>),
    ) {
        if nth == 1 {
            self.values = 0;
            self.rule = self.look_up(name, report);
        }
        self.values += 1;
        let Some(slot) = self.rule else { return };
        if let Some((reason, description)) = self.failure(slot, value) {
            self.found = true;
            let name = slot.place.and_then(|place| self.schema.index.name(place));
            report(Finding::new(name, reason, description));
        }
        if slot.required
            && !value.is_empty()
            && let Some(place) = slot.place
        {
            self.present.add(place);
        }
    }

    /// The rule of a name that was not there before.
    #[inline]
    fn look_up(&mut self, name: &[u8], report: &mut impl FnMut(Finding<'s>)) -> Option<&'s Slot> {
        let schema = self.schema;
        if let Some(place) = schema.index.find(name) {
            return schema.slots.get(place);
        }
        self.look_further(name, report)
    }

    /// The rule of a name that has none of its own.
    #[inline(never)]
    fn look_further(
        &mut self,
        name: &[u8],
        report: &mut impl FnMut(Finding<'s>),
    ) -> Option<&'s Slot> {
        let schema = self.schema;
        if let Some(slot) = schema
            .any_binary
            .as_ref()
            .filter(|_| name.ends_with(b"-bin"))
        {
            return Some(slot);
        }
        for (prefix, count) in schema.prefixes.iter().zip(&mut self.prefix_names) {
            if name.starts_with(prefix.text.as_bytes()) {
                *count += 1;
                if usize::from(*count) == prefix.max_names.saturating_add(1) {
                    self.found = true;
                    report(Finding::new(
                        None,
                        "NAME_COUNT",
                        Words::Ours("there are too many names of one kind"),
                    ));
                }
                return Some(&prefix.slot);
            }
        }
        if schema.unknown == Unknown::Reject && well_known(name).is_none() {
            self.found = true;
            report(Finding::new(
                None,
                "UNKNOWN_NAME",
                Words::Ours("a header field is not known here"),
            ));
        }
        None
    }

    /// What is wrong with a value, as the one after those of the same name before.
    #[inline]
    fn failure(&mut self, slot: &'s Slot, value: &[u8]) -> Option<(&'static str, Words<'s>)> {
        if slot.is_simple && self.values <= slot.max_values {
            return slot.failure(value);
        }
        self.rare_failure(slot, value)
    }

    fn rare_failure(&mut self, slot: &'s Slot, value: &[u8]) -> Option<(&'static str, Words<'s>)> {
        match slot.kind {
            Kind::Forbidden => return Some(("FORBIDDEN", Words::Ours("may not be sent"))),
            Kind::Text => {}
            Kind::Binary => self.values += values(value).count() - 1,
        }
        if self.values > slot.max_values {
            return Some(("DUPLICATE", Words::Ours("has too many values")));
        }
        match (slot.kind, slot.max_items) {
            (Kind::Binary, _) => values(value).find_map(|value| slot.binary_failure(value)),
            (_, Some(max)) => {
                let items = || value.split(|&b| b == b',').map(<[u8]>::trim_ascii);
                if items().take(max + 1).count() > max {
                    return Some(("LIST_SIZE", Words::Ours("has too many items")));
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
        if self.present != schema.required {
            self.find_missing(report);
            return;
        }
        if self.found {
            return;
        }
        let fields = Fields { lookup };
        for cross in &schema.crosses {
            if !(cross.holds)(&fields) {
                report(Finding::new(
                    None,
                    cross.reason,
                    Words::Schema(&cross.description),
                ));
            }
        }
    }
}

impl<'s> Scan<'s> {
    #[cold]
    fn find_missing(&self, report: &mut impl FnMut(Finding<'s>)) {
        for slot in self.schema.slots.iter().filter(|slot| slot.required) {
            if let Some(place) = slot.place.filter(|&place| !self.present.hold(place)) {
                let name = self.schema.index.name(place);
                let words = Words::Ours("must be there");
                report(Finding::new(name, "REQUIRED", words));
            }
        }
    }
}

impl Slot {
    #[inline]
    fn failure(&self, value: &[u8]) -> Option<(&'static str, Words<'_>)> {
        if value.len() < self.min_bytes || value.len() > self.max_bytes {
            return Some(("LENGTH", Words::Schema(&self.length)));
        }
        // A value that may be empty need not be anything else.
        if value.is_empty() {
            return None;
        }
        let broken = self.checks.iter().find(|check| !check.holds(value))?;
        Some(broken.failure(value))
    }

    fn binary_failure(&self, value: &[u8]) -> Option<(&'static str, Words<'_>)> {
        let fault = ("BINARY", Words::Schema(&self.length));
        match measure(value, self.max_bytes) {
            Ok(bytes) if bytes >= self.min_bytes => {}
            _ => return Some(fault),
        }
        if self.checks.is_empty() || value.is_empty() {
            return None;
        }
        match decode_one(value, self.max_bytes) {
            Ok(decoded) => {
                let broken = self.checks.iter().find(|check| !check.holds(&decoded))?;
                Some(broken.failure(&decoded))
            }
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
