use core::{any::type_name, cell::Cell, fmt};

use http::HeaderMap;
use serde::de::DeserializeOwned;
use tower_plugin_core::Violation;

use super::{
    TypedMetadata,
    de::{Fault, Headers},
};
use crate::{
    payload::{Check, Violations},
    request::findings::field,
};

impl TypedMetadata {
    /// Parses into a struct that derives `serde::Deserialize`.
    ///
    /// Its fields are named like the header fields, with `rename_all = "kebab-case"` or `rename`. A
    /// field is a text, a number, a `bool`, an enum of plain variants, or anything that is read
    /// from a text; `Option` and `default` make it optional, `Vec` lets it be repeated. Bytes (as
    /// `serde_bytes` has them) are decoded from `-bin` fields. Other header fields are not looked
    /// at. Numbers have no plus sign, and are finite.
    ///
    /// The first field that is wrong is reported.
    ///
    /// ```
    /// use serde::Deserialize;
    /// use tower_plugin_validate::{RuleSet, TypedMetadata};
    ///
    /// #[derive(Deserialize)]
    /// #[serde(rename_all = "kebab-case")]
    /// struct Caller {
    ///     x_tenant_id: u64,
    ///     x_region: Option<String>,
    /// }
    ///
    /// let rules = RuleSet::http().with_typed(TypedMetadata::of::<Caller>()?);
    /// # let _ = rules;
    /// # Ok::<_, tower_plugin_validate::InvalidType>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`InvalidType`] if it is no struct, or a field of it is a struct, a map or the like, or is
    /// flattened.
    #[cfg_attr(docsrs, doc(cfg(feature = "serde")))]
    pub fn of<T>() -> Result<Self, InvalidType>
    where
        T: DeserializeOwned + Send + Sync + 'static,
    {
        fields_of::<T>()?;
        Ok(Self::parsed_by(parse::<T>))
    }

    /// Parses as [`of`](Self::of) does, and then asks the struct's own [`Check`]: that of
    /// `validator`'s derive (feature `validator`), or one you wrote.
    ///
    /// A field is looked for among the header fields by its name in the program, `_` for `-`; one
    /// that has another name there is reported as `header`. Prefer [`Format::Email`] in a schema to
    /// `validator`'s `email` rule, which takes `a@<script>[127.0.0.1]` for one.
    ///
    /// ```
    /// use serde::Deserialize;
    /// use tower_plugin_validate::{
    ///     RuleSet, TypedMetadata,
    ///     payload::{Check, Violations},
    /// };
    ///
    /// #[derive(Deserialize)]
    /// #[serde(rename_all = "kebab-case")]
    /// struct Range {
    ///     x_from: u32,
    ///     x_to: u32,
    /// }
    ///
    /// impl Check for Range {
    ///     fn check(&self) -> Result<(), Violations> {
    ///         let mut violations = Violations::new();
    ///         if self.x_from > self.x_to {
    ///             violations.add("x_to", "RANGE", "must not be less than x-from");
    ///         }
    ///         violations.into_result()
    ///     }
    /// }
    ///
    /// let rules = RuleSet::http().with_typed(TypedMetadata::checked::<Range>()?);
    /// # let _ = rules;
    /// # Ok::<_, tower_plugin_validate::InvalidType>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`of`](Self::of).
    ///
    /// [`Format::Email`]: crate::format::Format::Email
    #[cfg_attr(docsrs, doc(cfg(feature = "serde")))]
    pub fn checked<T>() -> Result<Self, InvalidType>
    where
        T: DeserializeOwned + Check + Send + Sync + 'static,
    {
        let fields = fields_of::<T>()?;
        Ok(Self::parsed_by(move |headers| {
            let value: T = parse(headers)?;
            match value.check() {
                Ok(()) => Ok(value),
                Err(violations) => Err(in_headers(violations, fields)),
            }
        }))
    }
}

/// The same violations, at the header fields.
fn in_headers(violations: Violations, fields: &[&'static str]) -> Vec<Violation> {
    let violations = violations.into_iter().map(|violation| {
        let header = violation.field().replace('_', "-");
        let known = |known: &&&'static str| known.eq_ignore_ascii_case(&header);
        violation.with_field(field(fields.iter().find(known).copied()))
    });
    violations.collect()
}

/// The names of the fields.
fn fields_of<T: DeserializeOwned>() -> Result<&'static [&'static str], InvalidType> {
    let names = Cell::new(None);
    let invalid = InvalidType {
        type_name: type_name::<T>(),
    };
    let mut field = 0;
    loop {
        let stopped = T::deserialize(Headers::Probe(field, &names));
        if stopped.is_err_and(|fault| fault.is_unsupported()) {
            return Err(invalid);
        }
        let fields = names.get().ok_or(invalid)?;
        field += 1;
        if field >= fields.len() {
            return Ok(fields);
        }
    }
}

fn parse<T: DeserializeOwned>(headers: &HeaderMap) -> Result<T, Vec<Violation>> {
    T::deserialize(Headers::Request(headers)).map_err(|fault: Fault| {
        let place = field(fault.field());
        vec![Violation::new(place, fault.reason(), fault.description())]
    })
}

/// A type that header fields cannot be parsed into.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct InvalidType {
    type_name: &'static str,
}

impl fmt::Display for InvalidType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { type_name } = self;
        write!(
            f,
            "{type_name} must be a struct of texts, numbers, lists of these and the like, none flattened"
        )
    }
}

impl core::error::Error for InvalidType {}
