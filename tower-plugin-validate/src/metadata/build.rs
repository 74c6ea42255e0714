//! Engine: from rules by name to a schema.

use core::fmt;
use std::{borrow::Cow, sync::Arc};

use super::{
    Fields, Rule, Schema, Unknown,
    check::Check,
    index::Index,
    rule::Kind,
    schema::{Compiled, Cross, Places, Prefix, Slot},
};
use crate::{framing::FRAMING, sieve::Sieve};

/// Collects the rules of a [`Schema`]. The last rule given for a name or a prefix counts; nothing
/// is checked before [`build`](Self::build).
#[derive(Clone, Debug, Default)]
#[must_use = "a builder does nothing until it is built"]
pub struct SchemaBuilder {
    keys: Vec<(Cow<'static, str>, Rule)>,
    prefixes: Vec<(Cow<'static, str>, Rule)>,
    any_binary: Option<Rule>,
    crosses: Vec<Cross>,
    unknown: Unknown,
}

impl SchemaBuilder {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// The rule of a name, written in lower case.
    pub fn key(mut self, name: impl Into<Cow<'static, str>>, rule: impl Into<Rule>) -> Self {
        put(&mut self.keys, name.into(), rule.into());
        self
    }

    /// The rule of each name that starts so and has no rule of its own. Of several prefixes, the
    /// longest counts.
    pub fn prefix(mut self, prefix: impl Into<Cow<'static, str>>, rule: impl Into<Rule>) -> Self {
        put(&mut self.prefixes, prefix.into(), rule.into());
        self
    }

    /// The rule of each name that ends in `-bin` and has no rule of its own; it counts more than
    /// that of a prefix.
    pub fn any_binary(mut self, rule: Rule) -> Self {
        self.any_binary = Some(rule);
        self
    }

    /// Forbids these names, e.g. [`RISKY_NAMES`](super::RISKY_NAMES).
    pub fn forbid<I>(self, names: I) -> Self
    where
        I: IntoIterator<Item: Into<Cow<'static, str>>>,
    {
        let names = names.into_iter();
        names.fold(self, |builder, name| builder.key(name, Rule::forbidden()))
    }

    /// What happens to names without a rule. Unless said otherwise, they pass.
    pub const fn unknown(mut self, unknown: Unknown) -> Self {
        self.unknown = unknown;
        self
    }

    /// A rule across fields, asked when every field by itself is in order. `reason` and
    /// `description` as in [`Rule::custom`], the description a whole sentence.
    pub fn cross(
        mut self,
        reason: &'static str,
        description: impl Into<Box<str>>,
        holds: impl Fn(&Fields<'_>) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.crosses.push(Cross {
            reason,
            description: description.into(),
            holds: Arc::new(holds),
        });
        self
    }

    /// Checks the rules and compiles them.
    ///
    /// # Errors
    ///
    /// [`InvalidSchema`] with the first name and what is wrong with it: not a field name in lower
    /// case; a number outside the range its method states; a range or a list of nothing; a rule for
    /// text on a `-bin` name or for base64 on another; `required`, `max_names` or `repeated` where
    /// they mean nothing; a reason that is not `UPPER_SNAKE_CASE`; more than 256 names, 16 prefixes
    /// or 64 rules across fields.
    pub fn build(self) -> Result<Schema, InvalidSchema> {
        let too_many = |what: &str, count, max, problem| {
            let name = what.to_owned().into();
            if count > max {
                Err(InvalidSchema { name, problem })
            } else {
                Ok(())
            }
        };
        too_many("keys", self.keys.len(), 256, "must be at most 256")?;
        too_many(
            "prefixes",
            self.prefixes.len(),
            MAX_PREFIXES,
            "must be at most 16",
        )?;
        too_many("cross", self.crosses.len(), 64, "must be at most 64")?;
        for (name, rule) in &self.keys {
            check_rule(name, rule, Place::Key)?;
        }
        for (prefix, rule) in &self.prefixes {
            check_rule(prefix, rule, Place::Prefix)?;
        }
        if let Some(rule) = &self.any_binary {
            if rule.required {
                return Err(InvalidSchema::of(
                    "any_binary",
                    "is no name: required is for names",
                ));
            }
            check_rule("any-bin", rule, Place::Key)?;
        }
        for cross in &self.crosses {
            if !is_reason(cross.reason) {
                return Err(InvalidSchema::of(cross.reason, NOT_A_REASON));
            }
        }
        Ok(self.compile())
    }

    pub(super) fn compile(self) -> Schema {
        let source = self.clone();
        let (names, rules): (Vec<_>, Vec<_>) = self.keys.into_iter().unzip();
        let mut prefixes: Vec<_> = self
            .prefixes
            .into_iter()
            .map(|(text, rule)| Prefix {
                text: text.into(),
                max_names: rule.max_names.unwrap_or(usize::MAX),
                slot: rule.into(),
            })
            .collect();
        prefixes.sort_by_key(|prefix| core::cmp::Reverse(prefix.text.len()));
        let sieve = if self.any_binary.is_none() && self.unknown == Unknown::Allow {
            let texts = prefixes.iter().map(|prefix| prefix.text.as_bytes());
            let sieve = texts.fold(FRAMING.clone(), Sieve::with_prefix);
            let names = names.iter().map(|name| name.as_bytes());
            names.fold(sieve, Sieve::with)
        } else {
            Sieve::EVERYTHING
        };
        let rules = rules.into_iter().enumerate();
        let slots: Box<[_]> = rules.map(|(place, rule)| Slot::at(place, rule)).collect();
        let mut required = Places::NONE;
        for place in slots
            .iter()
            .filter(|slot| slot.required)
            .filter_map(|slot| slot.place)
        {
            required.add(place);
        }
        Schema {
            compiled: Arc::new(Compiled {
                source,
                index: Index::new(names.into_iter().map(Into::into).collect()),
                slots,
                prefixes: prefixes.into(),
                any_binary: self.any_binary.map(Slot::from),
                crosses: self.crosses.into(),
                unknown: self.unknown,
                sieve,
                required,
            }),
        }
    }
}

fn put(list: &mut Vec<(Cow<'static, str>, Rule)>, name: Cow<'static, str>, rule: Rule) {
    list.retain(|(known, _)| *known != name);
    list.push((name, rule));
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Place {
    Key,
    Prefix,
}

fn check_rule(name: &str, rule: &Rule, place: Place) -> Result<(), InvalidSchema> {
    let fail = |problem| Err(InvalidSchema::of(name, problem));
    let token =
        |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"!#$%&'*+-.^_`|~".contains(&b);
    if !(1..=MAX_NAME).contains(&name.len()) || !name.bytes().all(token) {
        return fail("must be a field name of 1 to 256 bytes in lower case");
    }
    let is_bin = place == Place::Key && name.ends_with("-bin");
    if rule.kind == Kind::Text && is_bin {
        return fail("ends in -bin: the rule must be Rule::binary");
    }
    if rule.kind == Kind::Binary && !is_bin {
        return fail("does not end in -bin: the rule must not be Rule::binary");
    }
    if place == Place::Prefix && rule.required {
        return fail("is a prefix: required is for names");
    }
    if place == Place::Key && rule.max_names.is_some() {
        return fail("is a name: max_names is for prefixes");
    }
    let counts = [Some(rule.max_values), rule.max_items, rule.max_names];
    if counts
        .iter()
        .flatten()
        .any(|count| !(1..=1024).contains(count))
    {
        return fail("repeated, list and max_names must be between 1 and 1024");
    }
    if rule.kind == Kind::Binary && rule.max_items.is_some() {
        return fail("ends in -bin, which repeated makes a list: list must not be set");
    }
    if !(1..=MAX_BYTES).contains(&rule.max_bytes) {
        return fail("max_bytes must be between 1 and 1048576");
    }
    if rule.min_bytes > rule.max_bytes {
        return fail("min_bytes must be between 0 and max_bytes");
    }
    if rule.kind == Kind::Forbidden && (rule.required || !rule.checks.is_empty()) {
        return fail("is forbidden: no other rule applies");
    }
    for check in &rule.checks {
        match check {
            Check::Custom { reason, .. } if !is_reason(reason) => return fail(NOT_A_REASON),
            Check::Integer { min, max, .. } if min > max => {
                return fail("integer must be given a range that is not empty");
            }
            Check::OneOf { values, .. } if !(1..=1024).contains(&values.len()) => {
                return fail("one_of must be given between 1 and 1024 values");
            }
            Check::Custom { .. } => {}
            _ if rule.kind == Kind::Binary => return fail("is base64: only custom checks apply"),
            _ => {}
        }
    }
    Ok(())
}

/// `google.rpc.ErrorInfo`'s rule for reasons.
fn is_reason(reason: &str) -> bool {
    (1..=63).contains(&reason.len())
        && reason
            .bytes()
            .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}

/// Rules that make no sense.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct InvalidSchema {
    name: Box<str>,
    problem: &'static str,
}

impl InvalidSchema {
    fn of(name: &str, problem: &'static str) -> Self {
        Self {
            name: name.into(),
            problem,
        }
    }

    /// The name, prefix or reason it is about, or `keys`, `prefixes` or `cross`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for InvalidSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}", self.name, self.problem)
    }
}

impl core::error::Error for InvalidSchema {}

pub(super) const MAX_PREFIXES: usize = 16;
const MAX_NAME: usize = 256;
const MAX_BYTES: usize = 1 << 20;
const NOT_A_REASON: &str = "must have a reason of 1 to 63 characters, A-Z, 0-9 and _";
