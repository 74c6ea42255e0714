use std::collections::BTreeMap;

use super::*;

const SECRET: &str = "s3cr3t \u{e9}!";

/// One field for each of `garde`'s rules, named after the reason that tells of it.
#[derive(Default, garde::Validate)]
struct Rules {
    #[garde(alphanumeric)]
    alphanumeric: Option<String>,
    #[garde(ascii)]
    ascii: Option<String>,
    #[garde(contains("@"))]
    contains: Option<String>,
    #[garde(email)]
    email: Option<String>,
    #[garde(ip)]
    ip: Option<String>,
    #[garde(length(max = 3))]
    too_long: String,
    #[garde(inner(length(min = 64)))]
    too_short: Option<String>,
    #[garde(matches(not_matched))]
    must_match: Option<String>,
    #[garde(skip)]
    not_matched: Option<String>,
    #[garde(pattern("^[a-z]$"))]
    pattern: Option<String>,
    #[garde(prefix("a"))]
    prefix: Option<String>,
    #[garde(range(max = 9))]
    too_great: u64,
    #[garde(range(min = -9))]
    too_small: i64,
    #[garde(required)]
    required: Option<String>,
    #[garde(suffix("a"))]
    suffix: Option<String>,
    #[garde(url)]
    url: Option<String>,
    #[garde(custom(quotes))]
    custom: Option<String>,
}

/// A rule of the program's own, whose message repeats what it was given.
fn quotes(value: &Option<String>, _: &()) -> garde::Result {
    match value {
        Some(value) => Err(garde::Error::new(format!("{value} is taken"))),
        None => Ok(()),
    }
}

fn in_order() -> Rules {
    Rules {
        required: Some("there".to_owned()),
        ..Rules::default()
    }
}

#[test]
fn each_rule_is_told_by_its_field_in_our_words_and_without_the_value() {
    type Break = fn(&mut Rules);
    const fn secret() -> impl Fn(&mut Option<String>) + Copy {
        |field| *field = Some(SECRET.to_owned())
    }
    let cases: [(&str, &str, &str, Break); 16] = [
        (
            "alphanumeric",
            "ALPHANUMERIC",
            "must be letters and digits",
            |r| {
                secret()(&mut r.alphanumeric);
            },
        ),
        ("ascii", "ASCII", "must be ASCII", |r| {
            secret()(&mut r.ascii);
        }),
        (
            "contains",
            "CONTAINS",
            "must contain what is asked for",
            |r| {
                secret()(&mut r.contains);
            },
        ),
        ("email", "EMAIL", "must be an email address", |r| {
            secret()(&mut r.email);
        }),
        ("ip", "IP", "must be an IP address", |r| secret()(&mut r.ip)),
        ("too_long", "LENGTH", "must be shorter", |r| {
            r.too_long = SECRET.to_owned();
        }),
        ("too_short", "LENGTH", "must be longer", |r| {
            secret()(&mut r.too_short);
        }),
        (
            "must_match",
            "MUST_MATCH",
            "must be the same as another field",
            |r| secret()(&mut r.not_matched),
        ),
        ("pattern", "PATTERN", "must have the form asked for", |r| {
            secret()(&mut r.pattern);
        }),
        ("prefix", "PREFIX", "must begin as is asked for", |r| {
            secret()(&mut r.prefix);
        }),
        ("too_great", "RANGE", "must be less", |r| {
            r.too_great = 5_432_101;
        }),
        ("too_small", "RANGE", "must be greater", |r| {
            r.too_small = -5_432_101;
        }),
        ("required", "REQUIRED", "is required", |r| r.required = None),
        ("suffix", "SUFFIX", "must end as is asked for", |r| {
            secret()(&mut r.suffix);
        }),
        ("url", "URL", "must be a URL", |r| secret()(&mut r.url)),
        ("custom", "INVALID", "is not valid", |r| {
            secret()(&mut r.custom);
        }),
    ];
    assert_eq!(Garde(in_order()).check(), Ok(()));
    for (field, reason, description, make_wrong) in cases {
        let mut rules = in_order();
        make_wrong(&mut rules);
        let violations = Garde(rules).check().unwrap_err();
        let told: Vec<_> = violations.iter().collect();
        assert_eq!(told.len(), 1, "{field}: {told:?}");
        // Of what is in an `Option`, `garde` may count the place.
        assert_eq!(told[0].field().split('[').next(), Some(field));
        assert_eq!(told[0].reason(), reason, "{field}");
        assert_eq!(told[0].description(), description, "{field}");
        let shown = format!(
            "{violations:?} {:?}",
            violations.clone().into_rejection("body")
        );
        assert!(
            !shown.contains("s3cr3t") && !shown.contains("5432101"),
            "{shown}"
        );
    }
}

/// Those that take a dependency more.
#[test]
fn rules_that_are_features_of_garde_have_words_too() {
    let card = OurWords.credit_card_invalid(InvalidCreditCard::InvalidLuhn);
    assert_eq!(ours(&card), ("CREDIT_CARD", "must be a card number"));
    let phone = OurWords.phone_number_invalid(InvalidPhoneNumber::NotANumber);
    assert_eq!(ours(&phone), ("PHONE", "must be a phone number"));
}

#[test]
fn a_key_of_a_map_is_shown_only_if_it_could_be_a_name() {
    #[derive(garde::Validate)]
    struct Labels {
        #[garde(dive)]
        labels: BTreeMap<String, Label>,
    }
    #[derive(garde::Validate)]
    struct Label {
        #[garde(length(max = 1))]
        text: String,
    }
    let labels = ["plain", "s3cr3t key", &"s3cr3t".repeat(20)].map(|key| {
        let text = "long".to_owned();
        (key.to_owned(), Label { text })
    });
    let labels = labels.into();
    let violations = Garde(Labels { labels }).check().unwrap_err();
    let fields: Vec<_> = violations.iter().map(|v| v.field()).collect();
    assert_eq!(
        fields,
        ["labels.plain.text", "labels.*.text", "labels.*.text"]
    );
}

#[test]
fn the_way_to_a_field_is_told_for_sixty_four_steps() {
    struct Deep;

    impl garde::Validate for Deep {
        type Context = ();

        fn validate_into(
            &self,
            _: &(),
            _: &mut dyn FnMut() -> garde::Path,
            report: &mut garde::Report,
        ) {
            let path = (0..1000).fold(garde::Path::empty(), |path, _| path.join("a"));
            report.append(path, garde::Error::new("is wrong"));
        }
    }

    let violations = Garde(Deep).check().unwrap_err();
    let fields: Vec<_> = violations.iter().map(|v| v.field()).collect();
    assert_eq!(fields, [["a"; 64].join(".")]);
}
