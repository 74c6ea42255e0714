//! Problem details for HTTP APIs, RFC 9457.

use super::{Rejection, json};

/// `type` and `title` default to `about:blank` and the status' own phrase (RFC 9457 section 4.2.1);
/// `code`, `reason` and `errors` are extension members.
pub(super) fn body(rejection: &Rejection) -> String {
    let status = rejection.status();
    // Few allocations: what an entry takes is mostly its three texts.
    let errors = rejection.violations().iter().map(|violation| {
        violation.field().len() + violation.reason().len() + violation.description().len() + 36
    });
    let mut out = String::with_capacity(256 + errors.sum::<usize>());
    let problem_type = rejection.0.problem_type.unwrap_or("about:blank");
    json::push_member(&mut out, "{\"type\":", problem_type);
    json::push_member(
        &mut out,
        ",\"title\":",
        status.canonical_reason().unwrap_or("Refused"),
    );
    out.push_str(",\"status\":");
    out.push_str(status.as_str());
    json::push_member(&mut out, ",\"detail\":", rejection.message());
    json::push_member(&mut out, ",\"code\":", rejection.code().name());
    json::push_member(&mut out, ",\"reason\":", rejection.reason());
    if !rejection.violations().is_empty() {
        push_errors(&mut out, rejection);
    }
    out.push('}');
    out
}

fn push_errors(out: &mut String, rejection: &Rejection) {
    out.push_str(",\"errors\":");
    let mut separator = '[';
    let mut budget = super::details::MAX_ENCODED;
    let mut truncated = rejection.0.violations_left_out;
    for violation in rejection.violations() {
        let start = out.len();
        out.push(separator);
        json::push_member(out, "{\"field\":", violation.field());
        json::push_member(out, ",\"code\":", violation.reason());
        json::push_member(out, ",\"detail\":", violation.description());
        out.push('}');
        // Without the separator.
        let entry = out.len() - start - 1;
        let Some(left) = budget.checked_sub(entry) else {
            out.truncate(start);
            truncated = true;
            continue;
        };
        budget = left;
        separator = ',';
    }
    if separator == '[' {
        out.push('[');
    }
    out.push(']');
    if truncated {
        out.push_str(",\"truncated\":true");
    }
}
