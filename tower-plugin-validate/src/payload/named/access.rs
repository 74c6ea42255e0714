//! Engine: elements, members and variants, entered and left on the trail.

use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, MapAccess, SeqAccess, VariantAccess, Visitor,
};

use super::{
    ANY, Trail,
    deserializer::Named,
    fault::Fault,
    visitor::{Names, Watched},
};
use crate::payload::check::Step;

/// Reads a value, or with `names` the name of one.
struct Seed<'t, S> {
    inner: S,
    trail: &'t Trail,
    names: Option<Names>,
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Seed<'_, S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<S::Value, D::Error> {
        let named = match self.names {
            Some(names) => Named::of_name(deserializer, self.trail, names),
            None => Named::new(deserializer, self.trail),
        };
        self.inner
            .deserialize(named)
            .map_err(|fault| fault.through(self.trail))
    }
}

pub(super) struct Elements<'t, A> {
    inner: A,
    trail: &'t Trail,
    depth: usize,
    index: usize,
}

impl<'t, A> Elements<'t, A> {
    pub(super) fn new(inner: A, trail: &'t Trail) -> Self {
        Self {
            inner,
            trail,
            depth: trail.len(),
            index: 0,
        }
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Elements<'_, A> {
    type Error = Fault<A::Error>;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        inner: T,
    ) -> Result<Option<T::Value>, Self::Error> {
        self.trail.enter(self.depth, Step::Index(self.index));
        self.index += 1;
        let trail = self.trail;
        let seed = Seed {
            inner,
            trail,
            names: None,
        };
        let element = self.inner.next_element_seed(seed).map_err(Fault::Inner)?;
        trail.leave(self.depth);
        Ok(element)
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

pub(super) struct Members<'t, A> {
    inner: A,
    trail: &'t Trail,
    fields: Names,
    depth: usize,
}

impl<'t, A> Members<'t, A> {
    pub(super) fn new(inner: A, trail: &'t Trail, fields: Names) -> Self {
        Self {
            inner,
            trail,
            fields,
            depth: trail.len(),
        }
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Members<'_, A> {
    type Error = Fault<A::Error>;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        inner: K,
    ) -> Result<Option<K::Value>, Self::Error> {
        self.trail.leave(self.depth);
        self.trail.name.set(None);
        let seed = Seed {
            inner,
            trail: self.trail,
            names: Some(self.fields),
        };
        self.inner.next_key_seed(seed).map_err(Fault::Inner)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(
        &mut self,
        inner: T,
    ) -> Result<T::Value, Self::Error> {
        let name = self.trail.name.take().unwrap_or(ANY);
        self.trail.enter(self.depth, Step::Name(name));
        let trail = self.trail;
        let seed = Seed {
            inner,
            trail,
            names: None,
        };
        let value = self.inner.next_value_seed(seed).map_err(Fault::Inner)?;
        trail.leave(self.depth);
        Ok(value)
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

pub(super) struct Variants<'t, A> {
    inner: A,
    trail: &'t Trail,
}

impl<'t, A> Variants<'t, A> {
    pub(super) const fn new(inner: A, trail: &'t Trail) -> Self {
        Self { inner, trail }
    }
}

impl<'de, 't, A: EnumAccess<'de>> EnumAccess<'de> for Variants<'t, A> {
    type Error = Fault<A::Error>;
    type Variant = Variants<'t, A::Variant>;

    fn variant_seed<T: DeserializeSeed<'de>>(
        self,
        inner: T,
    ) -> Result<(T::Value, Self::Variant), Self::Error> {
        let trail = self.trail;
        let seed = Seed {
            inner,
            trail,
            names: None,
        };
        let (name, variant) = self.inner.variant_seed(seed).map_err(Fault::Inner)?;
        Ok((name, Variants::new(variant, trail)))
    }
}

impl<'de, A: VariantAccess<'de>> VariantAccess<'de> for Variants<'_, A> {
    type Error = Fault<A::Error>;

    fn unit_variant(self) -> Result<(), Self::Error> {
        self.inner.unit_variant().map_err(Fault::Inner)
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(
        self,
        inner: T,
    ) -> Result<T::Value, Self::Error> {
        let seed = Seed {
            inner,
            trail: self.trail,
            names: None,
        };
        self.inner.newtype_variant_seed(seed).map_err(Fault::Inner)
    }

    fn tuple_variant<V: Visitor<'de>>(
        self,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        let visitor = Watched::new(visitor, self.trail, None, &[]);
        self.inner
            .tuple_variant(length, visitor)
            .map_err(Fault::Inner)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        let visitor = Watched::new(visitor, self.trail, None, fields);
        self.inner
            .struct_variant(fields, visitor)
            .map_err(Fault::Inner)
    }
}
