//! Who is kept out.

use axum::{
    extract::{Path, State},
    response::Response,
};
use http::HeaderMap;
use serde_json::{Value, json};
use tower_plugin_auth::admission::{QuarantineError, Suspect};
use tower_plugin_core::{Code, Principal, Rejection};

use super::{Admin, answer};
use crate::host::identity::PLUGIN_KIND;

pub(super) async fn list(State(admin): State<Admin>) -> Response {
    let suspects = admin.host.admission.quarantined();
    let mut suspects: Vec<Value> = suspects.iter().map(shown).collect();
    suspects.sort_by_key(Value::to_string);
    answer::json(json!({ "quarantined": suspects }))
}

/// Ends the tokens and the grants of a plugin, and lets it not come back.
pub(super) async fn put(
    State(admin): State<Admin>,
    Path(who): Path<String>,
    headers: HeaderMap,
) -> Response {
    let Some(suspect) = suspect(&who) else {
        return answer::invalid(WHO, &headers);
    };
    let host = &admin.host;
    let isolated = host
        .admission
        .quarantine(host.identities.tokens(), &suspect)
        .await;
    match isolated {
        Ok(isolated) => {
            tracing::warn!(?suspect, "put in quarantine by the administrator");
            answer::json(json!({
                "quarantined": shown(&suspect),
                "tokens_revoked": isolated.tokens,
                "grants_revoked": isolated.grants,
            }))
        }
        Err(QuarantineError::Grants(error) | QuarantineError::Tokens(error)) => {
            answer::unavailable(&error, &headers)
        }
        Err(error) => {
            tracing::error!(%error, ?suspect, "not put in quarantine");
            let refusal = Rejection::new(
                Code::ResourceExhausted,
                "QUARANTINE_FULL",
                "quarantine is full: its tokens and grants were revoked, and it may come back",
            );
            answer::refuse(refusal, &headers)
        }
    }
}

/// Lets it come back. What was revoked stays revoked.
pub(super) async fn release(
    State(admin): State<Admin>,
    Path(who): Path<String>,
    headers: HeaderMap,
) -> Response {
    let Some(suspect) = suspect(&who) else {
        return answer::invalid(WHO, &headers);
    };
    match admin.host.admission.release(&suspect) {
        true => answer::json(json!({ "released": shown(&suspect) })),
        false => answer::refuse(
            Rejection::new(
                Code::NotFound,
                "NOT_IN_QUARANTINE",
                "it is not in quarantine",
            ),
            &headers,
        ),
    }
}

/// A runtime id stands for its plugin, a kind and a subject for a peer by its certificate.
fn suspect(who: &str) -> Option<Suspect> {
    if let Some((kind, subject)) = who.split_once(':') {
        let is_named = !kind.is_empty() && !subject.is_empty() && kind != PLUGIN_KIND;
        return is_named.then(|| Suspect::principal(kind, subject));
    }
    match Suspect::of(&Principal::new(PLUGIN_KIND, who)) {
        plugin @ Suspect::Plugin(_) => Some(plugin),
        _ => Some(Suspect::Plugin(who.parse().ok()?)),
    }
}

fn shown(suspect: &Suspect) -> Value {
    match suspect {
        Suspect::Plugin(name) => json!({ "plugin": name.as_str() }),
        Suspect::Principal { kind, subject } => json!({ "kind": kind, "subject": subject }),
        other => json!({ "other": format!("{other:?}") }),
    }
}

const WHO: &str = "name a plugin, one of its runtime ids, or KIND:SUBJECT of a certificate";
