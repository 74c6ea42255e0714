//! What is refused, counted for the `metrics` facade. Without the feature nothing is.
//!
//! Every label is a word of the program: the layer one of [`Layer`]'s, the reason that of a rule. Requests in order
//! come by none of this.

#![cfg_attr(
    not(feature = "metrics"),
    expect(unused_variables, reason = "nobody counts")
)]

#[cfg(any(feature = "axum", feature = "tonic"))]
use tower_plugin_core::{Rejection, Violation};

/// Who refuses.
#[derive(Clone, Copy)]
pub(crate) enum Layer {
    /// `BodyGuardLayer`.
    Body,
    /// `ValidateLayer`.
    Head,
    /// What checks a parsed payload, which is no layer but refuses as one.
    #[cfg(any(feature = "axum", feature = "tonic"))]
    Payload,
}

/// The rule that was broken first.
#[cfg(any(feature = "axum", feature = "tonic"))]
pub(crate) fn rule(rejection: &Rejection) -> &'static str {
    let first = rejection.violations().first();
    first.map_or(rejection.reason(), Violation::reason)
}

/// A request, or a message of a stream, that is refused.
#[cold]
pub(crate) fn refused(layer: Layer, reason: &'static str) {
    #[cfg(feature = "metrics")]
    {
        let layer = match layer {
            Layer::Body => "body",
            Layer::Head => "head",
            #[cfg(any(feature = "axum", feature = "tonic"))]
            Layer::Payload => "payload",
        };
        metrics::counter!("tower_plugin_validate_refused_total", "layer" => layer, "reason" => reason)
            .increment(1);
    }
}

/// A request that would be refused, were the rule enforced.
#[cold]
pub(crate) fn observed(reason: &'static str) {
    #[cfg(feature = "metrics")]
    metrics::counter!("tower_plugin_validate_observed_total", "reason" => reason).increment(1);
}
