//! Engine: whom a path names, and what it becomes at the provider.

use tower_plugin_validate::path::{PathRules, canonical};

use super::endpoints::Endpoint;
use crate::host::fields;

/// What `/services/{type}/{provider_id}/{method...}` names.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in crate::host) struct Target {
    pub(super) service_type: Box<str>,
    pub(super) runtime_id: Box<str>,
    /// One segment or more, as sent.
    pub(super) method: Box<str>,
}

impl Target {
    /// Reads a path as it was sent. Nothing is decoded: no part of it may need that but the method.
    pub(super) fn parse(path: &str) -> Option<Self> {
        let rest = path.strip_prefix("/services/")?;
        let (service_type, rest) = rest.split_once('/')?;
        let (runtime_id, method) = rest.split_once('/')?;
        fields::identifier("service_type", service_type).ok()?;
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        if runtime_id.is_empty() || !runtime_id.bytes().all(is_plain) || method.is_empty() {
            return None;
        }
        Some(Self {
            service_type: service_type.into(),
            runtime_id: runtime_id.into(),
            method: method.into(),
        })
    }

    /// The path at the provider; `None` if it would not stay below `endpoint_path` whoever reads it.
    pub(super) fn path_at(&self, endpoint: &Endpoint, endpoint_path: &str) -> Option<String> {
        let prefix = format!("{}{}/", endpoint.path, endpoint_path.trim_end_matches('/'));
        let path = format!("{prefix}{}", self.method);
        // Refused in the request already, and looked at again where it is put together.
        let checked = canonical(&path, &PathRules::plugin()).ok()?;
        (checked.is_unchanged() && path.starts_with(&prefix)).then_some(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_type_provider_and_method() {
        let target = Target::parse("/services/kv.v1/kv-0a/kv.v1.KV/Get%20it").unwrap();
        let parts = (&*target.service_type, &*target.runtime_id, &*target.method);
        assert_eq!(parts, ("kv.v1", "kv-0a", "kv.v1.KV/Get%20it"));
        for path in [
            "/other/path",
            "/services",
            "/services/",
            "/services/logger/",
            "/services/logger/provider-123",
            "/services/logger/provider-123/",
            "/services//provider-123/Log",
            "/services/logger//Log",
            "/services/log%67er/p/Log",
            "/services/logger/p%2f/Log",
            "/Services/logger/p/Log",
        ] {
            assert_eq!(Target::parse(path), None, "{path}");
        }
    }

    #[test]
    fn f56_a_path_stays_below_the_endpoint_it_was_registered_with() {
        let at = |base: &str, endpoint_path: &str, method: &str| {
            let endpoint = Endpoint::parse(base).unwrap();
            let target = Target {
                service_type: "logger".into(),
                runtime_id: "p".into(),
                method: method.into(),
            };
            target.path_at(&endpoint, endpoint_path)
        };
        let base = "http://127.0.0.1:1/base/";
        for endpoint_path in ["/logger.v1.Logger/", "/logger.v1.Logger"] {
            assert_eq!(
                at(base, endpoint_path, "Log").as_deref(),
                Some("/base/logger.v1.Logger/Log")
            );
        }
        assert_eq!(
            at("http://127.0.0.1:1", "/", "a/b").as_deref(),
            Some("/a/b")
        );
        for method in [
            "../connectplugin.v1.PluginControl/Shutdown",
            "..%2Fconnectplugin.v1.PluginControl%2FShutdown",
            "%2e%2e/x",
            "a/./b",
            "a//b",
            "/x",
            "a\\..\\b",
            "a%5cb",
            "%252e%252e/x",
            "a?b",
            "a#b",
            "a%00",
        ] {
            assert_eq!(at(base, "/logger.v1.Logger/", method), None, "{method}");
        }
    }
}
