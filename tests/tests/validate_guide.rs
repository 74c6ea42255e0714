//! What `docs/validation.md` says, held against the code.

use std::{convert::Infallible, fs, path::Path};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use tower::{Layer, ServiceExt, service_fn};
use tower_plugin_tests::documents::blocks;
use tower_plugin_validate::{
    BodyLimits, RuleSet, ValidateLayer,
    body::BodyLimit,
    format::Format,
    limits::{Limit, Limits, LimitsBuilder},
    metadata::{Rule, Schema},
    path::{EmptySegments, PathRules, canonical},
};

const GUIDE: &str = include_str!("../../docs/validation.md");

/// The cells of the rows of the table that has this heading.
fn table(heading: &str) -> Vec<Vec<&'static str>> {
    let start = GUIDE.find(heading).unwrap();
    let rows = GUIDE[start..].lines().skip(2);
    let rows = rows.take_while(|line| line.starts_with('|'));
    let cells = |row: &'static str| row.trim_matches('|').split('|').map(str::trim).collect();
    rows.map(cells).collect()
}

fn number(cell: &str) -> Option<u64> {
    (cell != "off").then(|| cell.parse().unwrap())
}

type Setter = fn(LimitsBuilder, usize) -> LimitsBuilder;

const LIMITS: [(&str, Limit, Setter); 12] = [
    (
        "header_count",
        Limit::HeaderCount,
        LimitsBuilder::header_count,
    ),
    (
        "header_list_bytes",
        Limit::HeaderListBytes,
        LimitsBuilder::header_list_bytes,
    ),
    ("name_bytes", Limit::NameBytes, LimitsBuilder::name_bytes),
    ("value_bytes", Limit::ValueBytes, LimitsBuilder::value_bytes),
    (
        "values_per_name",
        Limit::ValuesPerName,
        LimitsBuilder::values_per_name,
    ),
    ("uri_bytes", Limit::UriBytes, LimitsBuilder::uri_bytes),
    ("path_bytes", Limit::PathBytes, LimitsBuilder::path_bytes),
    (
        "path_segments",
        Limit::PathSegments,
        LimitsBuilder::path_segments,
    ),
    (
        "segment_bytes",
        Limit::SegmentBytes,
        LimitsBuilder::segment_bytes,
    ),
    ("query_bytes", Limit::QueryBytes, LimitsBuilder::query_bytes),
    (
        "query_params",
        Limit::QueryParams,
        LimitsBuilder::query_params,
    ),
    ("declared_body", Limit::DeclaredBody, |limits, bytes| {
        limits.declared_body(bytes as u64)
    }),
];

const BODY_LIMITS: [(&str, BodyLimit); 6] = [
    ("body_bytes", BodyLimit::BodyBytes),
    ("message_bytes", BodyLimit::MessageBytes),
    ("messages", BodyLimit::Messages),
    ("stream_bytes", BodyLimit::StreamBytes),
    ("trailer_bytes", BodyLimit::TrailerBytes),
    ("trailer_fields", BodyLimit::TrailerFields),
];

#[test]
fn the_numbers_of_the_guide_are_those_of_the_presets() {
    let rows = table("| `Limits` |");
    assert_eq!(rows.len(), LIMITS.len());
    for (row, (name, limit, set)) in rows.iter().zip(LIMITS) {
        assert_eq!(row[0], format!("`{name}`"));
        let presets = [Limits::http(), Limits::grpc(), Limits::plugin()];
        for (cell, preset) in row[1..].iter().zip(presets) {
            assert_eq!(number(cell), preset.max(limit), "{name}");
        }
        let (min, max) = row[4].split_once(" to ").unwrap();
        let (min, max): (usize, usize) = (min.parse().unwrap(), max.parse().unwrap());
        let built = |number| set(Limits::builder(), number).build();
        assert!(built(min).is_ok() && built(max).is_ok(), "{name}");
        for outside in [min - 1, max + 1] {
            let invalid = built(outside).unwrap_err();
            assert_eq!(invalid.field(), name);
            assert_eq!((invalid.min(), invalid.max()), (min as u64, max as u64));
        }
    }
    let rows = table("| `BodyLimits` |");
    assert_eq!(rows.len(), BODY_LIMITS.len());
    for (row, (name, limit)) in rows.iter().zip(BODY_LIMITS) {
        assert_eq!(row[0], format!("`{name}`"));
        let presets = [BodyLimits::http(), BodyLimits::grpc()];
        for (cell, preset) in row[1..].iter().zip(presets) {
            assert_eq!(number(cell), preset.max(limit), "{name}");
        }
    }
}

#[test]
fn the_paths_of_the_guide_are_judged_as_it_says() {
    let mut judged = 0;
    for row in table("| sent | default | why |") {
        for path in row[0].split('`').filter(|text| text.starts_with('/')) {
            judged += 1;
            let verdict = canonical(path, &PathRules::http());
            if row[1].starts_with("passes") {
                assert!(verdict.is_ok_and(|path| path.is_unchanged()), "{path}");
            } else {
                let reason = verdict.unwrap_err().reason();
                assert_eq!(row[2], format!("`{reason}`"), "{path}");
            }
        }
    }
    assert_eq!(judged, 17);
    let strict = PathRules::http().with_empty_segments(EmptySegments::Reject);
    assert!(canonical("/a//b", &strict).is_err());
    assert!(canonical("/a//b", &PathRules::plugin()).is_err());
}

#[tokio::test]
async fn a_plain_http_caller_is_told_what_the_guide_shows() {
    let schema = Schema::builder()
        .key("x-tenant-id", Rule::from(Format::Uuid).required())
        .key("x-region", Rule::one_of(["ap", "eu", "us"]))
        .build()
        .unwrap();
    let inner = service_fn(|_: Request<()>| async {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    });
    let service = ValidateLayer::new(RuleSet::http().with_schema(schema)).layer(inner);
    let request = Request::get("http://a.example/orders")
        .header("x-tenant-id", "7")
        .header("x-region", "mars");
    let response = service.oneshot(request.body(()).unwrap()).await.unwrap();
    assert_eq!(
        response.headers()["content-type"],
        "application/problem+json"
    );
    assert_eq!(response.headers()["cache-control"], "no-store");
    let body = response.into_body().collect().await.unwrap().to_bytes();

    let [shown] = blocks("docs/validation.md", "What callers are told");
    let json = |text: &[u8]| serde_json::from_slice::<serde_json::Value>(text).unwrap();
    assert_eq!(json(&body), json(shown.text.as_bytes()));
}

#[test]
fn every_test_the_guide_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut named = 0;
    let is_path = |text: &&str| {
        text.contains("::")
            && text
                .bytes()
                .all(|b| b"abcdefghijklmnopqrstuvwxyz0123456789_:".contains(&b))
    };
    for name in GUIDE.split('`').filter(is_path) {
        let (place, test) = name.rsplit_once("::").unwrap();
        // What is called, and not tested, has a short name.
        if test.split('_').count() < 4 {
            continue;
        }
        let module = place.replace("::", "/");
        let candidates = [
            format!("tests/tests/{module}.rs"),
            format!("tower-plugin-validate/tests/{module}.rs"),
            format!("tower-plugin-validate/src/{module}.rs"),
        ];
        let source = candidates
            .iter()
            .find_map(|path| fs::read_to_string(root.join(path)).ok());
        let source = source.unwrap_or_else(|| panic!("{name}: no such file"));
        assert!(
            source.contains(&format!("fn {test}(")),
            "{name}: no such test"
        );
        named += 1;
    }
    assert!(named > 20, "{named}");
}
