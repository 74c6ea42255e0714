//! The scanner counts what `serde_json` sees, wherever the text is cut.

#![no_main]

use std::fmt;

use libfuzzer_sys::fuzz_target;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use tower_plugin_validate::payload::shape::{JsonScanner, JsonShape};

fuzz_target!(|input: &[u8]| {
    let Some((&[cut, depth, members, elements, values], text)) = input.split_first_chunk() else {
        return;
    };
    let shape = JsonShape::builder()
        .depth(u32::from(depth % 127) + 1)
        .members(u32::from(members) + 1)
        .elements(u32::from(elements) + 1)
        .values(u32::from(values) + 1)
        .string_bytes(64)
        .build()
        .unwrap();
    let scan = |shape: JsonShape, size: usize| {
        let mut scanner = JsonScanner::new(shape);
        text.chunks(size).try_for_each(|chunk| scanner.feed(chunk))
    };
    assert_eq!(scan(shape, usize::from(cut) + 1), scan(shape, usize::MAX));

    let Ok(seen) = serde_json::from_slice::<Seen>(text) else {
        return;
    };
    let exact = JsonShape::builder()
        .depth(seen.depth.max(1))
        .members(seen.members.max(1))
        .elements(seen.elements.max(1))
        .values(seen.values)
        .build()
        .unwrap();
    assert_eq!(scan(exact, usize::MAX), Ok(()), "{seen:?}");
    for (number, tighter) in [
        (
            seen.depth,
            exact.to_builder().depth(seen.depth.saturating_sub(1)),
        ),
        (
            seen.members,
            exact.to_builder().members(seen.members.saturating_sub(1)),
        ),
        (
            seen.elements,
            exact.to_builder().elements(seen.elements.saturating_sub(1)),
        ),
        (
            seen.values,
            exact.to_builder().values(seen.values.saturating_sub(1)),
        ),
    ] {
        if number > 1 {
            assert!(
                scan(tighter.build().unwrap(), usize::MAX).is_err(),
                "{seen:?}"
            );
        }
    }
});

/// Depth, the most members, the most elements, and values in all.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    depth: u32,
    members: u32,
    elements: u32,
    values: u32,
}

impl Seen {
    const SCALAR: Self = Self {
        depth: 0,
        members: 0,
        elements: 0,
        values: 1,
    };

    fn add(&mut self, inner: Self) {
        self.depth = self.depth.max(inner.depth + 1);
        self.members = self.members.max(inner.members);
        self.elements = self.elements.max(inner.elements);
        self.values += inner.values;
    }
}

impl<'de> Deserialize<'de> for Seen {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(See)
    }
}

struct See;

impl<'de> Visitor<'de> for See {
    type Value = Seen;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Seen, E> {
        Ok(Seen::SCALAR)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Seen, E> {
        Ok(Seen::SCALAR)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Seen, E> {
        Ok(Seen::SCALAR)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Seen, E> {
        Ok(Seen::SCALAR)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Seen, E> {
        Ok(Seen::SCALAR)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Seen, E> {
        // Longer ones are over the default limit of the exact shape.
        match text.len() < 100_000 {
            true => Ok(Seen::SCALAR),
            false => Err(E::custom("long")),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Seen, A::Error> {
        let mut seen = Seen {
            depth: 1,
            ..Seen::SCALAR
        };
        let mut elements = 0;
        while let Some(element) = access.next_element()? {
            elements += 1;
            seen.add(element);
        }
        seen.elements = seen.elements.max(elements);
        Ok(seen)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Seen, A::Error> {
        let mut seen = Seen {
            depth: 1,
            ..Seen::SCALAR
        };
        let mut members = 0;
        while let Some((_, member)) = access.next_entry::<String, _>()? {
            members += 1;
            seen.add(member);
        }
        seen.members = seen.members.max(members);
        Ok(seen)
    }
}
