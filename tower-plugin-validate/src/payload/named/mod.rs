//! Engine: deserialization that remembers where it failed, in the names of the type alone.
//!
//! A type tells a deserializer the names of its fields. A name in the input that is one of those is followed under the
//! type's spelling; any other, such as a key of a map, is the caller's and becomes `*`. What the type or the parser
//! had to say of the failure is dropped before it is written: it would quote the input.

use std::{
    cell::{Cell, RefCell},
    convert::Infallible,
};

use serde::de::{Deserialize, Deserializer};

use self::{deserializer::Named, fault::Fault};
use super::check::{Step, push_step};

mod access;
mod deserializer;
mod fault;
#[cfg(test)]
mod tests;
mod visitor;

/// Deserializes, or says where and why it could not.
pub(super) fn deserialize<'de, T, D>(deserializer: D) -> Result<T, Failure<D::Error>>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    let trail = Trail::default();
    T::deserialize(Named::new(deserializer, &trail)).map_err(|fault| {
        let (why, source) = match fault {
            Fault::Told(why) => (why, None),
            Fault::Inner(error) => match trail.why.take() {
                // It is our own, on its way through the deserializer.
                Some(why) => (why, None),
                // serde's own words for it, which a deserializer that looks ahead says itself.
                None if error.to_string().starts_with("invalid type") => (Why::Type, Some(error)),
                None => (Why::Unreadable, Some(error)),
            },
        };
        let path = trail.render(why);
        Failure { path, why, source }
    })
}

/// A value, or what its type had to say of the input; if the deserializer had, that remains its error.
///
/// For a deserializer that nobody but its own crate can make.
#[derive(Debug)]
pub(super) struct Told<T>(pub(super) Result<T, Failure<Infallible>>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Told<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match deserialize(deserializer) {
            Ok(value) => Ok(Self(Ok(value))),
            Err(Failure { path, why, source }) => match source {
                Some(error) => Err(error),
                None => Ok(Self(Err(Failure {
                    path,
                    why,
                    source: None,
                }))),
            },
        }
    }
}

/// Where and why a text is not of its type.
#[derive(Debug)]
pub(super) struct Failure<E> {
    path: String,
    why: Why,
    source: Option<E>,
}

impl<E> Failure<E> {
    /// In the form of [`Violations::add`](super::Violations::add).
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    pub(super) const fn why(&self) -> Why {
        self.why
    }

    /// The parser's own error, if it was the parser's. It may quote the input.
    pub(super) const fn source(&self) -> Option<&E> {
        self.source.as_ref()
    }
}

/// What is wrong with a field.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Why {
    Duplicate(&'static str),
    Length,
    Missing(&'static str),
    Type,
    Unknown,
    Unreadable,
    Value,
    Variant,
}

impl Why {
    pub(super) const fn reason(self) -> &'static str {
        match self {
            Self::Duplicate(_) => "DUPLICATE",
            Self::Length => "LENGTH",
            Self::Missing(_) => "REQUIRED",
            Self::Type => "TYPE",
            Self::Unknown => "UNKNOWN_FIELD",
            Self::Unreadable | Self::Value => "VALUE",
            Self::Variant => "ENUM",
        }
    }

    pub(super) const fn description(self) -> &'static str {
        match self {
            Self::Duplicate(_) => "must be there once",
            Self::Length => "must have as many elements as are asked for",
            Self::Missing(_) => "is required",
            Self::Type => "is of the wrong type",
            Self::Unknown => "holds a field that is not known",
            Self::Unreadable | Self::Value => "has a value that is not allowed",
            Self::Variant => "must be one of the values allowed",
        }
    }
}

/// The way to the value that is being read.
#[derive(Debug, Default)]
struct Trail {
    steps: RefCell<Vec<Step<'static>>>,
    /// The name read last, while its value is not.
    name: Cell<Option<&'static str>>,
    /// What a type said of its input, while that is on its way out.
    why: Cell<Option<Why>>,
}

impl Trail {
    fn len(&self) -> usize {
        self.steps.borrow().len()
    }

    /// Leaves what is below `depth`, and takes a step from there.
    fn enter(&self, depth: usize, step: Step<'static>) {
        let mut steps = self.steps.borrow_mut();
        steps.truncate(depth);
        steps.push(step);
    }

    /// What failed below and was made up for, such as by a default, is no failure any more.
    fn leave(&self, depth: usize) {
        self.steps.borrow_mut().truncate(depth);
        self.why.set(None);
    }

    fn render(&self, why: Why) -> String {
        let mut out = String::new();
        for &step in &*self.steps.borrow() {
            push_step(&mut out, step);
        }
        if let Why::Missing(name) | Why::Duplicate(name) = why {
            push_step(&mut out, Step::Name(name));
        }
        out
    }
}

/// Stands for a name that is not the type's.
const ANY: &str = "*";
