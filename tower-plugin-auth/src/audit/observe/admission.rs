use tower_plugin_core::Principal;

#[cfg(feature = "manifest")]
use crate::{
    admission::manifest::{ManifestError, VerifiedManifest},
    audit::vocabulary::AUTHZ_CHANGE,
};
use crate::{
    admission::{AdmissionEvent, Grounds, RefusalReason, Suspect},
    audit::{
        AuditEvent, AuditSink, Outcome, Party,
        vocabulary::{AUTHN_LOGIN_FAIL, AUTHN_LOGIN_SUCCESS, AUTHZ_ADMIN},
    },
    token::SelfId,
};

/// An observer for [`AdmissionBuilder::with_observer`](crate::admission::AdmissionBuilder::with_observer) that writes
/// down who was let in and by what, who was not and why, who is in quarantine, and which manifest is in force.
///
/// The [actor](AuditEvent::actor) is the peer that was verified, if one was; the resource is what the plugin calls
/// itself, which is its own word.
///
/// ```
/// use std::sync::Arc;
/// use tower_plugin_auth::{
///     admission::{Admission, BootstrapSecret, Rule},
///     audit::{self, TracingSink},
/// };
///
/// let rule = Rule::Secret(BootstrapSecret::new("correct-horse-battery-staple")?);
/// let admission = Admission::builder(rule)
///     .with_observer(audit::admission(Arc::new(TracingSink)))
///     .build()?;
/// # let _ = admission;
/// # Ok::<_, tower_plugin_auth::InvalidConfig>(())
/// ```
pub fn admission(
    sink: impl AuditSink + 'static,
) -> impl Fn(&AdmissionEvent<'_>) + Send + Sync + 'static {
    move |event| match *event {
        AdmissionEvent::Admitted {
            self_id,
            grounds,
            peer,
            principal,
        } => admitted(&sink, self_id, grounds, peer, principal),
        #[cfg(feature = "manifest")]
        AdmissionEvent::ManifestInstalled { manifest } => installed(&sink, manifest),
        #[cfg(feature = "manifest")]
        AdmissionEvent::ManifestRefused { error } => not_installed(&sink, error),
        AdmissionEvent::Quarantined {
            suspect,
            tokens,
            grants,
        } => quarantined(&sink, suspect, tokens, grants),
        AdmissionEvent::Refused {
            self_id,
            peer,
            reason,
        } => refused(&sink, self_id, peer, reason),
        AdmissionEvent::Released { suspect } => {
            let event = AuditEvent::new(AUTHZ_ADMIN, Outcome::Success).with_action("release");
            sink.record(&event.with_subject(party(suspect)));
        }
    }
}

fn admitted(
    sink: &impl AuditSink,
    self_id: &SelfId,
    grounds: Grounds,
    peer: Option<&Principal>,
    principal: Option<&Principal>,
) {
    let grounds = grounds.to_string();
    let details = [("grounds", grounds.as_str())];
    let mut event = AuditEvent::new(AUTHN_LOGIN_SUCCESS, Outcome::Success)
        .with_action("admit")
        .with_resource(self_id.as_str())
        .with_details(&details);
    if let Some(peer) = peer {
        event = event.with_actor(peer);
    }
    if let Some(principal) = principal {
        event = event.with_subject(principal);
    }
    sink.record(&event);
}

fn refused(
    sink: &impl AuditSink,
    self_id: &SelfId,
    peer: Option<&Principal>,
    reason: RefusalReason,
) {
    let reason = reason.as_str().to_ascii_uppercase();
    let mut event = AuditEvent::new(AUTHN_LOGIN_FAIL, Outcome::Denied)
        .with_action("admit")
        .with_resource(self_id.as_str())
        .with_reason(&reason);
    if let Some(peer) = peer {
        event = event.with_actor(peer);
    }
    sink.record(&event);
}

fn quarantined(sink: &impl AuditSink, suspect: &Suspect, tokens: Option<u64>, grants: Option<u64>) {
    // That some may live is what an alarm is for.
    let count = |count: Option<u64>| count.map_or_else(|| "unknown".to_owned(), |n| n.to_string());
    let (outcome, revoked) = match tokens {
        Some(_) => (Outcome::Success, count(tokens)),
        None => (Outcome::Error, count(tokens)),
    };
    let grants = count(grants);
    let details = [
        ("tokens_revoked", revoked.as_str()),
        ("grants_revoked", grants.as_str()),
    ];
    let event = AuditEvent::new(AUTHZ_ADMIN, outcome)
        .with_subject(party(suspect))
        .with_action("quarantine")
        .with_details(&details);
    sink.record(&event);
}

#[cfg(feature = "manifest")]
fn installed(sink: &impl AuditSink, manifest: &VerifiedManifest) {
    let manifest = manifest.manifest();
    let (generated_at, plugins) = (
        manifest.generated_at().to_string(),
        manifest.plugins().len().to_string(),
    );
    let details = [
        ("generated_at", generated_at.as_str()),
        ("plugins", plugins.as_str()),
    ];
    let event = AuditEvent::new(AUTHZ_CHANGE, Outcome::Success)
        .with_action("install_manifest")
        .with_details(&details);
    sink.record(&match manifest.key_id() {
        Some(key_id) => event.with_resource(key_id),
        None => event,
    });
}

#[cfg(feature = "manifest")]
fn not_installed(sink: &impl AuditSink, error: &ManifestError) {
    let error = error.to_string();
    let details = [("error", error.as_str())];
    let event = AuditEvent::new(AUTHZ_CHANGE, Outcome::Denied)
        .with_action("install_manifest")
        .with_reason("MANIFEST_REFUSED")
        .with_details(&details);
    sink.record(&event);
}

/// As whom the rest of the log knows it: a plugin by the name it calls itself.
fn party(suspect: &Suspect) -> Party<'_> {
    match suspect {
        Suspect::Plugin(name) => Party::new("plugin", name.as_str()),
        Suspect::Principal { kind, subject } => Party::new(kind, subject),
    }
}
