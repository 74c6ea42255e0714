//! Engine: the names of events: those of the [OWASP Logging Vocabulary], and a few it has no word for.
//!
//! [OWASP Logging Vocabulary]: https://cheatsheetseries.owasp.org/cheatsheets/Logging_Vocabulary_Cheat_Sheet.html

/// A credential was refused, or nobody could tell whether it is good.
pub const AUTHN_LOGIN_FAIL: &str = "authn_login_fail";
/// Somebody was authenticated.
pub const AUTHN_LOGIN_SUCCESS: &str = "authn_login_success";
/// A token was issued.
pub const AUTHN_TOKEN_CREATED: &str = "authn_token_created";
/// A token was used up, or replaced.
pub const AUTHN_TOKEN_DELETE: &str = "authn_token_delete";
/// A token was presented after it had been replaced.
pub const AUTHN_TOKEN_REUSE: &str = "authn_token_reuse";
/// Tokens were revoked.
pub const AUTHN_TOKEN_REVOKED: &str = "authn_token_revoked";
/// Somebody with privileges did something.
pub const AUTHZ_ADMIN: &str = "authz_admin";
/// Somebody who is known may not do what he asked for.
pub const AUTHZ_FAIL: &str = "authz_fail";
/// What somebody may do was changed.
pub const AUTHZ_CHANGE: &str = "authz_change";
/// A caller asked too often.
pub const EXCESS_RATE_LIMIT_EXCEEDED: &str = "excess_rate_limit_exceeded";
/// What was sent is not what may be sent.
pub const INPUT_VALIDATION_FAIL: &str = "input_validation_fail";

/// Ours: events were lost because they came faster than they could be written.
pub const AUDIT_DROPPED: &str = "audit_dropped";
/// Ours: a log was continued after its writer had been killed in the middle of a line.
pub const AUDIT_RECOVERED: &str = "audit_recovered";
/// Ours: a grant was used, so that one of its uses is gone if they are counted.
pub const GRANT_USED: &str = "grant_used";
/// Ours: a request was let through that nobody authenticated.
pub const REQUEST_ADMITTED: &str = "request_admitted";
/// Ours: a request was refused for a reason that none of the others covers.
pub const REQUEST_REFUSED: &str = "request_refused";
