//! Engine: a deserializer that has its visitors watched.

use serde::de::{Deserializer, Visitor};

use super::{
    Trail,
    fault::Fault,
    visitor::{Names, Watched},
};

pub(super) struct Named<'t, D> {
    inner: D,
    trail: &'t Trail,
    /// Of a name that is read: those it may be.
    names: Option<Names>,
}

impl<'t, D> Named<'t, D> {
    pub(super) const fn new(inner: D, trail: &'t Trail) -> Self {
        Self {
            inner,
            trail,
            names: None,
        }
    }

    pub(super) const fn of_name(inner: D, trail: &'t Trail, names: Names) -> Self {
        Self {
            inner,
            trail,
            names: Some(names),
        }
    }
}

macro_rules! forward {
    ($($method:ident($($argument:ident: $kind:ty),*))*) => {$(
        fn $method<V: Visitor<'de>>(
            self,
            $($argument: $kind,)*
            visitor: V,
        ) -> Result<V::Value, Self::Error> {
            let visitor = Watched::new(visitor, self.trail, self.names, &[]);
            self.inner.$method($($argument,)* visitor).map_err(Fault::Inner)
        }
    )*};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Named<'_, D> {
    type Error = Fault<D::Error>;

    forward! {
        deserialize_any()
        deserialize_bool()
        deserialize_i8()
        deserialize_i16()
        deserialize_i32()
        deserialize_i64()
        deserialize_i128()
        deserialize_u8()
        deserialize_u16()
        deserialize_u32()
        deserialize_u64()
        deserialize_u128()
        deserialize_f32()
        deserialize_f64()
        deserialize_char()
        deserialize_str()
        deserialize_string()
        deserialize_bytes()
        deserialize_byte_buf()
        deserialize_option()
        deserialize_unit()
        deserialize_unit_struct(name: &'static str)
        deserialize_newtype_struct(name: &'static str)
        deserialize_seq()
        deserialize_tuple(length: usize)
        deserialize_tuple_struct(name: &'static str, length: usize)
        deserialize_map()
        deserialize_enum(name: &'static str, variants: &'static [&'static str])
        deserialize_identifier()
        deserialize_ignored_any()
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        let visitor = Watched::new(visitor, self.trail, self.names, fields);
        self.inner
            .deserialize_struct(name, fields, visitor)
            .map_err(Fault::Inner)
    }

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}
