//! What becomes of grants at a capability, as the audit log has it: each refusal by its exact reason, which the
//! caller is not told, and uses as far as they are to be written down.

use std::{convert::Infallible, fs, path::PathBuf, time::Duration};

use bytes::Bytes;
use http::{Request, StatusCode, header::AUTHORIZATION};
use http_body_util::{BodyExt, Full};
use serde_json::Value;
use tempfile::TempDir;
use tower::{ServiceBuilder, ServiceExt, service_fn};
use tower_plugin_auth::{
    Capability, CapabilityBroker, CapabilityLayer, Clock, Grant, GrantRequest, ManualClock,
    Principal,
    audit::{self, AuditLayer, FileSink, GrantUses, Verifier},
    authorize::AllowAll,
    broker::IssuedGrant,
    grant::{Caveat, GrantToken, Thumbprint},
    store::{MemoryGrantStore, SharedGrantStore},
    token::{KeyRing, Pepper},
};

type Broker = CapabilityBroker<SharedGrantStore>;
type Body = Full<Bytes>;

/// A host whose layers and whose broker write to one log.
struct Rig {
    directory: TempDir,
    clock: ManualClock,
    log: FileSink,
    store: SharedGrantStore,
    broker: Broker,
}

impl Rig {
    fn new(uses: GrantUses) -> Self {
        let directory = TempDir::new().unwrap();
        let clock = ManualClock::new();
        let log = FileSink::builder(directory.path().join("audit"), log_keys()).open();
        let log = log.unwrap();
        let store = SharedGrantStore::new(MemoryGrantStore::new(100).unwrap());
        let broker = CapabilityBroker::builder(store.clone(), keys(1))
            .with_policy(AllowAll)
            .with_clock(clock.clone())
            .with_observer(audit::grants_with_uses(log.clone(), uses))
            .build()
            .unwrap();
        Self {
            broker: offering(broker),
            clock,
            directory,
            log,
            store,
        }
    }

    async fn granted(&self) -> IssuedGrant {
        self.broker.request(wanted()).await.unwrap()
    }

    async fn narrowed(&self, caveat: Result<Caveat, impl std::fmt::Debug>) -> GrantToken {
        let issued = self.granted().await;
        issued.token().attenuate(&caveat.unwrap()).unwrap()
    }

    /// The status and the body that a caller sees.
    async fn call(&self, request: Request<Body>) -> (StatusCode, Bytes) {
        let files = service_fn(async |request: Request<Body>| {
            assert!(request.extensions().get::<Grant>().is_some());
            Ok::<_, Infallible>(http::Response::new(Body::default()))
        });
        let service = ServiceBuilder::new()
            .layer(AuditLayer::new(self.log.clone()))
            .layer(CapabilityLayer::new(self.broker.clone()).with_audience("us"))
            .service(files);
        let response = service.oneshot(request).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap();
        (status, body.to_bytes())
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("audit")
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("audit.00000001.jsonl")
    }

    /// All that was written so far, of a log that verifies.
    fn lines(&self) -> Vec<Value> {
        assert!(self.log.flush(Duration::from_secs(60)));
        let report = Verifier::new(&log_keys()).log(self.path()).unwrap();
        assert!(report.is_intact(), "{:?}", report.findings());
        let text = fs::read_to_string(self.file()).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    fn uses(&self) -> Vec<Value> {
        let lines = self.lines().into_iter();
        lines.filter(|line| line["event"] == "grant_used").collect()
    }
}

fn log_keys() -> KeyRing {
    KeyRing::new(Pepper::new(1, &[9; 32]).unwrap(), []).unwrap()
}

fn keys(byte: u8) -> KeyRing {
    KeyRing::new(Pepper::new(1, &[byte; 32]).unwrap(), []).unwrap()
}

fn offering(broker: Broker) -> Broker {
    for kind in ["files", "logger"] {
        let capability = Capability::new(kind, "1.0.0").unwrap();
        let capability = capability.with_permission("GET /a/**".parse().unwrap());
        broker.register(capability).unwrap();
    }
    broker
}

fn cache() -> Principal {
    Principal::new("runtime", "cache-7f3a")
}

fn wanted() -> GrantRequest {
    GrantRequest::new(cache(), "files")
}

/// By its owner, where it is good for something.
fn request(token: &GrantToken) -> Request<Body> {
    at(
        &format!("/capabilities/files/{}/a/x", token.id()),
        token.expose(),
    )
}

fn at(path: &str, token: &str) -> Request<Body> {
    let request = Request::get(path)
        .header(AUTHORIZATION, format!("Bearer {token}"))
        .header("x-request-id", "4f6c")
        .extension(cache());
    request.body(Body::default()).unwrap()
}

fn text<'a>(line: &'a Value, name: &str) -> &'a str {
    line[name].as_str().unwrap_or("-")
}

/// A caveat on uses is not on the list: what it refuses is used up. Nothing else is missing.
#[tokio::test]
async fn each_reason_for_which_a_grant_is_refused_is_in_the_log_and_not_in_the_answer() {
    let rig = Rig::new(GrantUses::default());
    let end = rig.clock.wall() + Duration::from_secs(60);
    let thumbprint = Thumbprint::from_bytes([7; 32]);
    let mut refused = Vec::new();
    let mut add = |reason: &'static str, request| refused.push((reason, request));

    let token = rig.granted().await.into_token();
    let (id, secret) = (token.id(), token.expose());
    let files = format!("/capabilities/files/{id}");
    add("AMBIGUOUS_PATH", at(&format!("{files}/a//x"), secret));
    add("NOT_PERMITTED", at(&format!("{files}/b"), secret));
    add(
        "OTHER_CAPABILITY",
        at(&format!("/capabilities/logger/{id}/a/x"), secret),
    );
    add("MALFORMED", at(&format!("{files}/a/x"), "tpg_x"));
    let other = rig.granted().await.into_token();
    let of_other = format!("/capabilities/files/{}/a/x", other.id());
    add("OTHER_GRANT", at(&of_other, secret));

    let mut by_stranger = request(&token);
    by_stranger
        .extensions_mut()
        .insert(Principal::new("runtime", "other"));
    add("NOT_HOLDER", by_stranger);
    let forger = CapabilityBroker::builder(rig.store.clone(), keys(2))
        .with_policy(AllowAll)
        .with_clock(rig.clock.clone());
    let forger = offering(forger.build().unwrap());
    let forged = forger.request(wanted()).await.unwrap();
    add("MISMATCH", request(forged.token()));

    add(
        "CAVEAT_AUDIENCE",
        request(&rig.narrowed(Caveat::audience("them")).await),
    );
    let certified = Ok::<_, ()>(Caveat::certificate(thumbprint));
    add(
        "CAVEAT_CERTIFICATE",
        request(&rig.narrowed(certified).await),
    );
    add(
        "CAVEAT_HOLDER",
        request(&rig.narrowed(Caveat::holder("runtime", "b")).await),
    );
    add(
        "CAVEAT_METHODS",
        request(&rig.narrowed(Caveat::methods(["HEAD"])).await),
    );
    add(
        "CAVEAT_NOT_AFTER",
        request(&rig.narrowed(Caveat::not_after(end)).await),
    );
    add(
        "CAVEAT_PATH_PREFIX",
        request(&rig.narrowed(Caveat::path_prefix("/a/y")).await),
    );
    add(
        "CAVEAT_RPC",
        request(&rig.narrowed(Caveat::rpc("a", "x")).await),
    );

    let derived = rig.narrowed(Caveat::path_prefix("/a")).await;
    rig.broker
        .revoke_link(&derived.id(), &derived.link())
        .await
        .unwrap();
    add("REVOKED", request(&derived));
    rig.broker.revoke(&other.id()).await.unwrap();
    add("UNKNOWN", request(&other));
    let once = rig.narrowed(Caveat::max_uses(1)).await;
    assert_eq!(rig.call(request(&once)).await.0, StatusCode::OK);
    add("USED_UP", request(&once));
    let short = rig
        .broker
        .request(wanted().with_ttl(Duration::from_secs(60)));
    add("EXPIRED", request(short.await.unwrap().token()));
    rig.clock.set_wall(end);

    let before = rig.lines().len();
    let mut answers = Vec::new();
    let mut expected = Vec::new();
    for (reason, request) in refused {
        answers.push(rig.call(request).await);
        // By the broker, who knows whose grant it is, and by the layer, who knows where the request came from.
        expected.push((reason.to_owned(), "authz_fail", "present_grant"));
        expected.push((reason.to_owned(), "authn_login_fail", "GET"));
    }
    let lines = rig.lines();
    let found: Vec<_> = lines[before..]
        .iter()
        .map(|line| {
            let by_broker = text(line, "event") == "authz_fail";
            let reason = match by_broker {
                true => text(line, "reason"),
                false => text(&line["details"], "cause"),
            };
            let is_found_by_id = text(line, "request_id") == "4f6c";
            assert_eq!(is_found_by_id, !by_broker, "{line}");
            assert_eq!(text(line, "outcome"), "denied");
            (reason.to_owned(), text(line, "event"), text(line, "action"))
        })
        .collect();
    assert_eq!(found, expected);
    for answer in &answers {
        assert_eq!(answer.0, StatusCode::UNAUTHORIZED);
        assert_eq!(answer, &answers[0], "all are told the same");
    }
}

#[tokio::test]
async fn a_counted_use_is_written_down_with_what_is_left_and_another_only_where_asked() {
    for (uses, counted, uncounted) in [
        (GrantUses::default(), 2, 0),
        (GrantUses::All, 2, 1),
        (GrantUses::None, 0, 0),
    ] {
        let rig = Rig::new(uses);
        let twice = wanted().with_max_uses(2.try_into().unwrap());
        let twice = rig.broker.request(twice).await.unwrap();
        // Derived from it, and counted with it.
        let narrowed = twice.token().attenuate(&Caveat::path_prefix("/a").unwrap());
        let narrowed = narrowed.unwrap();
        for (token, status) in [
            (twice.token(), StatusCode::OK),
            (&narrowed, StatusCode::OK),
            (&narrowed, StatusCode::UNAUTHORIZED),
        ] {
            assert_eq!(rig.call(request(token)).await.0, status);
        }
        let used = rig.uses();
        assert_eq!(used.len(), counted, "{uses:?}");
        for (line, (token, left)) in used.iter().zip([(twice.token(), "1"), (&narrowed, "0")]) {
            assert_eq!(text(line, "outcome"), "success");
            assert_eq!(text(line, "action"), "use_grant");
            assert_eq!(text(line, "resource"), twice.token().id().to_string());
            assert_eq!(text(&line["subject"], "subject"), "cache-7f3a");
            let details = &line["details"];
            assert_eq!(text(details, "capability"), "files");
            assert_eq!(text(details, "link"), token.link().to_string());
            assert_eq!(text(details, "uses_left"), left);
        }

        let often = rig.granted().await;
        assert_eq!(rig.call(request(often.token())).await.0, StatusCode::OK);
        let used = rig.uses();
        assert_eq!(used.len(), counted + uncounted, "{uses:?}");
        if let Some(line) = used.get(2) {
            assert_eq!(text(line, "resource"), often.token().id().to_string());
            assert!(line["details"].get("uses_left").is_none(), "{line}");
        }
    }
}

#[tokio::test]
async fn a_record_of_a_use_that_is_changed_afterwards_is_found() {
    let rig = Rig::new(GrantUses::default());
    let once = wanted().with_max_uses(1.try_into().unwrap());
    let issued = rig.broker.request(once).await.unwrap();
    assert_eq!(rig.call(request(issued.token())).await.0, StatusCode::OK);
    assert_eq!(rig.uses().len(), 1);
    let text = fs::read_to_string(rig.file()).unwrap();
    let left = text.replace("\"uses_left\":\"0\"", "\"uses_left\":\"1\"");
    assert_ne!(left, text);
    fs::write(rig.file(), left).unwrap();
    let report = Verifier::new(&log_keys()).log(rig.path()).unwrap();
    assert!(!report.is_intact());
}
