//! Header fields as `serde` sees them.

mod fault;
mod value;

pub(super) use fault::Fault;

use core::cell::Cell;

use http::HeaderMap;
use serde::{
    Deserializer,
    de::{DeserializeSeed, IntoDeserializer, MapAccess, Visitor},
    forward_to_deserialize_any,
};

use fault::UNSUPPORTED;
use value::{Source, Value};

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
