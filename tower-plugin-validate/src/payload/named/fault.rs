//! Engine: an error that keeps the kind of failure and none of its words.

use std::fmt;

use serde::de::{Error, Expected, Unexpected};

use super::{Trail, Why};

/// What the deserializer said, or what a type said of what it was given.
#[derive(Debug)]
pub(super) enum Fault<E> {
    Inner(E),
    Told(Why),
}

impl<E: Error> Fault<E> {
    /// Sends it through a deserializer, whose errors are of another type.
    pub(super) fn through(self, trail: &Trail) -> E {
        match self {
            Self::Inner(error) => error,
            Self::Told(why) => {
                trail.why.set(Some(why));
                E::custom("")
            }
        }
    }
}

impl<E: fmt::Display> fmt::Display for Fault<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inner(error) => error.fmt(f),
            Self::Told(why) => f.write_str(why.description()),
        }
    }
}

impl<E: Error> std::error::Error for Fault<E> {}

impl<E: Error> Error for Fault<E> {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self::Told(Why::Value)
    }

    fn invalid_type(_: Unexpected<'_>, _: &dyn Expected) -> Self {
        Self::Told(Why::Type)
    }

    fn invalid_value(_: Unexpected<'_>, _: &dyn Expected) -> Self {
        Self::Told(Why::Value)
    }

    fn invalid_length(_: usize, _: &dyn Expected) -> Self {
        Self::Told(Why::Length)
    }

    fn unknown_variant(_: &str, _: &'static [&'static str]) -> Self {
        Self::Told(Why::Variant)
    }

    fn unknown_field(_: &str, _: &'static [&'static str]) -> Self {
        Self::Told(Why::Unknown)
    }

    fn missing_field(field: &'static str) -> Self {
        Self::Told(Why::Missing(field))
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::Told(Why::Duplicate(field))
    }
}
