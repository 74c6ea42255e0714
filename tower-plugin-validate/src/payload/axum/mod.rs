//! Extractors that check what they parse.

mod form;
mod json;
mod path;
mod rejection;

pub use rejection::CheckedRejection;

/// An extractor whose value is in order: axum's `Json`, `Query`, `Path` or `Form` of a type that has a
/// [`Check`](super::Check).
///
/// It parses as axum's extractor does, then checks, and refuses in the protocol of the caller:
///
/// | What | Status | gRPC code | Reason |
/// |---|---|---|---|
/// | a rule is broken, or the JSON is not of the type | 422 | `invalid_argument` | `INVALID`, violations by field |
/// | a path or query that is not of the type | 400 | `invalid_argument` | `INVALID`, violations by field |
/// | no JSON at all | 400 | `invalid_argument` | `JSON_SYNTAX` |
/// | JSON over a limit of its [`JsonShape`](super::shape::JsonShape) | 400, 413 | `invalid_argument`, `resource_exhausted` | the limit's |
/// | a form of more fields than the shape allows members | 400 | `invalid_argument` | `FORM_SIZE` |
/// | a body that breaks off | 400 | `invalid_argument` | `BODY` |
/// | a body over axum's `DefaultBodyLimit` or a [`BodyGuard`](crate::body::BodyGuard) | 413 | `resource_exhausted` | `BODY_SIZE` |
/// | a path whose route has other parameters than the type, whatever they hold | 500 | `internal` | `INTERNAL`; the log says why |
/// | another content type | 415 | `invalid_argument` | `CONTENT_TYPE` |
///
/// The shape of JSON is checked while it arrives. It is the [`JsonShape`](super::shape::JsonShape) among the extensions of the
/// request (`.layer(Extension(shape))`), or the default one; a form may hold as many fields as the shape allows an object
/// members.
///
/// # Examples
///
/// ```
/// # #[cfg(feature = "validator")] {
/// use axum::{Json, Router, routing::post};
/// use serde::Deserialize;
/// use tower_plugin_validate::payload::Checked;
/// use validator::Validate;
///
/// #[derive(Deserialize, Validate)]
/// struct SignUp {
///     #[validate(length(min = 3, max = 32))]
///     name: String,
/// }
///
/// async fn sign_up(Checked(Json(sign_up)): Checked<Json<SignUp>>) -> String {
///     format!("welcome, {}", sign_up.name)
/// }
///
/// let app: Router = Router::new().route("/sign-up", post(sign_up));
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "an extractor to take apart")]
pub struct Checked<E>(pub E);
