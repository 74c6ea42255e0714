//! A request head through the rules: twenty fields of which seven have rules, and a path.
//!
//! The peers do what one writes without this crate: a regular expression per value with the same
//! sizes and counts beside it, and structs that derive `validator::Validate` or `garde::Validate`.

mod heads;
mod peers;

use std::{
    cell::Cell, convert::Infallible, future::ready, hint::black_box, rc::Rc, time::Duration,
};

use futures_util::FutureExt;
use http::{Request, Response, StatusCode};
use tower::{Layer, Service, service_fn};
use tower_plugin_validate::{
    RuleSet, ValidateLayer,
    path::{PathRules, canonical_str},
};

use crate::runner::{Against, Case, Contender, Contest, now};

pub(super) fn cases() -> Vec<Case> {
    let versus = |id, name, times, contest| Case {
        id,
        unit: "ns",
        against: Against::Peer {
            name,
            times,
            contest,
        },
    };
    let limit = |id, unit, at_most, ours| Case {
        id,
        unit,
        against: Against::Limit { at_most, ours },
    };
    vec![
        // Around a service that does nothing, which is counted in.
        limit("validate-20h-ns", "ns", 350.0, || layered(heads::twenty)),
        versus("validate-20h", "a regex per value", 6.0, || Contest {
            ours: layered(heads::twenty),
            peer: peers::regex_per_value(heads::twenty()),
            baseline: None,
        }),
        versus("validate-20h-validator", "validator's derive", 1.0, || {
            Contest {
                ours: layered(heads::twenty),
                peer: peers::validator_derive(heads::twenty()),
                baseline: None,
            }
        }),
        versus("validate-20h-garde", "garde's derive", 1.0, || Contest {
            ours: layered(heads::twenty),
            peer: peers::garde_derive(heads::twenty()),
            baseline: None,
        }),
        limit("validate-20h-allocs", "allocs", 0.0, allocations),
        versus("validate-path", "a regex", 6.0, || Contest {
            ours: path(),
            peer: peers::regex_path(heads::PATH),
            baseline: None,
        }),
        limit("validate-100h-worst", "ns", 6000.0, || {
            layered(heads::hundred)
        }),
        // Five of twenty fields are wrong.
        versus("validate-fail", "validator's derive", 1.0, || Contest {
            ours: refused(heads::five_wrong),
            peer: peers::validator_refusal(heads::five_wrong()),
            baseline: None,
        }),
    ]
}

fn rules() -> RuleSet {
    RuleSet::http().with_schema(heads::schema())
}

/// Puts the request aside, so that it is asked again: a head that was just parsed is in the caches.
fn keeping(
    kept: &Kept,
) -> impl Service<Request<()>, Response = Response<()>, Error = Infallible> + use<> {
    let kept = Rc::clone(kept);
    service_fn(move |request| {
        kept.set(Some(request));
        ready(Ok(Response::new(())))
    })
}

type Kept = Rc<Cell<Option<Request<()>>>>;

/// One request through a service, again and again.
fn repeated<S, B>(
    layer: impl FnOnce(&Kept) -> S,
    head: fn() -> Request<()>,
    expected: StatusCode,
) -> Contender
where
    S: Service<Request<()>, Response = Response<B>, Error = Infallible> + 'static,
{
    let kept = Kept::default();
    let mut service = layer(&kept);
    let calls = move |iterations: u64| {
        let mut request = head();
        let start = now();
        for _ in 0..iterations {
            let response = service.call(request).now_or_never();
            let response = response.expect("no need to wait").expect("no failure");
            assert_eq!(response.status(), expected);
            request = kept.take().expect("the request comes back");
        }
        start.elapsed()
    };
    Contender::paced(calls)
}

/// A refused request is dropped with its twenty fields: each is built while the clock stands still.
fn refused(head: fn() -> Request<()>) -> Contender {
    let mut service = ValidateLayer::new(rules()).layer(keeping(&Kept::default()));
    Contender::paced(move |iterations| {
        let mut took = Duration::ZERO;
        for _ in 0..iterations.div_ceil(BATCH) {
            let requests: Vec<_> = (0..BATCH).map(|_| head()).collect();
            let mut answers = Vec::with_capacity(requests.len());
            let start = now();
            answers.extend(requests.into_iter().map(|request| {
                let answer = service.call(request).now_or_never();
                answer.expect("no need to wait").expect("no failure")
            }));
            took += start.elapsed();
            assert!(
                answers
                    .iter()
                    .all(|answer| answer.status() == StatusCode::BAD_REQUEST)
            );
        }
        took.mul_f64(iterations as f64 / (iterations.div_ceil(BATCH) * BATCH) as f64)
    })
}

const BATCH: u64 = 8;

fn layered(head: fn() -> Request<()>) -> Contender {
    let layer = ValidateLayer::new(rules());
    repeated(|kept| layer.layer(keeping(kept)), head, StatusCode::OK)
}

fn allocations() -> Contender {
    let Contender::Paced(mut work) = layered(heads::twenty) else {
        unreachable!("made two lines above");
    };
    Contender::whole(move || {
        work(1);
        let (few, many) = (counted(&mut work, 1), counted(&mut work, 1 + ROUNDS));
        (many - few) as f64 / ROUNDS as f64
    })
}

fn counted(work: &mut dyn FnMut(u64) -> Duration, iterations: u64) -> u64 {
    let counted = allocation_counter::measure(|| {
        work(iterations);
    });
    counted.count_total
}

const ROUNDS: u64 = 1000;

fn path() -> Contender {
    let rules = PathRules::http();
    Contender::paced(move |iterations| {
        let start = now();
        for _ in 0..iterations {
            black_box(canonical_str(black_box(heads::PATH), &rules).is_ok());
        }
        start.elapsed()
    })
}
