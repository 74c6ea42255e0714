//! Engine: the metadata map of a message, as connect-plugin hosts take it.

use core::fmt;

use crate::format::metadata_key;

/// How much a map of metadata in a message may hold: `client_metadata` of a handshake, the metadata
/// of a registration. For header fields there is [`Limits`](crate::limits::Limits).
///
/// ```
/// use tower_plugin_validate::metadata::{Entries, EntryFault};
///
/// let entries = [("region", "eu-1"), ("base_url", "http://logger:8082")];
/// assert_eq!(Entries::plugin().check(entries), Ok(()));
/// assert_eq!(Entries::plugin().check([("note", "a\r\nb")]), Err(EntryFault::ValueChars));
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Entries {
    count: usize,
    key_bytes: usize,
    value_bytes: usize,
    total_bytes: usize,
}

impl Entries {
    /// 100 entries, keys of 256 bytes, values of 4096, together 64 KiB.
    #[must_use]
    pub const fn plugin() -> Self {
        Self {
            count: 100,
            key_bytes: 256,
            value_bytes: 4096,
            total_bytes: 64 * 1024,
        }
    }

    /// The most entries.
    #[must_use]
    pub const fn with_count(mut self, entries: usize) -> Self {
        self.count = entries;
        self
    }

    /// The longest key in bytes; at most 256, whatever is said here.
    #[must_use]
    pub const fn with_key_bytes(mut self, bytes: usize) -> Self {
        self.key_bytes = bytes;
        self
    }

    /// The longest value in bytes.
    #[must_use]
    pub const fn with_value_bytes(mut self, bytes: usize) -> Self {
        self.value_bytes = bytes;
        self
    }

    /// Keys and values together, in bytes.
    #[must_use]
    pub const fn with_total_bytes(mut self, bytes: usize) -> Self {
        self.total_bytes = bytes;
        self
    }

    /// Checks a map, entry by entry, and stops at the first that is over a limit or breaks a rule:
    /// a key is a [`metadata_key`], a value is UTF-8 without control characters (C0, DEL, C1).
    ///
    /// # Errors
    ///
    /// [`EntryFault`], which says nothing of the entry.
    pub fn check<K, V>(&self, entries: impl IntoIterator<Item = (K, V)>) -> Result<(), EntryFault>
    where
        K: AsRef<[u8]>,
        V: AsRef<[u8]>,
    {
        let mut total = 0_usize;
        for (index, (key, value)) in entries.into_iter().enumerate() {
            let (key, value) = (key.as_ref(), value.as_ref());
            if index >= self.count {
                return Err(EntryFault::Count);
            }
            if key.len() > self.key_bytes {
                return Err(EntryFault::KeySize);
            }
            metadata_key(key).map_err(|_| EntryFault::Key)?;
            if value.len() > self.value_bytes {
                return Err(EntryFault::ValueSize);
            }
            total = total.saturating_add(key.len()).saturating_add(value.len());
            if total > self.total_bytes {
                return Err(EntryFault::TotalSize);
            }
            match core::str::from_utf8(value) {
                Ok(text) if !text.chars().any(char::is_control) => {}
                _ => return Err(EntryFault::ValueChars),
            }
        }
        Ok(())
    }
}

/// Why a map of metadata was refused.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum EntryFault {
    /// Too many entries.
    Count,
    /// Not a key.
    Key,
    /// A key that is too long.
    KeySize,
    /// Too much together.
    TotalSize,
    /// A value with a control character, or not UTF-8.
    ValueChars,
    /// A value that is too long.
    ValueSize,
}

impl EntryFault {
    /// The machine-readable reason a caller is given.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Count => "METADATA_COUNT",
            Self::Key => "METADATA_KEY",
            Self::KeySize => "METADATA_KEY_SIZE",
            Self::TotalSize => "METADATA_SIZE",
            Self::ValueChars => "METADATA_VALUE_CHARS",
            Self::ValueSize => "METADATA_VALUE_SIZE",
        }
    }

    /// The sentence a caller is given.
    #[must_use]
    pub const fn description(self) -> &'static str {
        match self {
            Self::Count => "there are too many metadata entries",
            Self::Key => {
                "a metadata key must be a letter, then letters, digits, _, - and single dots"
            }
            Self::KeySize => "a metadata key is too long",
            Self::TotalSize => "the metadata is too large together",
            Self::ValueChars => "a metadata value holds a control character or is not UTF-8",
            Self::ValueSize => "a metadata value is too long",
        }
    }
}

impl fmt::Display for EntryFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.description())
    }
}

impl core::error::Error for EntryFault {}
