//! One pass over the fields.

use http::HeaderMap;
use tower_plugin_core::Violation;

use super::{
    findings::field,
    glance::{Glance, fields},
};
use crate::{
    framing::{self, FRAMING},
    metadata::{self, Finding, Schema},
    sieve::Sieve,
};

/// Looks at every field, and closer at those whose names ask for it. What is wrong is kept until it is
/// known whether it is told: a limit is told alone.
pub(super) struct Closer<'r> {
    /// Of the names that ask for it.
    sieve: &'r Sieve,
    pub(super) framing: framing::Scan<'r>,
    pub(super) metadata: Option<metadata::Scan<'r>>,
    pub(super) faults: Vec<framing::Fault>,
    pub(super) wrong: Vec<Violation>,
}

impl<'r> Closer<'r> {
    pub(super) fn new(framing: framing::Scan<'r>, schema: Option<&'r Schema>) -> Self {
        Self {
            sieve: schema.map_or(&FRAMING, Schema::sieve),
            framing,
            metadata: schema.map(Schema::scan),
            faults: Vec::new(),
            wrong: Vec::new(),
        }
    }

    // By itself, so that what it gathers stays in registers.
    #[inline(never)]
    pub(super) fn look_at_all(&mut self, headers: &'r HeaderMap) -> Glance {
        let (mut glance, sieve) = (Glance::of(headers), self.sieve);
        for (nth, name, value) in fields(headers) {
            glance.look_at(name, value);
            if nth > 1 {
                glance.repeat(nth);
                self.look_at_another(nth, name, value);
            } else if sieve.may_hold(name) {
                self.look_at(nth, name, value);
            }
        }
        glance
    }

    #[inline(always)]
    fn look_at(&mut self, nth: usize, name: &'r [u8], value: &'r [u8]) {
        let faults = &mut self.faults;
        self.framing
            .next(nth, name, value, &mut |fault| keep(faults, fault));
        if let Some(metadata) = &mut self.metadata {
            let wrong = &mut self.wrong;
            metadata.next(nth, name, value, &mut |finding| note(wrong, finding));
        }
    }

    /// Looks at a field that is not the first of its name: one that must be the only one need not be in
    /// the sieve.
    #[cold]
    fn look_at_another(&mut self, nth: usize, name: &'r [u8], value: &'r [u8]) {
        if self.sieve.may_hold(name) {
            return self.look_at(nth, name, value);
        }
        let faults = &mut self.faults;
        self.framing
            .next(nth, name, value, &mut |fault| keep(faults, fault));
    }
}

/// Keeps one more than is told, so that the caller learns that there are more.
#[cold]
fn keep(faults: &mut Vec<framing::Fault>, fault: framing::Fault) {
    if faults.len() <= MAX_VIOLATIONS {
        faults.push(fault);
    }
}

/// The same.
#[cold]
pub(super) fn note(wrong: &mut Vec<Violation>, finding: Finding<'_>) {
    if wrong.len() <= MAX_VIOLATIONS {
        wrong.push(Violation::new(
            field(finding.name()),
            finding.reason(),
            finding.to_description(),
        ));
    }
}

const MAX_VIOLATIONS: usize = 16;
