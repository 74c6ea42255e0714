use std::fmt;

/// A quota that cannot be: it would admit nothing, or its arithmetic would overflow.
///
/// Its message is the rule that is broken. `Debug`, which is what `unwrap` and a `main` that returns it print, also has the
/// beginning of the text that was read.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct InvalidQuota {
    kind: InvalidQuotaKind,
    /// Empty if it was not made of a text.
    text: Excerpt,
}

/// What is wrong with a quota.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum InvalidQuotaKind {
    /// The burst is 0, takes more than 146 years to come back, or is set on what is not a rate.
    Burst,
    /// The count is 0.
    Count,
    /// The period is not in 1 ms to 366 days.
    Period,
    /// The rate is above 10^9 per second.
    Rate,
    /// There are no replicas.
    Replicas,
    /// The text is not `COUNT/PERIOD[:BURST]`.
    Syntax,
}

impl InvalidQuota {
    pub(super) const fn new(kind: InvalidQuotaKind) -> Self {
        let text = Excerpt {
            bytes: [0; MAX_EXCERPT],
            length: 0,
        };
        Self { kind, text }
    }

    pub(super) fn in_text(self, text: &str) -> Self {
        Self {
            text: Excerpt::of(text),
            ..self
        }
    }

    /// What is wrong.
    #[must_use]
    pub const fn kind(self) -> InvalidQuotaKind {
        self.kind
    }
}

impl fmt::Display for InvalidQuota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            InvalidQuotaKind::Burst => {
                "quota: burst goes with a rate, must be at least 1 and come back within 146 years"
            }
            InvalidQuotaKind::Count => "quota: count must be in 1 to 4294967295",
            InvalidQuotaKind::Period => "quota: period must be in 1 ms to 366 days",
            InvalidQuotaKind::Rate => "quota: rate must be at most 1000000000 per second",
            InvalidQuotaKind::Replicas => "quota: replicas must be at least 1",
            InvalidQuotaKind::Syntax => {
                "quota: expected COUNT/PERIOD[:BURST] with a period in ns, us, ms, s, m, h or d, e.g. \
                 10/s:20, or <=COUNT/PERIOD, or COUNT/utc-minute, utc-hour, utc-day or utc-month"
            }
        })
    }
}

impl fmt::Debug for InvalidQuota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("InvalidQuota");
        shown.field("kind", &self.kind);
        if self.text.length > 0 {
            shown.field("text", &self.text.as_str());
        }
        shown.field("message", &format_args!("{self}")).finish()
    }
}

impl std::error::Error for InvalidQuota {}

/// The beginning of a text, in place: constructors are `const`, and their error is `Copy`.
#[derive(Clone, Copy, Eq, PartialEq)]
struct Excerpt {
    bytes: [u8; MAX_EXCERPT],
    length: u8,
}

impl Excerpt {
    fn of(text: &str) -> Self {
        let mut bytes = [0; MAX_EXCERPT];
        let ends = text.char_indices().map(|(at, it)| at + it.len_utf8());
        let length = ends.take_while(|end| *end <= MAX_EXCERPT).last();
        let length = length.unwrap_or_default();
        for (to, from) in bytes.iter_mut().zip(text.bytes().take(length)) {
            *to = from;
        }
        Self {
            bytes,
            length: length as u8,
        }
    }

    fn as_str(&self) -> &str {
        let text = self.bytes.get(..self.length.into()).unwrap_or_default();
        str::from_utf8(text).unwrap_or_default()
    }
}

/// Longer than any quota has to be.
const MAX_EXCERPT: usize = 40;
