//! Engine: a visitor that tells the trail what it is shown.

use std::fmt;

use serde::de::{Deserializer, EnumAccess, Error, MapAccess, SeqAccess, Visitor};

use super::{
    Trail,
    access::{Elements, Members, Variants},
    deserializer::Named,
    fault::Fault,
};

/// The fields of a type.
pub(super) type Names = &'static [&'static str];

pub(super) struct Watched<'t, V> {
    inner: V,
    trail: &'t Trail,
    /// If it is a name that is visited: those it may be.
    names: Option<Names>,
    /// If it is a struct: its fields.
    fields: Names,
}

impl<'t, V> Watched<'t, V> {
    pub(super) const fn new(
        inner: V,
        trail: &'t Trail,
        names: Option<Names>,
        fields: Names,
    ) -> Self {
        Self {
            inner,
            trail,
            names,
            fields,
        }
    }

    fn note(&self, name: &[u8]) {
        if let Some(names) = self.names {
            let known = names.iter().find(|known| known.as_bytes() == name);
            self.trail.name.set(known.copied());
        }
    }
}

macro_rules! forward {
    ($($method:ident($kind:ty))*) => {$(
        fn $method<E: Error>(self, value: $kind) -> Result<V::Value, E> {
            let trail = self.trail;
            self.inner.$method(value).map_err(|fault: Fault<E>| fault.through(trail))
        }
    )*};
}

macro_rules! forward_and_note {
    ($($method:ident($kind:ty))*) => {$(
        fn $method<E: Error>(self, value: $kind) -> Result<V::Value, E> {
            self.note(value.as_ref());
            let trail = self.trail;
            self.inner.$method(value).map_err(|fault: Fault<E>| fault.through(trail))
        }
    )*};
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Watched<'_, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(f)
    }

    forward! {
        visit_bool(bool)
        visit_i8(i8)
        visit_i16(i16)
        visit_i32(i32)
        visit_i64(i64)
        visit_i128(i128)
        visit_u8(u8)
        visit_u16(u16)
        visit_u32(u32)
        visit_u64(u64)
        visit_u128(u128)
        visit_f32(f32)
        visit_f64(f64)
        visit_char(char)
    }

    forward_and_note! {
        visit_str(&str)
        visit_borrowed_str(&'de str)
        visit_string(String)
        visit_bytes(&[u8])
        visit_borrowed_bytes(&'de [u8])
        visit_byte_buf(Vec<u8>)
    }

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        let trail = self.trail;
        self.inner
            .visit_none()
            .map_err(|fault: Fault<E>| fault.through(trail))
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        let trail = self.trail;
        self.inner
            .visit_unit()
            .map_err(|fault: Fault<E>| fault.through(trail))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        self.inner
            .visit_some(Named::new(deserializer, self.trail))
            .map_err(|fault| fault.through(self.trail))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> Result<V::Value, D::Error> {
        self.inner
            .visit_newtype_struct(Named::new(deserializer, self.trail))
            .map_err(|fault| fault.through(self.trail))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        let visited = self.inner.visit_seq(Elements::new(access, self.trail));
        visited.map_err(|fault| fault.through(self.trail))
    }

    fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        let access = Members::new(access, self.trail, self.fields);
        let visited = self.inner.visit_map(access);
        visited.map_err(|fault| fault.through(self.trail))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        let visited = self.inner.visit_enum(Variants::new(access, self.trail));
        visited.map_err(|fault| fault.through(self.trail))
    }
}
