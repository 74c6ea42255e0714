//! Whether the audit log is as it was written.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use http::HeaderMap;
use serde_json::{Value, json};
use tower_plugin_core::{Code, Rejection};

use super::{Admin, answer};

/// Reads all of it.
pub(super) async fn verify(State(admin): State<Admin>, headers: HeaderMap) -> Response {
    let Some(log) = &admin.host.audit else {
        let refusal = Rejection::new(
            Code::NotFound,
            "NO_AUDIT_LOG",
            "this host keeps no audit log",
        );
        return answer::refuse(refusal, &headers);
    };
    match Arc::clone(log).verify().await {
        Some(Ok(report)) => {
            let findings: Vec<Value> = report
                .findings()
                .iter()
                .map(|finding| {
                    json!({
                        "file": finding.file().display().to_string(),
                        "line": finding.line(),
                        "sequence": finding.sequence(),
                        "finding": finding.to_string(),
                    })
                })
                .collect();
            answer::json(json!({
                "intact": report.is_intact(),
                "files": report.files(),
                "lines": report.lines(),
                "first": report.first(),
                "last": report.last(),
                "found": report.found(),
                "findings": findings,
            }))
        }
        Some(Err(error)) => {
            tracing::error!(%error, "the audit log could not be verified");
            let refusal = Rejection::new(
                Code::Unavailable,
                "AUDIT_LOG_UNREADABLE",
                "the audit log could not be read",
            );
            answer::refuse(refusal, &headers)
        }
        None => answer::refuse(
            Rejection::new(Code::Aborted, "BUSY", "somebody else is verifying it"),
            &headers,
        ),
    }
}
