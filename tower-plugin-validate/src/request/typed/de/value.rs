//! The values of a header field as `serde` sees them.

use http::{HeaderValue, header};
use serde::{
    Deserializer,
    de::{DeserializeSeed, IntoDeserializer, SeqAccess, Visitor},
    forward_to_deserialize_any,
};

use super::fault::{BYTES, DUPLICATE, FLAG, Fault, NUMBER, PROBED, TEXT, UNSUPPORTED};
use crate::metadata::decode;

/// The values of one name, or one of them.
pub(super) struct Value<'h> {
    pub(super) source: Source<'h>,
    pub(super) binary: bool,
}

pub(super) enum Source<'h> {
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
