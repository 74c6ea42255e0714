//! Engine: numbers for a [`JsonShape`], refused when they make no sense.

use super::{JsonShape, MAX_DEPTH, ShapeLimit};
use crate::limits::InvalidLimit;

/// Sets the numbers of a [`JsonShape`]; nothing is checked before [`build`](Self::build).
#[derive(Clone, Copy, Debug)]
#[must_use = "a builder does nothing until it is built"]
pub struct JsonShapeBuilder {
    pub(super) shape: JsonShape,
}

impl JsonShapeBuilder {
    /// Length of the whole text in bytes, 2 to 1 GiB.
    pub const fn bytes(mut self, bytes: u64) -> Self {
        self.shape.bytes = bytes;
        self
    }

    /// Arrays and objects within each other, 1 to 127 (the most that `serde_json` reads).
    pub const fn depth(mut self, levels: u32) -> Self {
        self.shape.depth = levels;
        self
    }

    /// Elements in one array, 1 to 100,000,000.
    pub const fn elements(mut self, elements: u32) -> Self {
        self.shape.elements = elements;
        self
    }

    /// Members in one object, repeated names included, 1 to 100,000,000.
    pub const fn members(mut self, members: u32) -> Self {
        self.shape.members = members;
        self
    }

    /// Length of one string or member name as it is written, escapes included, in bytes, 1 to 1 GiB.
    pub const fn string_bytes(mut self, bytes: u32) -> Self {
        self.shape.string_bytes = bytes;
        self
    }

    /// Values of any kind in the whole text, 1 to 1,000,000,000.
    pub const fn values(mut self, values: u32) -> Self {
        self.shape.values = values;
        self
    }

    /// Checks the numbers.
    ///
    /// # Errors
    ///
    /// [`InvalidLimit`] naming the first field that is outside the range its setter states.
    pub fn build(self) -> Result<JsonShape, InvalidLimit> {
        for &(limit, field, min, max) in RANGES {
            if !(min..=max).contains(&self.shape.max(limit)) {
                return Err(InvalidLimit::new(field, min, max));
            }
        }
        Ok(self.shape)
    }
}

const RANGES: &[(ShapeLimit, &str, u64, u64)] = &[
    (ShapeLimit::Bytes, "bytes", 2, 1 << 30),
    (ShapeLimit::Depth, "depth", 1, MAX_DEPTH as u64),
    (ShapeLimit::Elements, "elements", 1, 100_000_000),
    (ShapeLimit::Members, "members", 1, 100_000_000),
    (ShapeLimit::StringBytes, "string_bytes", 1, 1 << 30),
    (ShapeLimit::Values, "values", 1, 1_000_000_000),
];
