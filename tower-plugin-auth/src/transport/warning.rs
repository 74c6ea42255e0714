//! Said once, to whoever runs the server.

use std::{
    env,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// The variable that silences the warnings about unencrypted connections: `1`, `true` or `yes`, in any
/// case. It silences, and allows nothing.
pub const DISABLE_TLS_WARNING: &str = "TOWER_PLUGIN_DISABLE_TLS_WARNING";

/// A warning that is given once, by whichever clone meets its reason first.
#[derive(Clone, Debug)]
pub(crate) struct Once {
    is_spent: Arc<AtomicBool>,
}

impl Once {
    /// Spent from the start where the [variable](DISABLE_TLS_WARNING) says so.
    pub(crate) fn from_env() -> Self {
        let is_silenced = env::var(DISABLE_TLS_WARNING).is_ok_and(|value| is_affirmative(&value));
        Self {
            is_spent: Arc::new(AtomicBool::new(is_silenced)),
        }
    }

    /// Whether it has not been given yet.
    pub(crate) fn is_pending(&self) -> bool {
        !self.is_spent.load(Ordering::Relaxed)
    }

    /// Whether to give it now; yes for one alone.
    pub(crate) fn is_due(&self) -> bool {
        !self.is_spent.swap(true, Ordering::Relaxed)
    }
}

fn is_affirmative(value: &str) -> bool {
    ["1", "true", "yes"]
        .iter()
        .any(|yes| value.eq_ignore_ascii_case(yes))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The reference's `TestTLSWarnings_Suppression`.
    #[test]
    fn the_variable_is_set_by_these_values_alone() {
        for (value, expected) in [
            ("", false),
            ("0", false),
            ("false", false),
            ("no", false),
            ("1 ", false),
            ("1", true),
            ("true", true),
            ("TRUE", true),
            ("yes", true),
            ("YES", true),
        ] {
            assert_eq!(is_affirmative(value), expected, "{value:?}");
        }
    }
}
