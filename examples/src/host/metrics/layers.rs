/// Which layer gives this reason.
pub(super) fn layer_of(reason: &str) -> &'static str {
    match reason {
        "AUTHENTICATION_UNAVAILABLE"
        | "INSECURE_TRANSPORT"
        | "INSUFFICIENT_SCOPE"
        | "INVALID_CREDENTIAL"
        | "INVALID_REQUEST"
        | "INVALID_TOKEN"
        | "MISSING_CREDENTIAL" => "auth",
        "CONCURRENCY_LIMITED"
        | "COST_EXCEEDS_BURST"
        | "MISSING_RATE_LIMIT_KEY"
        | "RATE_LIMITED"
        | "RATE_LIMITER_UNAVAILABLE" => "ratelimit",
        "AMBIGUOUS_NAME" | "BODY_SIZE" | "DUPLICATE" | "FRAMING" | "MESSAGE_SIZE" | "TRAILER"
        | "URI_SIZE" | "VALUE_CHARS" => "validate",
        reason
            if ["HEADER_", "METADATA_", "PATH_"]
                .iter()
                .any(|prefix| reason.starts_with(prefix)) =>
        {
            "validate"
        }
        _ => "host",
    }
}

#[cfg(test)]
mod tests {
    use tower_plugin_validate::{body::BodyLimit, limits::Limit};

    use super::*;

    #[test]
    fn every_limit_of_a_head_is_the_validators() {
        for limit in [
            Limit::DeclaredBody,
            Limit::HeaderCount,
            Limit::HeaderListBytes,
            Limit::NameBytes,
            Limit::PathBytes,
            Limit::QueryParams,
            Limit::ValueBytes,
            Limit::ValuesPerName,
        ] {
            assert_eq!(layer_of(limit.reason()), "validate", "{limit:?}");
        }
        for limit in [
            BodyLimit::BodyBytes,
            BodyLimit::MessageBytes,
            BodyLimit::TrailerFields,
        ] {
            assert_eq!(layer_of(limit.reason()), "validate", "{limit:?}");
        }
        assert_eq!(layer_of("METHOD_NOT_ALLOWED"), "host");
        assert_eq!(layer_of("CONCURRENCY_LIMITED"), "ratelimit");
    }
}
