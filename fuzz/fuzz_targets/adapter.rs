//! What validator, garde and serde have to say of a value, told without the value.
//!
//! The first byte chooses: a tree of validator's errors, a report of garde's, or a text for an extractor. In a text,
//! `$` stands for a word and `#` for a number that nobody may read again.
#![no_main]

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    pin::pin,
    task::{Context, Poll, Waker},
};

use axum::{Form, Json, body::Body, extract::FromRequest, response::IntoResponse};
use http::{Request, Response, header::CONTENT_TYPE};
use http_body::Body as _;
use libfuzzer_sys::{
    arbitrary::{self, Unstructured},
    fuzz_target,
};
use serde::{Deserialize, de::DeserializeOwned};
use tower_plugin_validate::{
    Violation,
    payload::{
        Check, Checked, CheckedRejection, Garde, Violations,
        shape::{JsonScanner, JsonShape},
    },
};
use validator::{Validate as _, ValidationError, ValidationErrors, ValidationErrorsKind};

fuzz_target!(|input: &[u8]| {
    let Some((&[which], rest)) = input.split_first_chunk() else {
        return;
    };
    match which % 6 {
        0 => drop(tree(rest)),
        1 => drop(report(rest)),
        2 => json::<Order>(rest, Names::OfTheType, |order| order.validate().is_ok()),
        3 => json::<Garde<Order>>(rest, Names::OrKeys, |Garde(order)| {
            garde::Validate::validate(order).is_ok()
        }),
        4 => json::<Loose>(rest, Names::OfTheType, |_| true),
        _ => form(rest),
    }
});

// Reports made up.

fn tree(input: &[u8]) -> arbitrary::Result<()> {
    let mut input = Unstructured::new(input);
    let mut errors = errors(&mut input, 0)?;
    for _ in 0..input.int_in_range(0..=200)? {
        let deeper = match input.arbitrary()? {
            true => ValidationErrorsKind::Struct(Box::new(errors)),
            false => ValidationErrorsKind::List(BTreeMap::from([(
                usize::from(input.arbitrary::<u16>()?),
                Box::new(errors),
            )])),
        };
        errors = ValidationErrors(HashMap::from([(name(&mut input)?, deeper)]));
    }
    let violations = Tree(errors).check().expect_err("something is wrong");
    told(&violations);
    assert!(!violations.is_empty());
    Ok(())
}

fn errors(input: &mut Unstructured<'_>, depth: usize) -> arbitrary::Result<ValidationErrors> {
    let mut fields = HashMap::new();
    for _ in 0..input.int_in_range(0..=3)? {
        let kind = match input.int_in_range(0..=2)? {
            0 if depth < 5 => ValidationErrorsKind::Struct(Box::new(errors(input, depth + 1)?)),
            1 if depth < 5 => {
                let mut elements = BTreeMap::new();
                for _ in 0..input.int_in_range(0..=20)? {
                    elements.insert(
                        input.arbitrary::<u16>()?.into(),
                        Box::new(errors(input, depth + 1)?),
                    );
                }
                ValidationErrorsKind::List(elements)
            }
            _ => {
                let count = input.int_in_range(0..=20)?;
                let errors = (0..count)
                    .map(|_| error(input))
                    .collect::<arbitrary::Result<_>>();
                ValidationErrorsKind::Field(errors?)
            }
        };
        fields.insert(name(input)?, kind);
    }
    Ok(ValidationErrors(fields))
}

/// A name of the program's, or one made up at run time.
fn name(input: &mut Unstructured<'_>) -> arbitrary::Result<Cow<'static, str>> {
    let known = ["items", "email", "__all__", "_tmp_validator", "a_name"];
    Ok(match input.arbitrary()? {
        true => Cow::Borrowed(*input.choose(&known)?),
        false => Cow::Owned(quoting(input)?),
    })
}

fn error(input: &mut Unstructured<'_>) -> arbitrary::Result<ValidationError> {
    let codes = ["length", "range", "email", "custom", "of the program", ""];
    let params = [
        "min",
        "max",
        "equal",
        "exclusive_min",
        "exclusive_max",
        "value",
        "other",
    ];
    let mut error = ValidationError::new(input.choose(&codes)?);
    if input.arbitrary()? {
        error.code = quoting(input)?.into();
    }
    error.message = match input.int_in_range(0..=2)? {
        0 => None,
        1 => Some("is a constant".into()),
        _ => Some(quoting(input)?.into()),
    };
    for _ in 0..input.int_in_range(0..=4)? {
        let param = *input.choose(&params)?;
        match input.int_in_range(0..=3)? {
            0 => error.add_param(param.into(), &quoting(input)?),
            1 => error.add_param(param.into(), &vec![quoting(input)?]),
            // Of the numbers, those that are bounds are the program's.
            2 if ["value", "other"].contains(&param) => error.add_param(param.into(), &NUMBER),
            _ => error.add_param(param.into(), &input.arbitrary::<i8>()?),
        }
    }
    Ok(error)
}

fn quoting(input: &mut Unstructured<'_>) -> arbitrary::Result<String> {
    let (before, after) = (input.arbitrary::<&str>()?, input.arbitrary::<u8>()?);
    Ok(format!("{before}{WORD}{after}"))
}

struct Tree(ValidationErrors);

impl validator::Validate for Tree {
    fn validate(&self) -> Result<(), ValidationErrors> {
        Err(self.0.clone())
    }
}

fn report(input: &[u8]) -> arbitrary::Result<()> {
    let mut input = Unstructured::new(input);
    let mut reported = Vec::new();
    for _ in 0..input.int_in_range(0..=40)? {
        let mut path = garde::Path::empty();
        for _ in 0..input.int_in_range(0..=200)? {
            path = match input.int_in_range(0..=3)? {
                0 => path.join(usize::from(input.arbitrary::<u16>()?)),
                1 => path.join(*input.choose(&["items", "email"])?),
                2 => path.join(garde::error::NoKey::default()),
                _ => path.join(quoting(&mut input)?),
            };
        }
        let message = match input.arbitrary()? {
            true => quoting(&mut input)?,
            false => format!("\u{1}{}", input.arbitrary::<&str>()?),
        };
        reported.push((path, garde::Error::new(message)));
    }
    let count = reported.len();
    match Garde(Report(reported)).check() {
        Ok(()) => assert_eq!(count, 0),
        Err(violations) => {
            told(&violations);
            assert_eq!(violations.iter().count(), count.min(16));
        }
    }
    Ok(())
}

struct Report(Vec<(garde::Path, garde::Error)>);

impl garde::Validate for Report {
    type Context = ();

    fn validate_into(
        &self,
        _: &(),
        _: &mut dyn FnMut() -> garde::Path,
        report: &mut garde::Report,
    ) {
        for (path, error) in &self.0 {
            report.append(path.clone(), error.clone());
        }
    }
}

fn told(violations: &Violations) {
    assert!(violations.iter().count() <= 16);
    for violation in violations.iter() {
        fits(violation);
        let told = format!("{violation:?}");
        assert!(
            !told.contains(WORD) && !told.contains(&NUMBER.to_string()),
            "{told}"
        );
    }
}

// Texts.

/// Every way in which serde asks a deserializer for something.
#[derive(Debug, Deserialize, garde::Validate, validator::Validate)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "it is only parsed")]
struct Order {
    #[validate(length(min = 1, max = 8))]
    #[garde(length(min = 1, max = 8))]
    id: String,
    #[validate(email)]
    #[garde(ascii)]
    email: Option<String>,
    #[validate(range(min = 1, max = 9))]
    #[garde(range(min = 1, max = 9))]
    count: i64,
    #[serde(default)]
    #[validate(nested)]
    #[garde(dive)]
    items: Vec<Item>,
    #[serde(default)]
    #[validate(nested)]
    #[garde(dive)]
    by_key: BTreeMap<String, Item>,
    #[serde(default)]
    #[validate(nested)]
    #[garde(dive)]
    within: Option<Box<Order>>,
    #[garde(skip)]
    kind: Option<Kind>,
    #[garde(skip)]
    tagged: Option<Tagged>,
    #[garde(skip)]
    either: Option<Either>,
    #[garde(skip)]
    pair: Option<(u8, f32)>,
    #[garde(skip)]
    letter: Option<char>,
    #[garde(skip)]
    by_number: Option<BTreeMap<u16, bool>>,
}

#[derive(Debug, Deserialize, garde::Validate, validator::Validate)]
struct Item {
    #[validate(length(equal = 3))]
    #[garde(length(min = 3), inner(length(max = 4)))]
    tags: Vec<String>,
    #[validate(custom(function = quotes))]
    #[garde(custom(quotes_too))]
    note: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(dead_code, reason = "it is only parsed")]
enum Kind {
    Unit,
    Newtype(u8),
    Tuple(u8, i16),
    Struct { size: u8 },
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type")]
#[expect(dead_code, reason = "it is only parsed")]
enum Tagged {
    Small { size: u8 },
    Large { size: u64 },
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
#[expect(dead_code, reason = "it is only parsed")]
enum Either {
    Number(u32),
    Names(Vec<String>),
}

/// A rule whose message repeats what it was given.
fn quotes(note: &str) -> Result<(), ValidationError> {
    match note.contains(WORD) {
        true => Err(ValidationError::new("note").with_message(format!("{note} is taken").into())),
        false => Ok(()),
    }
}

fn quotes_too(note: &str, (): &()) -> garde::Result {
    match note.contains(WORD) {
        true => Err(garde::Error::new(format!("{note} is taken"))),
        false => Ok(()),
    }
}

/// Some fields by name, and whatever else there is.
#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "it is only parsed")]
struct Loose {
    id: String,
    #[serde(flatten)]
    rest: BTreeMap<String, Vec<u8>>,
}

impl Check for Loose {
    fn check(&self) -> Result<(), Violations> {
        Ok(())
    }
}

#[derive(Debug, Deserialize, validator::Validate)]
#[expect(dead_code, reason = "it is only parsed")]
struct Fields {
    #[validate(length(max = 8))]
    id: String,
    #[validate(range(max = 9))]
    count: Option<u32>,
    kind: Option<Plain>,
}

#[derive(Debug, Deserialize)]
enum Plain {
    Small,
    Large,
}

fn json<T: Check + DeserializeOwned>(input: &[u8], names: Names, is_in_order: impl Fn(&T) -> bool) {
    let text = planted(input);
    let expected = JsonScanner::new(JsonShape::default()).feed(&text).is_ok()
        && serde_json::from_slice::<T>(&text).is_ok_and(|value| is_in_order(&value));
    let request = Request::post("/").header(CONTENT_TYPE, "application/json");
    let request = request.body(Body::from(text)).expect("a request");
    let read = now(Checked::<Json<T>>::from_request(request, &()));
    assert_eq!(read.is_ok(), expected);
    if let Err(refusal) = read {
        refused(refusal, names);
    }
}

fn form(input: &[u8]) {
    let text = planted(input);
    let request = Request::post("/").header(CONTENT_TYPE, "application/x-www-form-urlencoded");
    let request = request.body(Body::from(text)).expect("a request");
    match now(Checked::<Form<Fields>>::from_request(request, &())) {
        Ok(Checked(Form(fields))) => assert!(fields.validate().is_ok()),
        Err(refusal) => refused(refusal, Names::OfTheType),
    }
}

fn planted(input: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    for &byte in input {
        match byte {
            b'$' => text.extend_from_slice(WORD.as_bytes()),
            b'#' => text.extend_from_slice(NUMBER.to_string().as_bytes()),
            _ => text.push(byte),
        }
    }
    text
}

/// What a field may be called by.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Names {
    OfTheType,
    /// Garde does not tell keys from names: what could be a name is taken for one.
    OrKeys,
}

fn refused(refusal: CheckedRejection, names: Names) {
    let violations = refusal.rejection().violations();
    assert!((1..=16).contains(&violations.len()));
    for violation in violations {
        fits(violation);
        for name in violation.field().split(['.', '[', ']']) {
            let is_index = name.len() < 8 && name.bytes().all(|byte| byte.is_ascii_digit());
            let is_known = is_index || NAMES.contains(&name);
            assert!(is_known || names == Names::OrKeys, "{violation:?}");
        }
    }
    let (parts, body) = refusal.into_response().into_parts();
    let mut body = pin!(body);
    let frame = now(std::future::poll_fn(|cx| body.as_mut().poll_frame(cx)));
    let text = frame
        .expect("a frame")
        .expect("it can be read")
        .into_data()
        .expect("data");
    let text = String::from_utf8(text.into()).expect("UTF-8");
    let head = format!("{:?}", Response::from_parts(parts, ()));
    for word in [WORD, &NUMBER.to_string()] {
        let may_be_a_key = word != WORD && names == Names::OrKeys;
        assert!(may_be_a_key || !text.contains(word), "{text}");
        assert!(!head.contains(word), "{head}");
    }
}

fn fits(violation: &Violation) {
    let (field, reason) = (violation.field(), violation.reason());
    assert!(field.len() <= LONGEST_NAME, "{}", field.len());
    assert!(reason.len() <= 63 && reason.is_ascii(), "{reason}");
    assert!(violation.description().len() <= 128, "{violation:?}");
}

/// All of it is there.
fn now<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it waits"),
    }
}

const WORD: &str = "hunter2-word";
const NUMBER: u32 = 97_867_564;

/// 64 steps, each of a name and an index.
const LONGEST_NAME: usize = 64 * (64 + 1 + 22);

/// Fields of the types above, where they are, and what is none of them.
const NAMES: &[&str] = &[
    "body",
    "query",
    "*",
    "",
    "id",
    "email",
    "count",
    "items",
    "by_key",
    "within",
    "kind",
    "tagged",
    "either",
    "pair",
    "letter",
    "by_number",
    "tags",
    "note",
    "size",
    "type",
];
