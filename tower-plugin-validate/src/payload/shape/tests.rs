use std::fmt;

use proptest::prelude::*;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::*;

fn feed(shape: JsonShape, chunks: &[&str]) -> Result<(), ShapeLimit> {
    let mut scanner = JsonScanner::new(shape);
    for chunk in chunks {
        scanner
            .feed(chunk.as_bytes())
            .map_err(|exceeded| exceeded.limit())?;
    }
    Ok(())
}

fn shape(set: impl FnOnce(JsonShapeBuilder) -> JsonShapeBuilder) -> JsonShape {
    set(JsonShape::builder()).build().unwrap()
}

#[test]
fn each_limit_is_kept_to_the_letter() {
    struct Case {
        name: &'static str,
        shape: JsonShape,
        fits: &'static str,
        over: &'static str,
        limit: ShapeLimit,
    }
    let cases = [
        Case {
            name: "bytes",
            shape: shape(|s| s.bytes(4)),
            fits: "[12]",
            over: "[123]",
            limit: ShapeLimit::Bytes,
        },
        Case {
            name: "depth, of both kinds",
            shape: shape(|s| s.depth(3)),
            fits: r#"[{"a":[1]}]"#,
            over: r#"[{"a":[{}]}]"#,
            limit: ShapeLimit::Depth,
        },
        Case {
            name: "depth is what is open, not what was",
            shape: shape(|s| s.depth(2)),
            fits: "[[],[],[]]",
            over: "[[],[],[[]]]",
            limit: ShapeLimit::Depth,
        },
        Case {
            name: "elements",
            shape: shape(|s| s.elements(3)),
            fits: r#"[1,"a",[1,2,3]]"#,
            over: r#"[1,"a",[],{}]"#,
            limit: ShapeLimit::Elements,
        },
        Case {
            name: "elements after an inner array",
            shape: shape(|s| s.elements(2)),
            fits: "[[1,2],3]",
            over: "[[1,2],3,4]",
            limit: ShapeLimit::Elements,
        },
        Case {
            name: "members",
            shape: shape(|s| s.members(2)),
            fits: r#"{"a":{"b":1,"c":2},"d":[]}"#,
            over: r#"{"a":{"b":1,"c":2},"d":[],"e":null}"#,
            limit: ShapeLimit::Members,
        },
        Case {
            name: "a name that is repeated counts again",
            shape: shape(|s| s.members(2)),
            fits: r#"{"a":1,"a":1}"#,
            over: r#"{"a":1,"a":1,"a":1}"#,
            limit: ShapeLimit::Members,
        },
        Case {
            name: "a colon in a string is no member",
            shape: shape(|s| s.members(1)),
            fits: r#"{"a:b":"c:d,e"}"#,
            over: r#"{"a:b":"c:d,e","f":1}"#,
            limit: ShapeLimit::Members,
        },
        Case {
            name: "strings, escapes included",
            shape: shape(|s| s.string_bytes(4)),
            fits: r#"["\"\\","four"]"#,
            over: r#"["\"\\x"]"#,
            limit: ShapeLimit::StringBytes,
        },
        Case {
            name: "names are strings",
            shape: shape(|s| s.string_bytes(4)),
            fits: r#"{"four":1}"#,
            over: r#"{"fives":1}"#,
            limit: ShapeLimit::StringBytes,
        },
        Case {
            name: "values of any kind",
            shape: shape(|s| s.values(4)),
            fits: r#"{"a":[1,true]}"#.trim_end(),
            over: r#"{"a":[1,true,null]}"#,
            limit: ShapeLimit::Values,
        },
    ];
    for case in cases {
        assert_eq!(feed(case.shape, &[case.fits]), Ok(()), "{}", case.name);
        assert_eq!(
            feed(case.shape, &[case.over]),
            Err(case.limit),
            "{}",
            case.name
        );
        // Cut into single bytes.
        for (text, expected) in [(case.fits, Ok(())), (case.over, Err(case.limit))] {
            let cut: Vec<_> = text.split("").collect();
            assert_eq!(feed(case.shape, &cut), expected, "{}, cut", case.name);
        }
    }
}

#[test]
fn an_unreasonable_shape_is_an_error_that_names_the_field() {
    let cases = [
        (
            JsonShape::builder().bytes(1),
            "bytes must be between 2 and 1073741824",
        ),
        (
            JsonShape::builder().depth(128),
            "depth must be between 1 and 127",
        ),
        (
            JsonShape::builder().values(0),
            "values must be between 1 and 1000000000",
        ),
    ];
    for (builder, message) in cases {
        assert_eq!(builder.build().unwrap_err().to_string(), message);
    }
}

#[test]
fn a_bomb_of_brackets_is_refused_at_the_first_that_is_too_deep() {
    let shape = JsonShape::DEFAULT;
    let mut scanner = JsonScanner::new(shape);
    let deepest = "[".repeat(32);
    assert_eq!(scanner.feed(deepest.as_bytes()), Ok(()));
    assert_eq!(scanner.feed(b"[").unwrap_err().limit(), ShapeLimit::Depth);
}

/// Depth, the most members, the most elements, and values in all, as a parser sees them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Measured {
    depth: u32,
    members: u32,
    elements: u32,
    values: u32,
}

impl<'de> Deserialize<'de> for Measured {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Measure;

        impl<'de> Visitor<'de> for Measure {
            type Value = Measured;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("JSON")
            }

            fn visit_unit<E: Error>(self) -> Result<Measured, E> {
                Ok(Measured {
                    values: 1,
                    ..Measured::default()
                })
            }

            fn visit_bool<E: Error>(self, _: bool) -> Result<Measured, E> {
                self.visit_unit()
            }

            fn visit_f64<E: Error>(self, _: f64) -> Result<Measured, E> {
                self.visit_unit()
            }

            fn visit_i64<E: Error>(self, _: i64) -> Result<Measured, E> {
                self.visit_unit()
            }

            fn visit_u64<E: Error>(self, _: u64) -> Result<Measured, E> {
                self.visit_unit()
            }

            fn visit_str<E: Error>(self, _: &str) -> Result<Measured, E> {
                self.visit_unit()
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Measured, A::Error> {
                let mut all = Measured {
                    depth: 1,
                    values: 1,
                    ..Measured::default()
                };
                let mut elements = 0;
                while let Some(element) = access.next_element()? {
                    elements += 1;
                    all = all.around(element);
                }
                all.elements = all.elements.max(elements);
                Ok(all)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Measured, A::Error> {
                let mut all = Measured {
                    depth: 1,
                    values: 1,
                    ..Measured::default()
                };
                let mut members = 0;
                while let Some((_, member)) = access.next_entry::<String, _>()? {
                    members += 1;
                    all = all.around(member);
                }
                all.members = all.members.max(members);
                Ok(all)
            }
        }

        deserializer.deserialize_any(Measure)
    }
}

impl Measured {
    fn around(self, inner: Self) -> Self {
        Self {
            depth: self.depth.max(inner.depth + 1),
            members: self.members.max(inner.members),
            elements: self.elements.max(inner.elements),
            values: self.values + inner.values,
        }
    }

    /// The tightest shape such a text fits, and those that are tighter by one.
    fn shapes(self) -> (JsonShape, Vec<JsonShape>) {
        let exact = JsonShape {
            bytes: 1 << 20,
            depth: self.depth,
            elements: self.elements,
            members: self.members,
            string_bytes: 1 << 20,
            values: self.values,
        };
        let mut tighter = Vec::new();
        let changes: [fn(&mut JsonShape) -> &mut u32; 4] = [
            |s| &mut s.depth,
            |s| &mut s.elements,
            |s| &mut s.members,
            |s| &mut s.values,
        ];
        for change in changes {
            let mut shape = exact;
            let number = change(&mut shape);
            if *number > 0 {
                *number -= 1;
                tighter.push(shape);
            }
        }
        (exact, tighter)
    }
}

/// Text that is JSON, or nearly.
fn nearly_json() -> impl Strategy<Value = String> {
    let token = prop_oneof![
        Just("["),
        Just("]"),
        Just("{"),
        Just("}"),
        Just(":"),
        Just(","),
        Just("\"a\""),
        Just("\"\\\"\""),
        Just("\"[{:,\""),
        Just("1"),
        Just("-0.5e3"),
        Just("null"),
        Just(" "),
        Just("\"a\":"),
        Just("[]"),
        Just("{}"),
        Just("[1,2]"),
        Just("{\"a\":1}"),
        Just("\""),
        Just("\\"),
    ];
    prop::collection::vec(token, 0..16).prop_map(|tokens| tokens.concat())
}

fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<i64>().prop_map(serde_json::Value::from),
        ".{0,8}".prop_map(serde_json::Value::from),
    ];
    let value = leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(serde_json::Value::from),
            prop::collection::btree_map(".{0,4}", inner, 0..6)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    });
    (value, any::<bool>()).prop_map(|(value, pretty)| match pretty {
        true => serde_json::to_string_pretty(&value).unwrap(),
        false => value.to_string(),
    })
}

proptest! {
    #[test]
    fn the_scanner_counts_what_a_parser_sees(text in prop_oneof![json(), nearly_json()]) {
        let Ok(measured) = serde_json::from_str::<Measured>(&text) else {
            return Ok(());
        };
        let (exact, tighter) = measured.shapes();
        prop_assert_eq!(feed(exact, &[&text]), Ok(()), "{:?}", measured);
        for shape in tighter {
            prop_assert!(feed(shape, &[&text]).is_err(), "{:?} within {:?}", measured, shape);
        }
    }

    #[test]
    fn where_the_text_is_cut_makes_no_difference(
        text in prop_oneof![json(), nearly_json()],
        cut in any::<prop::sample::Index>(),
        depth in 1_u32..6,
        values in 1_u32..12,
    ) {
        let shape = shape(|s| s.depth(depth).values(values).members(3).elements(3).string_bytes(5));
        let bytes = text.as_bytes();
        let (front, back) = bytes.split_at(cut.index(bytes.len() + 1));
        let mut whole = JsonScanner::new(shape);
        let mut halves = JsonScanner::new(shape);
        let in_halves = halves.feed(front).and_then(|()| halves.feed(back));
        prop_assert_eq!(whole.feed(bytes), in_halves);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = JsonScanner::new(JsonShape::DEFAULT).feed(&bytes);
    }
}
