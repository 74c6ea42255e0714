use super::*;

const ALL: [Limit; 12] = [
    Limit::DeclaredBody,
    Limit::HeaderCount,
    Limit::HeaderListBytes,
    Limit::NameBytes,
    Limit::PathBytes,
    Limit::PathSegments,
    Limit::QueryBytes,
    Limit::QueryParams,
    Limit::SegmentBytes,
    Limit::UriBytes,
    Limit::ValueBytes,
    Limit::ValuesPerName,
];

/// Every limit with its setter.
fn set(limit: Limit, value: u64) -> LimitsBuilder {
    let builder = Limits::builder();
    let size = usize::try_from(value).unwrap();
    match limit {
        Limit::DeclaredBody => builder.declared_body(value),
        Limit::HeaderCount => builder.header_count(size),
        Limit::HeaderListBytes => builder.header_list_bytes(size),
        Limit::NameBytes => builder.name_bytes(size),
        Limit::PathBytes => builder.path_bytes(size),
        Limit::PathSegments => builder.path_segments(size),
        Limit::QueryBytes => builder.query_bytes(size),
        Limit::QueryParams => builder.query_params(size),
        Limit::SegmentBytes => builder.segment_bytes(size),
        Limit::UriBytes => builder.uri_bytes(size),
        Limit::ValueBytes => builder.value_bytes(size),
        Limit::ValuesPerName => builder.values_per_name(size),
    }
}

#[test]
fn a_number_outside_its_range_is_refused_with_the_field_and_the_range() {
    for limit in ALL {
        let zero = set(limit, 0).build().unwrap_err();
        for (value, accepted) in [
            (zero.min() - 1, false),
            (zero.min(), true),
            (zero.max(), true),
            (zero.max() + 1, false),
        ] {
            let built = set(limit, value).build();
            assert_eq!(built.is_ok(), accepted, "{limit:?} {value}");
            if let Ok(built) = built {
                assert_eq!(built.max(limit), Some(value), "{limit:?}");
            }
        }
        let text = zero.to_string();
        assert_eq!(
            text,
            format!(
                "{} must be between {} and {}",
                zero.field(),
                zero.min(),
                zero.max()
            )
        );
        // The field is the setter's name: `HeaderCount`, `header_count`.
        assert_eq!(
            zero.field().replace('_', ""),
            format!("{limit:?}").to_lowercase()
        );
    }
}

#[test]
fn the_presets_are_the_documented_numbers_and_pass_their_own_check() {
    type Row = (Limit, Option<u64>, Option<u64>, Option<u64>);
    let rows: [Row; 12] = [
        (Limit::HeaderCount, Some(100), Some(100), Some(100)),
        (
            Limit::HeaderListBytes,
            Some(16_384),
            Some(8192),
            Some(16_384),
        ),
        (Limit::NameBytes, Some(256), Some(128), Some(256)),
        (Limit::ValueBytes, Some(8192), Some(4096), Some(4096)),
        (Limit::ValuesPerName, Some(16), Some(16), Some(16)),
        (Limit::UriBytes, Some(8192), Some(8192), Some(8192)),
        (Limit::PathBytes, Some(2048), Some(512), Some(256)),
        (Limit::PathSegments, Some(64), Some(64), Some(64)),
        (Limit::SegmentBytes, Some(255), Some(255), Some(255)),
        (Limit::QueryBytes, Some(4096), Some(4096), Some(4096)),
        (Limit::QueryParams, Some(100), Some(100), Some(100)),
        (Limit::DeclaredBody, None, None, Some(4_194_304)),
    ];
    for (limit, http, grpc, plugin) in rows {
        assert_eq!(Limits::http().max(limit), http, "http {limit:?}");
        assert_eq!(Limits::grpc().max(limit), grpc, "grpc {limit:?}");
        assert_eq!(Limits::plugin().max(limit), plugin, "plugin {limit:?}");
    }
    for preset in [Limits::http(), Limits::grpc(), Limits::plugin()] {
        assert_eq!(preset.to_builder().build(), Ok(preset));
    }
    assert_eq!(Limits::builder().build(), Ok(Limits::http()));
    let any = Limits::plugin().to_builder().any_declared_body().build();
    assert_eq!(any.unwrap().max(Limit::DeclaredBody), None);
}

#[test]
fn a_target_at_its_limit_passes_and_one_beyond_is_refused() {
    let limits = Limits::builder()
        .uri_bytes(40)
        .path_bytes(20)
        .path_segments(3)
        .segment_bytes(8)
        .query_bytes(10)
        .query_params(3)
        .build()
        .unwrap();
    // URI length, path, query, what is exceeded.
    let cases: [(usize, &str, Option<&str>, Option<Limit>); 17] = [
        (40, "/", None, None),
        (41, "/", None, Some(Limit::UriBytes)),
        (9, "/7654321/7654321/123", None, None),
        (9, "/7654321/7654321/1234", None, Some(Limit::PathBytes)),
        (9, "/a/b/c", None, None),
        (9, "/a/b/", None, None),
        (9, "/a/b/c/", None, Some(Limit::PathSegments)),
        (9, "/a/b/c/d", None, Some(Limit::PathSegments)),
        (9, "////", None, Some(Limit::PathSegments)),
        (9, "/12345678", None, None),
        (9, "/123456789", None, Some(Limit::SegmentBytes)),
        (9, "/a/123456789", None, Some(Limit::SegmentBytes)),
        (9, "/", Some("1234567890"), None),
        (9, "/", Some("12345678901"), Some(Limit::QueryBytes)),
        (9, "/", Some("a&b&c"), None),
        (9, "/", Some("a&b&c&"), Some(Limit::QueryParams)),
        (9, "/", Some("&&&"), Some(Limit::QueryParams)),
    ];
    for (uri_bytes, path, query, expected) in cases {
        let found = limits
            .check_target(uri_bytes, path.as_bytes(), query.map(str::as_bytes))
            .err();
        assert_eq!(
            found.map(|e| e.limit()),
            expected,
            "{uri_bytes} {path} {query:?}"
        );
    }
}

/// Counts fields given as name length, value length; the names differ unless their lengths agree.
fn tally(limits: &Limits, fields: &[(usize, usize)]) -> Option<Limit> {
    let letters = "n".repeat(2048).into_bytes();
    let mut tally = limits.tally();
    fields.iter().find_map(|&(name, value)| {
        let exceeded = tally.field(&letters[..name], &letters[..value]).err();
        exceeded.map(|e| e.limit())
    })
}

#[test]
fn fields_at_their_limit_pass_and_one_beyond_is_refused() {
    let limits = Limits::builder()
        .header_count(3)
        .header_list_bytes(200)
        .name_bytes(10)
        .value_bytes(100)
        .values_per_name(2)
        .build()
        .unwrap();
    type Row<'a> = (&'a [(usize, usize)], Option<Limit>);
    let cases: [Row<'_>; 9] = [
        (&[], None),
        (&[(1, 0), (2, 0), (3, 0)], None),
        (&[(1, 0), (2, 0), (3, 0), (4, 0)], Some(Limit::HeaderCount)),
        (&[(10, 100)], None),
        (&[(11, 1)], Some(Limit::NameBytes)),
        (&[(1, 101)], Some(Limit::ValueBytes)),
        // 10 + 100 + 32 and 8 + 18 + 32 make 200.
        (&[(10, 100), (8, 18)], None),
        (&[(10, 100), (8, 19)], Some(Limit::HeaderListBytes)),
        (&[(5, 0), (5, 0), (5, 0)], Some(Limit::ValuesPerName)),
    ];
    for (fields, expected) in cases {
        assert_eq!(tally(&limits, fields), expected, "{fields:?}");
    }
    // Two values of each of two names are not four of one.
    let four = limits.to_builder().header_count(4).build().unwrap();
    assert_eq!(tally(&four, &[(5, 0), (5, 0), (6, 0), (6, 0)]), None);
}

#[test]
fn cookies_may_come_in_as_many_fields_as_a_browser_likes() {
    let limits = Limits::http();
    let values = |name: &'static [u8]| {
        let mut tally = limits.tally();
        (0..=100)
            .take_while(|_| tally.field(name, b"a=1").is_ok())
            .count()
    };
    assert_eq!(values(b"cookie"), 100);
    assert_eq!(values(b"accept"), 16);
}

#[test]
fn f50_fields_that_are_each_allowed_are_still_limited_in_total() {
    // A hundred entries, each within 4096 bytes, came to 435 kB.
    let entries: Vec<(usize, usize)> = (1..=100).map(|i| (i, 2048)).collect();
    assert_eq!(
        tally(&Limits::plugin(), &entries),
        Some(Limit::HeaderListBytes)
    );
    let small: Vec<(usize, usize)> = (1..=100).map(|i| (i, 64)).collect();
    assert_eq!(tally(&Limits::plugin(), &small), None);
}

#[test]
fn an_endpoint_path_of_256_bytes_passes_and_one_of_257_does_not() {
    let path = |segments: usize, rest: usize| "/a".repeat(segments) + &"b".repeat(rest);
    let check = |path: &str| {
        let result = Limits::plugin().check_target(path.len(), path.as_bytes(), None);
        result.map_err(|e| e.limit())
    };
    assert_eq!(path(10, 236).len(), 256);
    assert_eq!(check(&path(10, 236)), Ok(()));
    assert_eq!(check(&path(10, 237)), Err(Limit::PathBytes));
    assert_eq!(
        check(&format!("/{}", "a".repeat(256))),
        Err(Limit::PathBytes)
    );
}

#[test]
fn a_declared_body_over_its_limit_is_refused_unless_the_limit_is_off() {
    let exceeded = Limits::plugin().check_declared_body(4_194_305).unwrap_err();
    assert_eq!(exceeded.limit(), Limit::DeclaredBody);
    assert_eq!(exceeded.to_string(), "the body is too large");
    assert_eq!(Limits::plugin().check_declared_body(4_194_304), Ok(()));
    assert_eq!(Limits::http().check_declared_body(u64::MAX), Ok(()));
}
