use std::sync::{Arc, Mutex};

use tower_plugin_core::{ManualClock, Principal};

use super::*;
use crate::{
    Capability, CapabilityBroker, MemoryStore, SystemRng, Tokens,
    admission::{Admission, Applicant, BootstrapSecret, Rule, Suspect},
    broker::GrantRequest,
    grant::{Asked, Caveat},
    store::MemoryGrantStore,
    token::KeyRing,
};

/// Each event in a line.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

impl Lines {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl AuditSink for Lines {
    fn record(&self, event: &AuditEvent<'_>) {
        let name = |party: Option<Party<'_>>| {
            party.map_or_else(
                || "-".to_owned(),
                |party| format!("{}:{}", party.kind(), party.subject()),
            )
        };
        let line = format!(
            "{} {} by={} of={} {} {} {} {:?}",
            event.name(),
            event.outcome(),
            name(event.actor()),
            name(event.subject()),
            event.action().unwrap_or("-"),
            event.resource().unwrap_or("-"),
            event.reason().unwrap_or("-"),
            event.details(),
        );
        self.0.lock().unwrap().push(line);
    }
}

fn keys() -> KeyRing {
    KeyRing::random(&SystemRng).unwrap()
}

#[tokio::test]
async fn grants_are_written_down_from_the_request_to_the_revocation() {
    let lines = Lines::default();
    let broker = CapabilityBroker::builder(MemoryGrantStore::new(10).unwrap(), keys())
        .with_policy(|request: &GrantRequest, _: &Capability| {
            request.principal().kind() == "runtime"
        })
        .with_clock(ManualClock::new())
        .with_observer(grants(lines.clone()))
        .build()
        .unwrap();
    let logger = Capability::new("logger", "1.2.0").unwrap();
    let logger = logger.with_permission("POST /log".parse().unwrap());
    broker.register(logger).unwrap();

    let cache = || Principal::new("runtime", "cache-7f3a");
    let asked = GrantRequest::new(cache(), "logger").with_reason("to say hello");
    let issued = broker.request(asked).await.unwrap();
    let id = issued.token().id();
    let line = lines.take().pop().unwrap();
    assert!(
        line.starts_with(&format!(
            "authz_change success by=- of=runtime:cache-7f3a grant {id} - "
        )),
        "{line}"
    );
    for detail in [
        r#"("capability", "logger")"#,
        r#"("version", "1.2.0")"#,
        r#"("holder", "principal")"#,
        r#"("purpose", "to say hello")"#,
    ] {
        assert!(line.contains(detail), "{line}");
    }

    for (principal, capability, reason) in [
        (Principal::new("api-key", "x"), "logger", "DENIED"),
        (cache(), "secrets", "UNKNOWN_CAPABILITY"),
    ] {
        let by = format!("by={}:{}", principal.kind(), principal.subject());
        let request = GrantRequest::new(principal, capability).with_reason("why not");
        broker.request(request).await.unwrap_err();
        let line = format!(
            r#"authz_fail denied {by} of=- request_grant {capability} {reason} [("purpose", "why not")]"#
        );
        assert_eq!(lines.take(), [line]);
    }

    let text = issued.token().expose().as_bytes();
    let now = broker.now();
    let by_holder = cache();
    let asked = |path: &'static str| {
        Asked::new("logger", "POST", path, now).with_principal(Some(&by_holder))
    };
    // A use leaves no line.
    broker.authorize(text, &asked("/log")).await.unwrap();
    assert_eq!(lines.take(), [""; 0]);
    broker.authorize(text, &asked("/other")).await.unwrap_err();
    let denied = |of: &str, resource: &str, reason: &str| {
        format!(
            r#"authz_fail denied by=- of={of} present_grant {resource} {reason} [("capability", "logger")]"#
        )
    };
    let owner = "runtime:cache-7f3a";
    assert_eq!(
        lines.take(),
        [denied(owner, &id.to_string(), "NOT_PERMITTED")]
    );
    let narrowed = issued
        .token()
        .attenuate(&Caveat::path_prefix("/a").unwrap());
    let narrowed = narrowed.unwrap();
    let text = narrowed.expose().as_bytes();
    broker.authorize(text, &asked("/log")).await.unwrap_err();
    assert_eq!(
        lines.take(),
        [denied(owner, &id.to_string(), "CAVEAT_PATH_PREFIX")]
    );
    broker
        .authorize(b"tpg_x", &asked("/log"))
        .await
        .unwrap_err();
    assert_eq!(lines.take(), [denied("-", "-", "MALFORMED")]);

    broker.revoke_link(&id, &narrowed.link()).await.unwrap();
    let link = narrowed.link();
    assert_eq!(
        lines.take(),
        [format!(
            r#"authz_change success by=- of=- revoke_grant {id} - [("which", "link"), ("count", "1"), ("link", "{link}")]"#
        )]
    );
    broker
        .revoke_subject("runtime", "cache-7f3a")
        .await
        .unwrap();
    let line = r#"authz_change success by=- of=runtime:cache-7f3a revoke_grant - - [("which", "subject"), ("count", "1")]"#;
    assert_eq!(lines.take(), [line]);
}

#[tokio::test]
async fn admissions_and_quarantine_are_written_down_and_secrets_are_not() {
    let lines = Lines::default();
    let secret = "correct-horse-battery-staple";
    let rule = Rule::Secret(BootstrapSecret::new(secret).unwrap());
    let admission = Admission::builder(rule)
        .with_observer(admission(lines.clone()))
        .build()
        .unwrap();
    let tokens = Tokens::builder(MemoryStore::new(10).unwrap(), keys());
    let tokens = tokens.build().unwrap();
    let name = "cache".parse().unwrap();
    let peer = Principal::new("mtls-dns", "cache.example");
    let stranger = Applicant::new(&name).with_peer(&peer);

    let wrong = stranger.with_secret(BootstrapSecret::NAME, "s3cr3t");
    admission.admit(&wrong).unwrap_err();
    let refused = |by: &str, reason: &str| {
        format!("authn_login_fail denied by={by} of=- admit cache {reason} []")
    };
    assert_eq!(
        lines.take(),
        [refused("mtls-dns:cache.example", "SECRET_WRONG")]
    );

    let plugin = stranger.with_secret(BootstrapSecret::NAME, secret);
    let issued = admission.admit(&plugin).unwrap().issue(&tokens).await;
    let issued = issued.unwrap();
    let id = issued.principal().subject();
    assert_eq!(
        lines.take(),
        [format!(
            r#"authn_login_success success by=mtls-dns:cache.example of=runtime:{id} admit cache - [("grounds", "secret")]"#
        )]
    );

    let suspect = Suspect::of(issued.principal());
    admission.quarantine(&tokens, &suspect).await.unwrap();
    assert_eq!(
        lines.take(),
        [
            r#"authz_admin success by=- of=plugin:cache quarantine - - [("tokens_revoked", "1"), ("grants_revoked", "unknown")]"#
        ]
    );
    admission.admit(&plugin).unwrap_err();
    assert_eq!(
        lines.take(),
        [refused("mtls-dns:cache.example", "QUARANTINED")]
    );
    assert!(admission.release(&suspect));
    assert_eq!(
        lines.take(),
        ["authz_admin success by=- of=plugin:cache release - - []"]
    );
}

#[cfg(feature = "manifest")]
#[test]
fn a_manifest_that_is_refused_is_written_down() {
    use crate::admission::manifest::{ManifestPolicy, TrustedKeys};

    let lines = Lines::default();
    let keys = TrustedKeys::new().with_key(
        "a",
        &crate::admission::manifest::ManifestKey::from_seed(&[7; 32]).public_key(),
    );
    let policy = ManifestPolicy::new(keys.unwrap()).with_trusted_author("us");
    let admission = Admission::builder(Rule::Manifest)
        .with_manifests(policy)
        .with_observer(admission(lines.clone()))
        .build()
        .unwrap();
    admission.install_manifest(b"{}").unwrap_err();
    let line = lines.take().pop().unwrap();
    assert!(
        line.starts_with("authz_change denied by=- of=- install_manifest - MANIFEST_REFUSED "),
        "{line}"
    );
}
