//! Which plugins may register services of which type, and which may find and call them.

use connectrpc::{ConnectError, ErrorCode};
use tower_plugin_auth::{
    audit::{AuditEvent, AuditSink, Outcome, vocabulary},
    authorize::{Authorizer, Callers, InvalidPermission, Permissions},
};
use tower_plugin_core::{Principal, RequestHead};

use super::{
    HostState, banner,
    identity::PLUGIN_KIND,
    options::{ServiceOptions, ServiceRule},
    own_words::refuse,
};

/// What the operator says of services. What is not allowed is denied, and so is what is denied beside.
///
/// As [`Authorizer`] it judges calls to `/services/{type}/...`.
#[derive(Clone, Debug)]
pub(super) struct Allowed {
    allow: Permissions,
    // They only add up; so what is taken away again is another list of them.
    deny: Permissions,
}

/// What a plugin wants with a service.
#[derive(Clone, Copy, Debug)]
pub(super) enum Act {
    /// Find, watch or call it.
    Call,
    Register,
}

impl Allowed {
    pub(super) fn new(rules: &ServiceOptions) -> Result<Self, InvalidPermission> {
        Ok(Self {
            allow: permissions(&rules.allow_register, &rules.allow_call)?,
            deny: permissions(&rules.deny_register, &rules.deny_call)?,
        })
    }

    pub(super) fn permits(&self, plugin: &Principal, act: Act, service_type: &str) -> bool {
        let (method, path) = match act {
            Act::Call => ("POST", format!("/services/{service_type}/")),
            Act::Register => (REGISTER, format!("/services/{service_type}")),
        };
        self.permits_request(plugin, method, &path)
    }

    fn permits_request(&self, plugin: &Principal, method: &str, path: &str) -> bool {
        self.allow.permits(plugin, method, path) && !self.deny.permits(plugin, method, path)
    }
}

impl Authorizer for Allowed {
    fn permits(&self, principal: &Principal, request: &RequestHead<'_>) -> bool {
        self.permits_request(principal, request.method.as_str(), request.uri.path())
    }
}

impl HostState {
    /// Whether a plugin may do so, and if not, a line in the audit log.
    pub(super) fn allows(&self, plugin: &Principal, act: Act, service_type: &str) -> bool {
        let is_allowed = self.allowed.permits(plugin, act, service_type);
        if let (false, Some(log)) = (is_allowed, &self.audit) {
            let event = AuditEvent::new(vocabulary::AUTHZ_FAIL, Outcome::Denied)
                .with_actor(plugin)
                .with_action(act.as_str())
                .with_resource(service_type)
                .with_reason("SERVICE_NOT_ALLOWED");
            log.record(&event);
        }
        is_allowed
    }

    /// Whether the plugin that the printed script plays may do what it does there.
    #[must_use]
    pub fn allows_script(&self) -> bool {
        let curl = Principal::new(PLUGIN_KIND, "curl").with_attribute(NAME, banner::PLUGIN);
        [Act::Call, Act::Register]
            .iter()
            .all(|act| self.allowed.permits(&curl, *act, banner::SERVICE))
    }
}

impl Act {
    /// What a plugin is told that may not. Its name and the type are of few characters, and its own.
    pub(super) fn refused(self, plugin: &Principal, service_type: &str) -> ConnectError {
        let name = plugin.attribute(NAME).unwrap_or_default();
        let act = self.as_str();
        refuse(
            ErrorCode::PermissionDenied,
            format!("plugin {name} not authorized to {act} service type {service_type}"),
        )
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Register => "register",
        }
    }
}

/// Says once in the log what is wide open, and what is shut.
pub(super) fn tell(rules: &ServiceOptions) {
    if rules.is_trial {
        tracing::warn!(
            "to be tried out: plugin curl may register and call logger, and nobody anything else: --allow-register, --allow-call"
        );
        return;
    }
    for (what, flag, rules) in [
        ("register", "--allow-register", &rules.allow_register),
        ("call", "--allow-call", &rules.allow_call),
    ] {
        if rules.is_empty() {
            tracing::warn!("no plugin may {what} any service: {flag}");
        } else if rules.iter().any(ServiceRule::is_for_all) {
            tracing::warn!("every plugin may {what} every service: {flag} *=*");
        }
    }
}

fn permissions(
    register: &[ServiceRule],
    call: &[ServiceRule],
) -> Result<Permissions, InvalidPermission> {
    let mut permissions = Permissions::new();
    for (rules, methods, below) in [(register, REGISTER, ""), (call, "*", "/**")] {
        for ServiceRule {
            plugin,
            service_type,
        } in rules
        {
            let callers = match plugin {
                Some(name) => Callers::attribute(NAME, name.as_str()),
                None => Callers::kind(PLUGIN_KIND),
            };
            let service_type = service_type.as_deref().unwrap_or("*");
            let permission = format!("{methods} /services/{service_type}{below}");
            permissions = permissions.permit(callers, permission.parse()?);
        }
    }
    Ok(permissions)
}

/// The attribute of a runtime token that has the name its plugin was admitted by.
const NAME: &str = "self_id";
/// No method of HTTP: nobody sends it, and it is let through nowhere.
const REGISTER: &str = "REGISTER";

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(texts: &[&str]) -> Vec<ServiceRule> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn plugin(name: &str) -> Principal {
        Principal::new(PLUGIN_KIND, format!("{name}-0a")).with_attribute(NAME, name)
    }

    fn allowed(allow: &[&str], deny: &[&str]) -> Allowed {
        Allowed::new(&ServiceOptions {
            allow_register: rules(allow),
            deny_register: rules(deny),
            ..ServiceOptions::default()
        })
        .unwrap()
    }

    #[test]
    fn what_is_not_allowed_is_denied_and_what_is_denied_is_not_allowed() {
        let a = ("a", "kv");
        for (allow, deny, (name, service_type), expected) in [
            (&[][..], &[][..], a, false),
            (&["a=kv"], &[], a, true),
            (&["a=kv"], &[], ("b", "kv"), false),
            (&["a=kv"], &[], ("a", "kv2"), false),
            (&["a=kv"], &[], ("a", "KV"), false),
            (&["a=log", "a=kv"], &[], a, true),
            (&["a=*"], &[], a, true),
            (&["a=*"], &[], ("b", "kv"), false),
            (&["*=kv"], &[], a, true),
            (&["*=kv"], &[], ("a", "log"), false),
            (&["*=*"], &[], a, true),
            (&["*=*"], &["a=kv"], a, false),
            (&["*=*"], &["a=kv"], ("a", "log"), true),
            (&["*=*"], &["*=kv"], ("b", "kv"), false),
            (&["a=kv"], &["a=*"], a, false),
            (&["a=kv"], &["*=*"], a, false),
            (&["a=kv"], &["b=kv"], a, true),
        ] {
            let is_allowed =
                allowed(allow, deny).permits(&plugin(name), Act::Register, service_type);
            assert_eq!(
                is_allowed, expected,
                "{allow:?} {deny:?} {name} {service_type}"
            );
        }
    }

    #[test]
    fn who_may_register_may_not_call_and_the_other_way_round() {
        let registers = allowed(&["a=kv"], &[]);
        assert!(!registers.permits(&plugin("a"), Act::Call, "kv"));
        let calls = Allowed::new(&ServiceOptions {
            allow_call: rules(&["a=kv"]),
            ..ServiceOptions::default()
        });
        let calls = calls.unwrap();
        assert!(calls.permits(&plugin("a"), Act::Call, "kv"));
        assert!(!calls.permits(&plugin("a"), Act::Register, "kv"));
        assert!(calls.permits_request(&plugin("a"), "GET", "/services/kv/p/Get"));
        // Other spellings of what is allowed, and of what is not, are no way in.
        for path in [
            "/services/%6Bv/p/Get",
            "/services/kv/../log/p/Get",
            "/services/kv",
        ] {
            assert!(!calls.permits_request(&plugin("a"), "GET", path), "{path}");
        }
    }

    #[test]
    fn a_star_is_for_plugins_alone() {
        let all = allowed(&["*=*"], &[]);
        let user = Principal::new("user", "alice");
        assert!(!all.permits(&user, Act::Register, "kv"));
    }
}
