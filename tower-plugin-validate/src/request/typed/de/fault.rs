use core::fmt;

use serde::de;

/// What is wrong with a field. `serde`'s own words are dropped: they repeat the value.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Fault {
    field: Option<&'static str>,
    reason: &'static str,
    description: &'static str,
}

impl Fault {
    const fn new(reason: &'static str, description: &'static str) -> Self {
        Self {
            field: None,
            reason,
            description,
        }
    }

    /// The field it is about, unless one further in is known.
    pub(super) fn of(self, field: &'static str) -> Self {
        Self {
            field: self.field.or(Some(field)),
            ..self
        }
    }

    pub(in super::super) const fn field(&self) -> Option<&'static str> {
        self.field
    }

    pub(in super::super) const fn reason(&self) -> &'static str {
        self.reason
    }

    pub(in super::super) const fn description(&self) -> &'static str {
        self.description
    }

    pub(in super::super) fn is_unsupported(&self) -> bool {
        self.reason == UNSUPPORTED.reason
    }
}

pub(super) const BYTES: Fault = Fault::new("BINARY", "must be base64");
pub(super) const DUPLICATE: Fault = Fault::new("DUPLICATE", "has too many values");
pub(super) const FLAG: Fault = Fault::new("BOOLEAN", "must be true or false");
pub(super) const NUMBER: Fault = Fault::new("NUMBER", "must be a number in range");
pub(super) const PROBED: Fault = Fault::new("PROBED", "is there");
pub(super) const TEXT: Fault = Fault::new("VALUE_CHARS", "must be UTF-8");
pub(super) const UNSUPPORTED: Fault =
    Fault::new("UNSUPPORTED", "cannot be read from a header field");

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.description)
    }
}

impl core::error::Error for Fault {}

impl de::Error for Fault {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self::new("FORMAT", "is not of the form it must have")
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new("REQUIRED", "must be there").of(field)
    }

    fn unknown_variant(_: &str, _: &'static [&'static str]) -> Self {
        Self::new("ONE_OF", "must be one of a few words")
    }
}
