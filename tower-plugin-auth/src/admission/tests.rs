use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::SystemTime,
};

use parking_lot::Mutex;
use tower_plugin_core::Code;

use super::*;
use crate::{
    Answer, Capability, CapabilityBroker, GrantRequest, InsertError, IssueError, MemoryStore,
    NewToken, StoreError, SystemRng, TokenStore, Tokens,
    authorize::AllowAll,
    broker::RequestError,
    store::{Found, GrantStore, List, MemoryGrantStore, Revocation, SharedGrantStore},
    token::{KeyRing, Record, TokenId, TokenKind},
    tokens::Issued,
};

const VALUE: &str = "correct-horse-battery";

pub(super) fn secret() -> Rule {
    Rule::Secret(BootstrapSecret::new(VALUE).unwrap())
}

pub(super) fn name(name: &str) -> SelfId {
    name.parse().unwrap()
}

fn knows(name: &SelfId) -> Applicant<'_> {
    Applicant::new(name).with_secret(BootstrapSecret::NAME, VALUE)
}

fn tokens() -> Tokens<Arc<MemoryStore>> {
    let store = Arc::new(MemoryStore::new(5000).unwrap());
    Tokens::builder(store, KeyRing::random(&SystemRng).unwrap())
        .build()
        .unwrap()
}

async fn is_live<S: TokenStore>(tokens: &Tokens<S>, issued: &Issued) -> bool {
    let text = issued.token().expose().as_bytes();
    tokens.verify(TokenKind::Runtime, text).await.is_ok()
}

/// Everything that was told, in words.
#[derive(Clone, Default)]
pub(super) struct Told(Arc<Mutex<Vec<String>>>);

impl Told {
    pub(super) fn listen(&self, builder: AdmissionBuilder) -> AdmissionBuilder {
        let told = Arc::clone(&self.0);
        builder.with_observer(move |event| {
            let words = match event {
                AdmissionEvent::Admitted {
                    self_id, grounds, ..
                } => format!("admitted {self_id} by {grounds}"),
                AdmissionEvent::Refused {
                    self_id, reason, ..
                } => format!("refused {self_id}: {reason}"),
                AdmissionEvent::Quarantined { tokens, grants, .. } => {
                    format!("quarantined: {tokens:?} {grants:?}")
                }
                AdmissionEvent::Released { .. } => "released".to_owned(),
                #[cfg(feature = "manifest")]
                AdmissionEvent::ManifestInstalled { manifest } => {
                    format!("installed {}", manifest.manifest().generated_at())
                }
                #[cfg(feature = "manifest")]
                AdmissionEvent::ManifestRefused { error } => format!("not installed: {error}"),
            };
            told.lock().push(words);
        })
    }

    pub(super) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock())
    }
}

#[tokio::test]
async fn f02_without_evidence_nobody_gets_a_token() {
    let told = Told::default();
    let admission = told.listen(Admission::builder(secret())).build().unwrap();
    let (tokens, cache) = (tokens(), name("cache"));
    let published = "d3f40b3c2e1a5f8b9c4d7e6a1b2c3d4e";
    for applicant in [
        Applicant::new(&cache),
        Applicant::new(&cache).with_secret(BootstrapSecret::NAME, published),
        Applicant::new(&cache).with_secret("OTHER", VALUE),
    ] {
        let refused = admission.admit(&applicant).unwrap_err();
        let rejection = refused.rejection();
        assert_eq!(rejection.code(), Code::PermissionDenied);
        // One sentence, whatever the reason.
        assert_eq!(refused.to_string(), "admission refused");
        assert_eq!(rejection.message(), "admission refused");
        assert!(rejection.retry_after().is_none());
    }
    assert!(tokens.list(&List::all()).await.unwrap().is_empty());

    let issued = admission
        .admit(&knows(&cache))
        .unwrap()
        .issue(&tokens)
        .await
        .unwrap();
    assert!(is_live(&tokens, &issued).await);
    assert_eq!(issued.principal().attribute(ADMITTED_BY), Some("secret"));
    assert_eq!(
        told.take(),
        [
            "refused cache: secret_missing",
            "refused cache: secret_wrong",
            "refused cache: secret_wrong",
            "admitted cache by secret",
        ]
    );
}

#[test]
fn the_default_rule_admits_nobody_and_open_is_called_so() {
    let cache = name("cache");
    let closed = Admission::builder(Rule::default()).build().unwrap();
    let refused = closed.admit(&knows(&cache)).unwrap_err();
    assert_eq!(refused.reason(), Some(RefusalReason::Closed));
    assert!(!closed.is_open());

    let open = Admission::builder(Rule::Open).build().unwrap();
    assert!(open.admit(&Applicant::new(&cache)).is_ok());
    assert!(open.is_open());
}

#[test]
fn no_more_than_three_admissions_go_on_at_once() {
    let told = Told::default();
    let admission = told.listen(Admission::builder(secret())).build().unwrap();
    let cache = name("cache");
    let mut going_on: Vec<_> = (0..3)
        .map(|_| admission.admit(&knows(&cache)).unwrap())
        .collect();

    let busy = admission.admit(&knows(&cache)).unwrap_err();
    assert!(matches!(busy, AdmissionError::Busy));
    let rejection = busy.rejection();
    assert_eq!(rejection.code(), Code::Unavailable);
    assert!(rejection.retry_after().is_some());
    assert_eq!(told.take(), ["refused cache: busy"]);
    assert!(matches!(admission.enter(), Err(AdmissionError::Busy)));
    // Who would be refused anyway learns nothing of it.
    let refused = admission.admit(&Applicant::new(&cache)).unwrap_err();
    assert_eq!(refused.reason(), Some(RefusalReason::SecretMissing));

    going_on.pop();
    assert_eq!(admission.in_progress(), 2);
    assert!(admission.admit(&knows(&cache)).is_ok());
    drop(going_on);
    assert_eq!(admission.in_progress(), 0);
}

#[test]
fn a_place_taken_before_the_decision_counts_and_is_given_back() {
    let admission = Admission::builder(secret())
        .with_max_concurrent(1)
        .build()
        .unwrap();
    let cache = name("cache");
    let place = admission.enter().unwrap();
    assert!(matches!(
        admission.admit(&knows(&cache)),
        Err(AdmissionError::Busy)
    ));
    assert!(place.admit(&Applicant::new(&cache)).is_err());
    assert_eq!(admission.in_progress(), 0, "a refusal gives it back");

    let admitted = admission.enter().unwrap().admit(&knows(&cache)).unwrap();
    assert_eq!(admission.in_progress(), 1);
    admitted.confirm().unwrap();
    assert_eq!(admission.in_progress(), 0);
}

#[test]
fn places_are_never_oversold_between_threads() {
    let admission = Admission::builder(Rule::Open).build().unwrap();
    let (cache, oversold) = (name("cache"), AtomicBool::new(false));
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..2000 {
                    let admitted = admission.admit(&Applicant::new(&cache));
                    if admission.in_progress() > 3 {
                        oversold.store(true, Ordering::Relaxed);
                    }
                    drop(admitted);
                }
            });
        }
    });
    assert!(!oversold.into_inner());
    assert_eq!(admission.in_progress(), 0);
}

#[tokio::test]
async fn d10_a_cancelled_admission_frees_its_place() {
    let tokens = Tokens::builder(Hanging::default(), KeyRing::random(&SystemRng).unwrap())
        .build()
        .unwrap();
    let admission = Admission::builder(secret()).build().unwrap();
    let cache = name("cache");
    let mut going_on: Vec<_> = (0..3)
        .map(|_| {
            let admitted = admission.admit(&knows(&cache)).unwrap();
            Box::pin(admitted.issue(&tokens))
        })
        .collect();
    for future in &mut going_on {
        let polled = futures_poll(future.as_mut()).await;
        assert!(polled.is_none(), "the store never answers");
    }
    assert!(admission.admit(&knows(&cache)).is_err());

    going_on.pop();
    assert_eq!(admission.in_progress(), 2);
    assert!(admission.admit(&knows(&cache)).is_ok());
}

/// Polls once.
async fn futures_poll<F: Future>(future: std::pin::Pin<&mut F>) -> Option<F::Output> {
    let mut future = Some(future);
    std::future::poll_fn(move |context| {
        let future = future.take().unwrap();
        std::task::Poll::Ready(match future.poll(context) {
            std::task::Poll::Ready(output) => Some(output),
            std::task::Poll::Pending => None,
        })
    })
    .await
}

#[tokio::test]
async fn a_plugin_in_quarantine_loses_its_tokens_and_grants_and_stays_out_until_released() {
    let told = Told::default();
    let revoked = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&revoked);
    let builder = Admission::builder(secret()).with_grant_revocation(move |holder| {
        log.lock()
            .push(format!("{} {}", holder.kind(), holder.subject()));
        std::future::ready(Ok(2))
    });
    let admission = told.listen(builder).build().unwrap();
    let tokens = tokens();
    let (cache, other) = (name("cache"), name("cache-eu"));
    let issue = async |name: &SelfId| {
        let admitted = admission.admit(&knows(name)).unwrap();
        admitted.issue(&tokens).await.unwrap()
    };
    let runs = [issue(&cache).await, issue(&cache).await];
    let bystander = issue(&other).await;
    told.take();

    let suspect = Suspect::of(runs[0].principal());
    assert_eq!(suspect, Suspect::Plugin(cache.clone()));
    let isolated = admission.quarantine(&tokens, &suspect).await.unwrap();
    assert_eq!((isolated.tokens, isolated.grants), (2, Some(6)));
    for run in &runs {
        assert!(!is_live(&tokens, run).await);
    }
    assert!(is_live(&tokens, &bystander).await);
    let told_to: BTreeSet<_> = revoked.lock().drain(..).collect();
    let run = |issued: &Issued| format!("runtime {}", issued.principal().subject());
    assert_eq!(
        told_to,
        BTreeSet::from(["plugin cache".to_owned(), run(&runs[0]), run(&runs[1])])
    );

    let refused = admission.admit(&knows(&cache)).unwrap_err();
    assert_eq!(refused.reason(), Some(RefusalReason::Quarantined));
    assert_eq!(refused.to_string(), "admission refused");
    assert!(admission.admit(&knows(&other)).is_ok());
    assert_eq!(admission.quarantined(), std::slice::from_ref(&suspect));

    assert!(admission.release(&suspect));
    assert!(!admission.release(&suspect));
    issue(&cache).await;
    assert_eq!(
        told.take(),
        [
            "quarantined: Some(2) Some(6)",
            "refused cache: quarantined",
            "released",
            "admitted cache by secret",
        ]
    );
}

#[tokio::test]
async fn a_peer_in_quarantine_takes_the_plugins_it_ran_with_it() {
    let peers = Peers::new()
        .with_peer("mtls-dns", "a.example")
        .with_peer("mtls-dns", "b.example");
    let admission = Admission::builder(Rule::Peer(peers)).build().unwrap();
    let tokens = tokens();
    let (cache, logger) = (name("cache"), name("logger"));
    let (a, b) = (
        Principal::new("mtls-dns", "a.example"),
        Principal::new("mtls-dns", "b.example"),
    );
    let issue = async |name: &SelfId, peer: &Principal| {
        let applicant = Applicant::new(name).with_peer(peer);
        let admitted = admission.admit(&applicant).unwrap();
        admitted.issue(&tokens).await.unwrap()
    };
    let of_a = [issue(&cache, &a).await, issue(&logger, &a).await];
    let of_b = issue(&cache, &b).await;
    assert_eq!(of_b.principal().attribute(PEER), Some("b.example"));
    assert_eq!(of_b.principal().attribute(PEER_KIND), Some("mtls-dns"));

    let isolated = admission.quarantine(&tokens, &Suspect::of(&a)).await;
    assert_eq!(isolated.unwrap().tokens, 2);
    assert!(!is_live(&tokens, &of_a[0]).await && !is_live(&tokens, &of_a[1]).await);
    assert!(is_live(&tokens, &of_b).await);
    let again = Applicant::new(&cache).with_peer(&a);
    assert_eq!(
        admission.admit(&again).unwrap_err().reason(),
        Some(RefusalReason::Quarantined)
    );
    issue(&cache, &b).await;
}

#[tokio::test]
async fn a_quarantine_finds_every_run_of_a_plugin_however_many_there_are() {
    let (admission, tokens) = (Admission::builder(Rule::Open).build().unwrap(), tokens());
    let (cache, other) = (name("cache"), name("other"));
    for n in 0..2500 {
        let name = if n % 2 == 0 { &cache } else { &other };
        tokens.issue(NewToken::runtime(name)).await.unwrap();
    }
    let suspect = Suspect::Plugin(cache);
    let isolated = admission.quarantine(&tokens, &suspect).await.unwrap();
    assert_eq!(isolated.tokens, 1250);
    assert_eq!(isolated.grants, None);
    // Doing it again does no harm.
    let again = admission.quarantine(&tokens, &suspect).await.unwrap();
    assert_eq!(again.tokens, 0);
}

#[tokio::test]
async fn who_is_put_in_quarantine_while_being_admitted_gets_no_token() {
    let (admission, tokens) = (Admission::builder(secret()).build().unwrap(), tokens());
    let cache = name("cache");
    let suspect = Suspect::Plugin(cache.clone());
    let being_admitted = admission.admit(&knows(&cache)).unwrap();
    let without_token = admission.admit(&knows(&cache)).unwrap();
    admission.quarantine(&tokens, &suspect).await.unwrap();

    let refused = being_admitted.issue(&tokens).await.unwrap_err();
    assert_eq!(refused.reason(), Some(RefusalReason::Quarantined));
    assert!(tokens.list(&List::all()).await.unwrap().is_empty());
    assert!(without_token.confirm().is_err());
}

#[tokio::test]
async fn a_full_quarantine_says_so_and_lets_nobody_go() {
    let (a, b) = (name("a"), name("b"));
    let first = Suspect::Plugin(a.clone());
    let admission = Admission::builder(secret())
        .with_max_quarantined(1)
        .with_quarantined([first.clone()])
        .build()
        .unwrap();
    let tokens = tokens();
    let issued = admission.admit(&knows(&b)).unwrap().issue(&tokens).await;
    let issued = issued.unwrap();

    let full = admission
        .quarantine(&tokens, &Suspect::Plugin(b.clone()))
        .await
        .unwrap_err();
    assert!(matches!(full, QuarantineError::Full));
    assert!(!is_live(&tokens, &issued).await, "it lost its token");
    assert!(admission.admit(&knows(&b)).is_ok(), "as the error says");
    assert!(admission.admit(&knows(&a)).is_err());
    assert!(admission.is_quarantined(&first));
}

#[tokio::test]
async fn a_failure_to_revoke_is_told_and_the_rest_is_done() {
    let told = Told::default();
    let down = || StoreError::unavailable("down");
    let builder = Admission::builder(secret())
        .with_grant_revocation(move |_| std::future::ready(Err(down())));
    let admission = told.listen(builder).build().unwrap();
    let cache = name("cache");
    let suspect = Suspect::Plugin(cache.clone());
    let healthy = tokens();
    let issued = admission
        .admit(&knows(&cache))
        .unwrap()
        .issue(&healthy)
        .await;
    let issued = issued.unwrap();
    told.take();

    let error = admission.quarantine(&healthy, &suspect).await.unwrap_err();
    assert!(matches!(error, QuarantineError::Grants(_)), "{error}");
    assert!(!is_live(&healthy, &issued).await);
    admission.release(&suspect);

    let broken = Tokens::builder(
        Hanging { answers: true },
        KeyRing::random(&SystemRng).unwrap(),
    )
    .build()
    .unwrap();
    let error = admission.quarantine(&broken, &suspect).await.unwrap_err();
    assert!(matches!(error, QuarantineError::Tokens(_)), "{error}");
    assert!(admission.is_quarantined(&suspect));
    assert_eq!(
        told.take(),
        [
            "quarantined: Some(1) None",
            "released",
            "quarantined: None None"
        ]
    );
}

#[tokio::test]
async fn a_quarantine_that_failed_is_done_again_to_its_end() {
    let (is_down, revoked) = (Arc::new(AtomicBool::new(true)), Arc::default());
    let (down, log) = (Arc::clone(&is_down), Arc::<Mutex<Vec<_>>>::clone(&revoked));
    let admission = Admission::builder(secret())
        .with_grant_revocation(move |holder| {
            let is_down = down.load(Ordering::Relaxed);
            if !is_down {
                log.lock().push(holder.subject().to_owned());
            }
            std::future::ready(match is_down {
                true => Err(StoreError::unavailable("down")),
                false => Ok(1),
            })
        })
        .build()
        .unwrap();
    let (tokens, cache) = (tokens(), name("cache"));
    let issued = admission
        .admit(&knows(&cache))
        .unwrap()
        .issue(&tokens)
        .await;
    let issued = issued.unwrap();
    let suspect = Suspect::Plugin(cache.clone());
    for _ in 0..2 {
        let error = admission.quarantine(&tokens, &suspect).await.unwrap_err();
        assert!(matches!(error, QuarantineError::Grants(_)), "{error}");
    }
    assert!(!is_live(&tokens, &issued).await);

    is_down.store(false, Ordering::Relaxed);
    let isolated = admission.quarantine(&tokens, &suspect).await.unwrap();
    assert_eq!((isolated.tokens, isolated.grants), (0, Some(2)));
    assert_eq!(*revoked.lock(), ["cache", issued.principal().subject()]);
    // What was done is not owed any more.
    let isolated = admission.quarantine(&tokens, &suspect).await.unwrap();
    assert_eq!(isolated.grants, Some(1));
}

#[tokio::test]
async fn a_quarantine_that_was_cancelled_is_done_again_to_its_end() {
    let (hangs, revoked) = (Arc::new(AtomicBool::new(true)), Arc::default());
    let (hanging, log) = (Arc::clone(&hangs), Arc::<Mutex<Vec<_>>>::clone(&revoked));
    let admission = Admission::builder(secret())
        .with_grant_revocation(move |holder| {
            let hangs = hanging.load(Ordering::Relaxed) && holder.kind() == "runtime";
            let log = Arc::clone(&log);
            async move {
                if hangs {
                    std::future::pending::<()>().await;
                }
                log.lock().push(holder.subject().to_owned());
                Ok(1)
            }
        })
        .build()
        .unwrap();
    let (tokens, cache) = (tokens(), name("cache"));
    let issued = admission
        .admit(&knows(&cache))
        .unwrap()
        .issue(&tokens)
        .await;
    let issued = issued.unwrap();
    let suspect = Suspect::Plugin(cache.clone());
    let mut cancelled = Box::pin(admission.quarantine(&tokens, &suspect));
    assert!(futures_poll(cancelled.as_mut()).await.is_none());
    drop(cancelled);
    assert!(!is_live(&tokens, &issued).await);

    hangs.store(false, Ordering::Relaxed);
    admission.quarantine(&tokens, &suspect).await.unwrap();
    let id = issued.principal().subject().to_owned();
    assert!(revoked.lock().contains(&id), "{revoked:?}");
}

#[tokio::test]
async fn a_suspect_s_grants_end_whatever_has_become_of_its_tokens() {
    let grants = Arc::new(MemoryGrantStore::new(100).unwrap());
    let broker =
        CapabilityBroker::builder(Arc::clone(&grants), KeyRing::random(&SystemRng).unwrap())
            .with_policy(AllowAll)
            .build()
            .unwrap();
    let files = Capability::new("files", "1.0.0").unwrap();
    broker
        .register(files.with_permission("* /**".parse().unwrap()))
        .unwrap();
    let peers = Peers::new().with_peer("mtls-dns", "a.example");
    let admission = Admission::builder(Rule::Peer(peers))
        .with_grant_store(SharedGrantStore::new(Arc::clone(&grants)))
        .build()
        .unwrap();
    let (tokens, peer) = (tokens(), Principal::new("mtls-dns", "a.example"));
    let grant = async |owner: &Principal| {
        let request = GrantRequest::new(owner.clone(), "files").with_insecure_bearer();
        broker.request(request).await.unwrap().token().id()
    };
    for suspect in [Suspect::Plugin(name("cache")), Suspect::of(&peer)] {
        let (cache, other) = (name("cache"), name("cache-eu"));
        let admitted = admission.admit(&Applicant::new(&cache).with_peer(&peer));
        let issued = admitted.unwrap().issue(&tokens).await.unwrap();
        let bystander = tokens.issue(NewToken::runtime(&other)).await.unwrap();
        let ours = grant(issued.principal()).await;
        let theirs = grant(bystander.principal()).await;
        tokens.revoke(&issued.token().id()).await.unwrap();

        let isolated = admission.quarantine(&tokens, &suspect).await.unwrap();
        assert_eq!((isolated.tokens, isolated.grants), (0, Some(1)));
        assert!(is_gone(&grants, &ours) && !is_gone(&grants, &theirs));
        admission.release(&suspect);
    }
    let certificate = grant(&peer).await;
    admission
        .quarantine(&tokens, &Suspect::of(&peer))
        .await
        .unwrap();
    assert!(is_gone(&grants, &certificate));
}

#[tokio::test]
async fn who_is_kept_out_is_granted_nothing_before_and_during_a_quarantine() {
    let peers = Peers::new().with_peer("mtls-dns", "a.example");
    let admission = Admission::builder(Rule::Peer(peers)).build().unwrap();
    let (door, is_late) = (admission.clone(), Arc::new(AtomicBool::new(false)));
    let (suspect, late) = (
        Suspect::principal("mtls-dns", "a.example"),
        Arc::clone(&is_late),
    );
    let suspicion = (admission.clone(), suspect.clone());
    let keys = KeyRing::random(&SystemRng).unwrap();
    let broker = CapabilityBroker::builder(MemoryGrantStore::new(100).unwrap(), keys)
        .with_policy(move |_: &GrantRequest, _: &Capability| {
            // Somebody finds out while the request is under way.
            if late.load(Ordering::Relaxed) {
                suspicion.0.0.quarantine.lock().put(&suspicion.1);
            }
            true
        })
        .with_barred(move |principal| door.is_barred(principal))
        .build()
        .unwrap();
    let files = Capability::new("files", "1.0.0").unwrap();
    broker
        .register(files.with_permission("* /**".parse().unwrap()))
        .unwrap();
    let (tokens, peer) = (tokens(), Principal::new("mtls-dns", "a.example"));
    let ask = async |owner: &Principal| {
        let issued = broker.request(GrantRequest::new(owner.clone(), "files"));
        issued.await.map(|issued| issued.token().id())
    };
    let cache = name("cache");
    let admitted = admission.admit(&Applicant::new(&cache).with_peer(&peer));
    let run = admitted.unwrap().issue(&tokens).await.unwrap();
    assert!(ask(&peer).await.is_ok() && ask(run.principal()).await.is_ok());

    admission.quarantine(&tokens, &suspect).await.unwrap();
    for owner in [&peer, run.principal()] {
        // A certificate needs no token, and a cache may know a dead one still.
        assert!(matches!(ask(owner).await, Err(RequestError::Denied)));
        assert!(admission.is_barred(owner));
    }
    admission.release(&suspect);
    assert!(ask(&peer).await.is_ok());
    let before = broker.store().len();
    is_late.store(true, Ordering::Relaxed);
    assert!(matches!(ask(&peer).await, Err(RequestError::Denied)));
    assert!(admission.is_quarantined(&suspect));
    assert_eq!(broker.store().len(), before, "nothing is left of it");
}

#[tokio::test]
async fn a_run_in_quarantine_does_not_come_back_as_another_run() {
    let (admission, tokens) = (Admission::builder(secret()).build().unwrap(), tokens());
    let cache = name("cache");
    let issue = || admission.admit(&knows(&cache));
    let run = issue().unwrap().issue(&tokens).await.unwrap();
    let spelled_out = Suspect::Principal {
        kind: "runtime".into(),
        subject: run.principal().subject().into(),
    };
    let isolated = admission.quarantine(&tokens, &spelled_out).await.unwrap();
    assert_eq!(isolated.tokens, 1);
    let refused = issue().unwrap_err();
    assert_eq!(refused.reason(), Some(RefusalReason::Quarantined));
    assert_eq!(admission.quarantined(), [Suspect::Plugin(cache.clone())]);
}

fn is_gone(grants: &MemoryGrantStore, id: &TokenId) -> bool {
    match grants.get(id) {
        Answer::Ready(found) => found.unwrap().is_none(),
        Answer::Pending(_) => unreachable!("memory answers at once"),
    }
}

#[tokio::test]
async fn a_token_that_cannot_be_issued_is_no_refusal() {
    let admission = Admission::builder(secret()).build().unwrap();
    let cache = name("cache");
    let keys = || KeyRing::random(&SystemRng).unwrap();
    let full = Tokens::builder(MemoryStore::new(1).unwrap(), keys())
        .build()
        .unwrap();
    admission
        .admit(&knows(&cache))
        .unwrap()
        .issue(&full)
        .await
        .unwrap();
    let error = admission.admit(&knows(&cache)).unwrap().issue(&full).await;
    let error = error.unwrap_err();
    assert!(matches!(error, AdmissionError::Issue(IssueError::Full)));
    assert_eq!(error.rejection().code(), Code::ResourceExhausted);

    let down = Tokens::builder(Hanging { answers: true }, keys())
        .build()
        .unwrap();
    let error = admission.admit(&knows(&cache)).unwrap().issue(&down).await;
    let rejection = error.unwrap_err().rejection();
    assert_eq!(rejection.code(), Code::Unavailable);
    assert!(rejection.retry_after().is_some());

    let new = NewToken::runtime(&cache).with_ttl(std::time::Duration::ZERO);
    let error = admission
        .admit(&knows(&cache))
        .unwrap()
        .issue_as(&full, new)
        .await;
    assert_eq!(error.unwrap_err().rejection().code(), Code::Internal);
    assert_eq!(admission.in_progress(), 0);
}

#[tokio::test]
async fn d06_who_is_told_may_ask_back() {
    // Told under a lock, this would wait for itself for ever.
    let door = Arc::new(std::sync::OnceLock::<Admission>::new());
    let seen = Arc::clone(&door);
    let asked = Arc::new(Mutex::new(Vec::new()));
    let answers = Arc::clone(&asked);
    let admission = Admission::builder(secret())
        .with_observer(move |_| {
            let admission = seen.get().unwrap();
            answers
                .lock()
                .push(admission.quarantined().len() + admission.in_progress());
        })
        .build()
        .unwrap();
    door.set(admission.clone()).unwrap();
    let (tokens, cache) = (tokens(), name("cache"));
    let suspect = Suspect::Plugin(cache.clone());
    assert!(admission.admit(&Applicant::new(&cache)).is_err());
    admission.admit(&knows(&cache)).unwrap().confirm().unwrap();
    admission.quarantine(&tokens, &suspect).await.unwrap();
    admission.release(&suspect);
    assert_eq!(*asked.lock(), [0, 1, 1, 0]);
}

#[cfg(feature = "mtls")]
#[test]
fn a_peer_is_who_its_certificate_names_and_nobody_without_one() {
    use sha2::{Digest, Sha256};

    use crate::{TlsInfo, authenticate::peer};

    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(["cache.example".to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(2029, 1, 1);
    params.not_after = rcgen::date_time_ymd(2031, 1, 1);
    let certificate = params.self_signed(&key).unwrap();
    let now = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_893_456_000);
    let tls = TlsInfo::new().with_client_certificates([certificate.der()]);

    let found = peer(&tls, now).unwrap().unwrap();
    let (cache, other) = (name("cache"), name("other"));
    let peers = Peers::new().with_peer_as("mtls-dns", "cache.example", &cache);
    let admission = Admission::builder(Rule::Peer(peers)).build().unwrap();
    let admitted = admission.admit(&Applicant::new(&cache).with_peer(&found));
    assert!(admitted.unwrap().grounds().peer());
    let refused = admission.admit(&Applicant::new(&other).with_peer(&found));
    assert_eq!(
        refused.unwrap_err().reason(),
        Some(RefusalReason::PeerNotAllowed)
    );

    let peers = Peers::new().with_thumbprint(Sha256::digest(certificate.der()).into());
    let admission = Admission::builder(Rule::Peer(peers)).build().unwrap();
    let applicant = Applicant::new(&other).with_peer(&found);
    assert!(admission.admit(&applicant).is_ok());

    assert_eq!(peer(&TlsInfo::new(), now), Ok(None));
    let later = now + std::time::Duration::from_secs(3 * 365 * 24 * 3600);
    assert!(peer(&tls, later).is_err());
}

#[test]
fn settings_outside_their_range_are_named() {
    let build = || Admission::builder(secret());
    let two = [Suspect::Plugin(name("a")), Suspect::Plugin(name("b"))];
    for (builder, field) in [
        (build().with_max_concurrent(0), "max_concurrent_admissions"),
        (
            build().with_max_concurrent(1025),
            "max_concurrent_admissions",
        ),
        (build().with_max_quarantined(0), "max_quarantined"),
        (build().with_max_quarantined(1_000_001), "max_quarantined"),
        (
            build().with_max_quarantined(1).with_quarantined(two),
            "quarantined",
        ),
        (Admission::builder(Rule::AllOf(vec![])), "rule"),
    ] {
        assert_eq!(builder.build().unwrap_err().field(), field);
    }
}

#[test]
fn nothing_that_is_shown_holds_a_secret() {
    let cache = name("cache");
    let builder = Admission::builder(secret());
    let applicant = format!("{:?} {builder:?}", knows(&cache));
    let admission = builder.build().unwrap();
    let admitted = admission.admit(&knows(&cache)).unwrap();
    let shown = format!("{applicant} {admission:?} {admitted:?}");
    assert!(!shown.contains(VALUE), "{shown}");
}

/// A store that never answers, or never has anything good to say.
#[derive(Default)]
struct Hanging {
    answers: bool,
}

impl Hanging {
    async fn answer<T>(&self) -> Result<T, StoreError> {
        match self.answers {
            true => Err(StoreError::unavailable("down")),
            false => std::future::pending().await,
        }
    }
}

impl TokenStore for Hanging {
    type Lookup = std::future::Ready<Found>;

    fn get(&self, _: &TokenId) -> Answer<Found, Self::Lookup> {
        Answer::Ready(Err(StoreError::unavailable("down")))
    }

    async fn insert(&self, _: Record, _: SystemTime) -> Result<(), InsertError> {
        Ok(self.answer().await?)
    }

    async fn update(&self, _: Record, _: SystemTime) -> Result<bool, StoreError> {
        self.answer().await
    }

    async fn take(&self, _: &TokenId) -> Found {
        self.answer().await
    }

    async fn revoke(&self, _: Revocation<'_>) -> Result<u64, StoreError> {
        self.answer().await
    }

    async fn list(&self, _: &List<'_>) -> Result<Vec<Arc<Record>>, StoreError> {
        self.answer().await
    }

    async fn sweep(&self, _: SystemTime) -> Result<u64, StoreError> {
        self.answer().await
    }
}
