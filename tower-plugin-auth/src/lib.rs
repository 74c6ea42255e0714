//! Opaque bearer tokens, and Tower layers that let in only who holds one, a client certificate or an API key.
//!
//! [`Tokens`] issues, verifies, rotates and revokes them over a [store](TokenStore). [`AuthLayer`] finds
//! out who is calling and tells the inner service by a [`Principal`]; [`AuthorizeLayer`] and [`RequireLayer`] decide
//! what a principal may do. [`Admission`] decides who gets a token in the first place, [`CapabilityBroker`] grants
//! capabilities, and [`CapabilityLayer`] lets in who has been granted one. What a caller gets:
//!
//! 1. Exactly one `Authorization: Bearer` with a live runtime token, and no `X-Plugin-Runtime-ID` or a
//!    matching one: let through, once, with the principal in the request's extensions. The same goes for one
//!    API key ([`authenticate::ApiKeyAuthenticator`]) and for a verified client certificate (feature `mtls`).
//! 2. No credential, or one of another scheme: **401** with a bare `WWW-Authenticate` challenge (RFC 6750,
//!    section 3.1); let through without a principal where the layer is [optional](AuthLayer::optional).
//! 3. A token that is malformed, unknown, revoked, expired, of another kind or of another runtime id:
//!    **401** with `error="invalid_token"` and one text for all. The exact [reason](token::InvalidReason)
//!    is left in the extensions of the response. A key or a certificate that is not accepted: 401, and its
//!    [problem](authenticate::CredentialProblem) there.
//! 4. Several `Authorization` or several `X-Plugin-Runtime-ID` values: **400** with
//!    `error="invalid_request"`.
//! 5. A store that cannot answer, or not in time (feature `deadline`): **503** with `Retry-After` and
//!    without a challenge. Unknown is not denied, and down is not unauthorised.
//! 6. A principal that has no [permission](authorize::Permissions): **403** with
//!    `error="insufficient_scope"`; no principal at all: 401 as in 2.
//! 7. A grant that is not good for what is asked, for whatever reason: **401** as in 3, and its
//!    [reason](grant::DenialReason) there. One that is: let through, once, without the credential and with the
//!    [`Grant`] in the request's extensions.
//! 8. An unencrypted connection, where [`RequireSecureTransportLayer`] enforces one: **403**.
//! 9. A caller that asks for a token and is not admitted: **403**, one text for every
//!    [reason](admission::RefusalReason). While as many admissions as may go on at once do: **503** with
//!    `Retry-After`. It is the host that says so, by [`AdmissionError::rejection`](admission::AdmissionError::rejection).
//!
//! gRPC, gRPC-Web and Connect callers are told the same in their own protocols. Errors of the inner
//! service pass untouched; a refusal is a response.
//!
//! # Example
//!
//! ```
//! use http::{Request, Response, StatusCode, header::AUTHORIZATION};
//! use tower::{Layer, ServiceExt, service_fn};
//! use tower_plugin_auth::{
//!     AuthLayer, BearerAuthenticator, MemoryStore, NewToken, Principal, RequireLayer, SystemRng,
//!     Tokens, token::KeyRing,
//! };
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let tokens = Tokens::builder(MemoryStore::new(10_000)?, KeyRing::random(&SystemRng)?).build()?;
//!
//! let hello = service_fn(async |request: Request<String>| {
//!     let caller = request.extensions().get::<Principal>().map(|p| p.subject().to_owned());
//!     Ok::<_, std::convert::Infallible>(Response::new(caller.unwrap_or_default()))
//! });
//! let service = AuthLayer::new(BearerAuthenticator::new(tokens.clone()))
//!     .layer(RequireLayer::when(|caller, _| caller.kind() == "user").layer(hello));
//!
//! let issued = tokens.issue(NewToken::for_subject("user", "alice")).await?;
//! let request = Request::builder()
//!     .header(AUTHORIZATION, issued.token().header_value())
//!     .body(String::new())?;
//! assert_eq!(service.clone().oneshot(request).await?.status(), StatusCode::OK);
//!
//! let anonymous = service.oneshot(Request::new(String::new())).await?;
//! assert_eq!(anonymous.status(), StatusCode::UNAUTHORIZED);
//! assert_eq!(anonymous.headers()["www-authenticate"], "Bearer realm=\"plugins\"");
//! # Ok(())
//! # }
//! ```
//!
//! # Where it goes in a stack
//!
//! Outside of it: an [`AuditLayer`](audit::AuditLayer), [`RequireSecureTransportLayer`], request ids, limits and a rate limit by client
//! address, so that guessing is bounded before a store is asked. Inside of it: a rate limit by
//! principal, [`AuthorizeLayer`], validation of payloads, the handler. Put [`AuthLayer`] in front of
//! *every* route: a route added outside of it is open, unless an [`AuthorizeLayer`] or a [`RequireLayer`]
//! further in refuses it.
//!
//! # Admission
//!
//! Whoever may call the host's own handshake may ask for a token, so [`Admission`] asks first: for a secret the
//! operator has handed out, for a verified peer, for a place in a signed manifest (feature `manifest`), or for several
//! of these. A manifest is JSON, signed with Ed25519 under a key that the host trusts; it lists the SHA-256 and the size
//! of every plugin's program, and none that is older than the last one is taken. A plugin or a peer under suspicion goes
//! into [quarantine](Admission::quarantine): its tokens are revoked, and it is not admitted until it is released. The
//! module [`admission`] has an example.
//!
//! # The life of a token
//!
//! 1. [`issue`](Tokens::issue): 24 hours for runtime tokens, 1 hour for grants, 5 minutes for one-time
//!    tokens, unless told otherwise; no less than a minute. A [store] that is full says so.
//! 2. In use: where an [idle timeout](TokensBuilder::with_idle_timeout) is set, uses are written down
//!    now and then. A [`RefreshHintLayer`] tells callers when less than 5 minutes are left.
//! 3. [`rotate`](Tokens::rotate): the successor is of the same owner and family. Both are valid for the
//!    [overlap](TokensBuilder::with_overlap), 30 seconds; whoever presents the old one after that makes
//!    the whole family invalid, and an [event](TokenEvent::Reused). No rotation leads beyond the
//!    [absolute lifetime](TokensBuilder::with_absolute_lifetime), where there is one.
//! 4. [`revoke`](Tokens::revoke), by id, [family](Tokens::revoke_family),
//!    [owner](Tokens::revoke_subject) or [age](Tokens::revoke_begun_before): at once, and on all
//!    replicas within the bound of their store. [`consume`](Tokens::consume) uses up a one-time token.
//!
//! # Grants
//!
//! A principal [asks](CapabilityBroker::request) for a capability; if the [policy](broker::GrantPolicy) allows it, he
//! gets a token for this capability alone, for 1 hour unless it says otherwise. He can
//! [narrow](grant::GrantToken::attenuate) it without asking anybody, to a path, to an RPC, to so many uses, and hand that
//! on. The grant ends with its record: by [id](CapabilityBroker::revoke),
//! [principal](CapabilityBroker::revoke_subject) or [capability](CapabilityBroker::revoke_capability); a
//! [link](CapabilityBroker::revoke_link) of it ends with all that was derived from that.
//!
//! # Stores
//!
//! Store | Who shares it | Survives a restart | A revoked token is refused
//! ---|---|---|---
//! [`MemoryStore`] | this process | no | at once
//! `store::RedisStore` | all replicas | as Redis does | at once
//! `store::CachedStore` in front of it | all replicas | as Redis does | after a millisecond or so, never more than 2 seconds
//! `store::EncryptedFileStore` | this process | yes | at once
//!
//! Each operation of each store on a record is atomic: of any number of callers one uses up a one-time token or gets
//! the successor of a token, and a revocation, of however many, is complete when it answers and leaves no successor
//! behind. [`store::SharedStore`] is a
//! store chosen at run time; implement [`TokenStore`] for one of your own.
//!
//! Grants have stores of their own: [`store::MemoryGrantStore`], `store::RedisGrantStore` for all replicas, which asks
//! Redis every time, [`store::SharedGrantStore`], and [`store::GrantStore`] for yours.
//!
//! # Audit
//!
//! An [`AuditLayer`](audit::AuditLayer), outermost, writes down every refusal of every tower-plugin layer, and
//! [`audit::tokens`], [`audit::grants`] and [`audit::admission`] what happens to tokens, to grants and at the door: to
//! `tracing`, or with the feature `audit-file` to a file in which every change is found. Names of events are those of the OWASP [vocabulary](audit::vocabulary).
//!
//! # Deployment caveats
//!
//! * A bearer token is as good as the channel it travels on: use TLS.
//! * Client certificates are verified by the TLS layer of your server, or by nobody: configure it to. These layers
//!   read names from what it has verified.
//! * Permissions are compared with the path as it stands in the request, and cover no path that can be read in
//!   two ways. A layer between them and the router must not rewrite it.
//! * [`MemoryStore`] knows the tokens of its own process, and forgets them with it. What Redis may
//!   forget, and what follows from it, is told at `store::RedisStore`.
//! * A name a plugin gives itself identifies nobody: [`Admission`] binds it to a program where a manifest is asked for,
//!   and to a certificate by [`Peers::with_peer_as`](admission::Peers::with_peer_as). With a shared secret alone it does
//!   not. Each process keeps its own quarantine.
//! * [`KeyRing`](token::KeyRing) keys belong in a secret store, apart from the records. Keep an old key
//!   as verify-only until the last token issued under it has expired.
//! * Lifetimes are compared with the wall clock of whichever replica checks: keep them synchronised, and an
//!   [overlap](TokensBuilder::with_overlap) longer than they will ever be apart. A token is valid strictly before
//!   the instant at which it expires, without leeway.
//!
//! # Failure modes
//!
//! Everything fails closed. No randomness, a full store or one that is down: no token and no grant is issued and
//! nothing is kept. A store that cannot look up a token: 503. A use of a grant that cannot be counted: 503, and it
//! may be spent. A store that never answers: the request waits, unless a `Deadline` (feature `deadline`) is around
//! the authenticator. A key that was dropped from the ring: its tokens and grants are invalid. An audit log that cannot be written is the exception: requests go on, and events are
//! counted as dropped. Nothing a caller sends can panic a layer, and no secret is stored, logged or
//! echoed: stores keep HMAC-SHA256 digests, `Debug` redacts, secrets are wiped when dropped.
//!
//! # Features
//!
//! Name | Description | Default?
//! ---|---|---
//! `audit-file` | `audit::FileSink` keeps an audit log that tells when somebody has changed it (Unix) |
//! `axum` | find [`TlsInfo`] in axum's connect info |
//! `cache` | `store::CachedStore` remembers what another store has said (moka) |
//! `client` | `client::BearerLayer`: attach a token to requests, and keep it fresh |
//! `deadline` | `authenticate::Deadline`: 503 when an authenticator takes too long |
//! `encrypted-file` | `store::EncryptedFileStore` keeps records in one encrypted file (Unix; AES-256-GCM, Tokio) |
//! `manifest` | `admission::manifest`: signed manifests (Ed25519), and `admission::AdmissionConfig` for configuration files (serde) |
//! `metrics` | Counts, and how long checks wait for a store, for the `metrics` facade; install its recorder before the first check |
//! `mtls` | `authenticate::MtlsAuthenticator`: who is calling, by client certificate |
//! `redis` | `store::RedisStore` and `store::RedisGrantStore` keep records in Redis or Valkey (Tokio); with `cache` |
//! `redis-tls` | `rediss://` addresses, with rustls and the crypto provider of your choice |
//! `rustls` | [`TlsInfo`] from a rustls connection |
//! `tonic` | find the connection in tonic's connect info |
//! `tower-http` | our authenticators in tower-http's `AsyncRequireAuthorizationLayer` and `ValidateRequestHeaderLayer` |
//!
//! The default build keeps tokens in memory, and has no async runtime and no framework in it.

#![cfg_attr(docsrs, feature(doc_cfg))]
// The public API is documented and free to grow.
#![warn(
    missing_docs,
    clippy::exhaustive_enums,
    clippy::exhaustive_structs,
    clippy::missing_errors_doc,
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    clippy::return_self_not_must_use
)]
// A request must not be able to panic the server.
#![cfg_attr(
    not(test),
    warn(
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::unwrap_used
    )
)]

pub mod admission;
pub mod audit;
pub mod authenticate;
pub mod authorize;
pub mod broker;
pub mod capability;
#[cfg(feature = "client")]
pub mod client;
pub mod grant;
pub mod refresh;
pub mod store;
pub mod token;
pub mod transport;

mod config;
#[cfg(all(
    any(
        feature = "audit-file",
        feature = "encrypted-file",
        feature = "manifest"
    ),
    unix
))]
mod file;
mod gated;
mod header;
mod keyed;
mod random;
mod refusal;
mod tokens;
mod wiped;

pub use admission::Admission;
pub use authenticate::{AuthError, AuthLayer, Authenticator, BearerAuthenticator};
pub use authorize::{AuthorizeLayer, RequireLayer};
pub use broker::{Capability, CapabilityBroker, Grant, GrantEvent, GrantRequest};
pub use capability::CapabilityLayer;
pub use config::InvalidConfig;
pub use random::SystemRng;
pub use refresh::RefreshHintLayer;
pub use refusal::Realm;
pub use store::{InsertError, MemoryStore, StoreError, TokenStore};
pub use tokens::{
    IssueError, Issued, NewToken, RotateError, TokenEvent, Tokens, TokensBuilder, Verified,
    VerifyError, Verifying,
};

pub use transport::{RequireSecureTransportLayer, TlsInfo};

pub use tower_plugin_core::{
    Answer, AnswerFuture, ClientIp, Clock, Code, IpNet, ManualClock, Principal, Rejection,
    RequestHead, ResponseBody, SystemClock,
};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
