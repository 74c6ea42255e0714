//! Engine: regular expressions of the user.

use core::fmt;
use std::sync::Arc;

use regex_automata::{
    Input,
    dfa::{Automaton, StartKind, dense},
    util::syntax,
};

/// A regular expression that is matched in one step per octet, whatever the expression and the
/// input: it is compiled to a table when it is made, and one whose table would be too large is an
/// error then. It has to match the whole of a value.
///
/// ```
/// use tower_plugin_validate::metadata::{Pattern, Rule, Schema};
///
/// let ticket = Pattern::new("[A-Z]{2,5}-[0-9]{1,6}", "must be a ticket such as AB-12")?;
/// assert!(ticket.is_match(b"AB-12"));
/// assert!(!ticket.is_match(b"AB-12 "));
/// let schema = Schema::builder().key("x-ticket", Rule::pattern(ticket)).build()?;
/// # let _ = schema;
/// assert!(Pattern::new("(", "").is_err());
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Pattern {
    table: Arc<dense::DFA<Vec<u32>>>,
    description: Arc<str>,
}

impl Pattern {
    /// Compiles an expression in the syntax of the `regex` crate, about octets: `.` is one octet and
    /// `\w` an ASCII word character, unless the expression says `(?u)`, which needs larger tables.
    /// `description` is what a caller is told of a value that does not match.
    ///
    /// # Errors
    ///
    /// [`InvalidPattern`] if it is no expression, is longer than 4 KiB, or its table would take
    /// more than 256 KiB.
    pub fn new(expression: &str, description: impl Into<Box<str>>) -> Result<Self, InvalidPattern> {
        if expression.len() > MAX_EXPRESSION {
            return Err(InvalidPattern(()));
        }
        let syntax = syntax::Config::new()
            .unicode(false)
            .utf8(false)
            .nest_limit(32);
        let config = dense::Config::new()
            .start_kind(StartKind::Anchored)
            .dfa_size_limit(Some(MAX_TABLE))
            .determinize_size_limit(Some(4 * MAX_TABLE));
        let thompson = regex_automata::nfa::thompson::Config::new().nfa_size_limit(Some(MAX_TABLE));
        // By itself, so that its parentheses cannot close those put around it.
        syntax::parse_with(expression, &syntax).map_err(|_| InvalidPattern(()))?;
        let table = dense::Builder::new()
            .configure(config)
            .syntax(syntax)
            .thompson(thompson)
            .build(&format!(r"(?:{expression})\z"))
            .map_err(|_| InvalidPattern(()))?;
        Ok(Self {
            table: Arc::new(table),
            description: Arc::from(description.into()),
        })
    }

    /// Whether the whole of a value matches.
    #[must_use]
    pub fn is_match(&self, value: &[u8]) -> bool {
        let input = Input::new(value)
            .anchored(regex_automata::Anchored::Yes)
            .earliest(true);
        // An error is a state machine that gave up, which this one is not told to do.
        matches!(self.table.try_search_fwd(&input), Ok(Some(_)))
    }

    pub(super) fn description(&self) -> &str {
        &self.description
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pattern").field(&self.description).finish()
    }
}

/// An expression that cannot be compiled within the limits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct InvalidPattern(());

impl fmt::Display for InvalidPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "pattern must be a regular expression of at most 4096 bytes whose table is at most 256 KiB",
        )
    }
}

impl core::error::Error for InvalidPattern {}

const MAX_EXPRESSION: usize = 4096;
const MAX_TABLE: usize = 256 * 1024;
