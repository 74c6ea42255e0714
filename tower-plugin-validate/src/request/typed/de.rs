//! Header fields as `serde` sees them.

use core::{cell::Cell, fmt};

use http::{HeaderMap, HeaderValue, header};
use serde::{
    Deserializer, de,
    de::{DeserializeSeed, IntoDeserializer, MapAccess, SeqAccess, Visitor},
    forward_to_deserialize_any,
};

use crate::metadata::decode;

/// What is wrong with a field. `serde`'s own words are dropped: they repeat the value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fault {
    field: Option<&'static str>,
    reason: &'static str,
    description: &'static str,
}

impl Fault {
    const fn new(reason: &'static str, description: &'static str) -> Self {
        Self {
            field: None,
            reason,
            description,
        }
    }

    /// The field it is about, unless one further in is known.
    fn of(self, field: &'static str) -> Self {
        Self {
            field: self.field.or(Some(field)),
            ..self
        }
    }

    pub(super) const fn field(&self) -> Option<&'static str> {
        self.field
    }

    pub(super) const fn reason(&self) -> &'static str {
        self.reason
    }

    pub(super) const fn description(&self) -> &'static str {
        self.description
    }

    pub(super) fn is_unsupported(&self) -> bool {
        self.reason == UNSUPPORTED.reason
    }
}

const BYTES: Fault = Fault::new("BINARY", "must be base64");
const DUPLICATE: Fault = Fault::new("DUPLICATE", "has too many values");
const FLAG: Fault = Fault::new("BOOLEAN", "must be true or false");
const NUMBER: Fault = Fault::new("NUMBER", "must be a number in range");
const PROBED: Fault = Fault::new("PROBED", "is there");
const TEXT: Fault = Fault::new("VALUE_CHARS", "must be UTF-8");
const UNSUPPORTED: Fault = Fault::new("UNSUPPORTED", "cannot be read from a header field");

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.description)
    }
}

impl core::error::Error for Fault {}

impl de::Error for Fault {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self::new("FORMAT", "is not of the form it must have")
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new("REQUIRED", "must be there").of(field)
    }

    fn unknown_variant(_: &str, _: &'static [&'static str]) -> Self {
        Self::new("ONE_OF", "must be one of a few words")
    }
}

/// The fields of a request, as a struct.
#[derive(Clone, Copy)]
pub(super) enum Headers<'h> {
    /// No request: asks a type for its fields, and whether the one of this number can be read.
    Probe(usize, &'h Cell<Option<Names>>),
    Request(&'h HeaderMap),
}

type Names = &'static [&'static str];

impl<'h> Deserializer<'h> for Headers<'h> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'h>>(self, _: V) -> Result<V::Value, Fault> {
        Err(UNSUPPORTED)
    }

    fn deserialize_struct<V: Visitor<'h>>(
        self,
        _: &'static str,
        fields: Names,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let fields = match self {
            Self::Request(_) => fields,
            Self::Probe(field, names) => {
                names.set(Some(fields));
                fields.get(field..=field).unwrap_or_default()
            }
        };
        visitor.visit_map(Present {
            headers: self,
            fields: fields.iter(),
            current: "",
        })
    }

    fn deserialize_newtype_struct<V: Visitor<'h>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        <V: Visitor<'h>>
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

/// Those fields of the struct that the request has.
struct Present<'h> {
    headers: Headers<'h>,
    fields: core::slice::Iter<'static, &'static str>,
    current: &'static str,
}

impl<'h> MapAccess<'h> for Present<'h> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'h>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Fault> {
        let headers = self.headers;
        let is_present = |field: &&&'static str| match headers {
            Headers::Probe(..) => true,
            Headers::Request(headers) => headers.contains_key(**field),
        };
        match self.fields.find(is_present) {
            Some(field) => {
                self.current = field;
                seed.deserialize((*field).into_deserializer()).map(Some)
            }
            None => Ok(None),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'h>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        let source = match self.headers {
            Headers::Probe(..) => Source::Probe,
            Headers::Request(headers) => Source::All(headers.get_all(self.current).iter()),
        };
        let value = Value {
            source,
            binary: self.current.ends_with("-bin"),
        };
        seed.deserialize(value)
            .map_err(|fault| fault.of(self.current))
    }
}

/// The values of one name, or one of them.
struct Value<'h> {
    source: Source<'h>,
    binary: bool,
}

enum Source<'h> {
    All(header::ValueIter<'h, HeaderValue>),
    One(&'h [u8]),
    Probe,
}

impl<'h> Value<'h> {
    fn bytes(self) -> Result<&'h [u8], Fault> {
        match self.source {
            Source::All(mut values) => match (values.next(), values.next()) {
                (Some(value), None) => Ok(value.as_bytes()),
                _ => Err(DUPLICATE),
            },
            Source::One(value) => Ok(value),
            Source::Probe => Err(PROBED),
        }
    }

    fn text(self) -> Result<&'h str, Fault> {
        core::str::from_utf8(self.bytes()?).map_err(|_| TEXT)
    }

    fn number<T: core::str::FromStr>(self) -> Result<T, Fault> {
        let text = self.text()?;
        match text.parse() {
            Ok(number) if !text.starts_with('+') => Ok(number),
            _ => Err(NUMBER),
        }
    }
}

macro_rules! numbers {
    ($($deserialize:ident $visit:ident)*) => {$(
        fn $deserialize<V: Visitor<'h>>(self, visitor: V) -> Result<V::Value, Fault> {
            visitor.$visit(self.number()?)
        }
    )*};
}

impl<'h> Deserializer<'h> for Value<'h> {
    type Error = Fault;

    numbers! {
        deserialize_i8 visit_i8
        deserialize_i16 visit_i16
        deserialize_i32 visit_i32
        deserialize_i64 visit_i64
        deserialize_i128 visit_i128
        deserialize_u8 visit_u8
        deserialize_u16 visit_u16
        deserialize_u32 visit_u32
        deserialize_u64 visit_u64
        deserialize_u128 visit_u128
    }

    fn deserialize_any<V: Visitor<'h>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_borrowed_str(self.text()?)
    }

    fn deserialize_bool<V: Visitor<'h>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.text()? {
            "true" => visitor.visit_bool(true),
            "false" => visitor.visit_bool(false),
            _ => Err(FLAG),
        }
    }

    fn deserialize_f32<V: Visitor<'h>>(self, visitor: V) -> Result<V::Value, Fault> {
        let number: f32 = self.number()?;
        if number.is_finite() {
            visitor.visit_f32(number)
        } else {
            Err(NUMBER)
        }
    }

    fn deserialize_f64<V: Visitor<'h>>(self, visitor: V) -> Result<V::Value, Fault> {
        let number: f64 = self.number()?;
        if number.is_finite() {
            visitor.visit_f64(number)
        } else {
            Err(NUMBER)
        }
    }

    fn deserialize_bytes<V: Visitor<'h>>(self, visitor: V) -> Result<V::Value, Fault> {
        let binary = self.binary;
        let bytes = self.bytes()?;
        if !binary {
            return visitor.visit_borrowed_bytes(bytes);
        }
        visitor.visit_byte_buf(decode(bytes, bytes.len()).map_err(|_| BYTES)?)
    }

    fn deserialize_byte_buf<V: Visitor<'h>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_option<V: Visitor<'h>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'h>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'h>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.source {
            Source::All(values) => visitor.visit_seq(Items {
                values,
                binary: self.binary,
            }),
            Source::Probe => visitor.visit_seq(ProbeItem),
            // A list of lists.
            Source::One(_) => Err(UNSUPPORTED),
        }
    }

    fn deserialize_enum<V: Visitor<'h>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_enum(self.text()?.into_deserializer())
    }

    fn deserialize_map<V: Visitor<'h>>(self, _: V) -> Result<V::Value, Fault> {
        Err(UNSUPPORTED)
    }

    fn deserialize_struct<V: Visitor<'h>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Fault> {
        Err(UNSUPPORTED)
    }

    fn deserialize_tuple<V: Visitor<'h>>(self, _: usize, _: V) -> Result<V::Value, Fault> {
        Err(UNSUPPORTED)
    }

    fn deserialize_tuple_struct<V: Visitor<'h>>(
        self,
        _: &'static str,
        _: usize,
        _: V,
    ) -> Result<V::Value, Fault> {
        Err(UNSUPPORTED)
    }

    fn deserialize_unit<V: Visitor<'h>>(self, _: V) -> Result<V::Value, Fault> {
        Err(UNSUPPORTED)
    }

    fn deserialize_unit_struct<V: Visitor<'h>>(
        self,
        _: &'static str,
        _: V,
    ) -> Result<V::Value, Fault> {
        Err(UNSUPPORTED)
    }

    forward_to_deserialize_any! { <V: Visitor<'h>> char str string identifier ignored_any }
}

/// The values of a name that may be repeated.
struct Items<'h> {
    values: header::ValueIter<'h, HeaderValue>,
    binary: bool,
}

impl<'h> SeqAccess<'h> for Items<'h> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'h>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Fault> {
        let Some(value) = self.values.next() else {
            return Ok(None);
        };
        let value = Value {
            source: Source::One(value.as_bytes()),
            binary: self.binary,
        };
        seed.deserialize(value).map(Some)
    }
}

/// Asks what an item is: one octet, which nothing but a list of lists refuses for its kind.
struct ProbeItem;

impl<'h> SeqAccess<'h> for ProbeItem {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'h>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Fault> {
        let value = Value {
            source: Source::One(b"-"),
            binary: false,
        };
        // Whatever it is, the answer ends here.
        seed.deserialize(value)?;
        Err(PROBED)
    }
}
