//! Engine: the shape of a JSON text (how deep, how wide, how long), told while its bytes arrive.
//!
//! A parser that builds a document first and looks at it later has spent the memory already. The
//! scanner here reads each byte once, keeps one counter for each open bracket, and says no at the byte that is
//! one too many. It judges no grammar: whatever it passes still has to be parsed, and up to the first syntax
//! error, where a parser stops, it counts what the parser sees.

mod build;
mod limit;
#[cfg(test)]
mod tests;

pub use build::JsonShapeBuilder;
pub use limit::{ShapeExceeded, ShapeLimit};

/// How much JSON a request may hold. See [`JsonScanner`].
///
/// # Examples
///
/// ```
/// use tower_plugin_validate::payload::shape::{JsonScanner, JsonShape, ShapeLimit};
///
/// let shape = JsonShape::builder().depth(2).build()?;
/// let mut scanner = JsonScanner::new(shape);
/// assert!(scanner.feed(b"[{\"a\":").is_ok());
/// assert_eq!(scanner.feed(b"[1]}]").unwrap_err().limit(), ShapeLimit::Depth);
/// # Ok::<_, tower_plugin_validate::limits::InvalidLimit>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct JsonShape {
    bytes: u64,
    depth: u32,
    elements: u32,
    members: u32,
    string_bytes: u32,
    values: u32,
}

impl JsonShape {
    /// 2 MiB, 32 levels, 256 members in an object, 10,000 elements in an array, 100,000 values
    /// in all, 1 MiB in one string.
    pub const DEFAULT: Self = Self {
        bytes: 2 << 20,
        depth: 32,
        elements: 10_000,
        members: 256,
        string_bytes: 1 << 20,
        values: 100_000,
    };

    /// Starts from [`DEFAULT`](Self::DEFAULT).
    pub const fn builder() -> JsonShapeBuilder {
        Self::DEFAULT.to_builder()
    }

    /// Starts from this shape.
    pub const fn to_builder(self) -> JsonShapeBuilder {
        JsonShapeBuilder { shape: self }
    }

    /// Whether a text may be so long.
    #[cfg(feature = "axum")]
    pub(super) fn check_bytes(&self, bytes: u64) -> Result<(), ShapeExceeded> {
        within(bytes <= self.bytes, ShapeLimit::Bytes)
    }

    /// The number behind a limit.
    #[must_use]
    pub const fn max(&self, limit: ShapeLimit) -> u64 {
        match limit {
            ShapeLimit::Bytes => self.bytes,
            ShapeLimit::Depth => self.depth as u64,
            ShapeLimit::Elements => self.elements as u64,
            ShapeLimit::Members => self.members as u64,
            ShapeLimit::StringBytes => self.string_bytes as u64,
            ShapeLimit::Values => self.values as u64,
        }
    }
}

/// [`JsonShape::DEFAULT`].
impl Default for JsonShape {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Holds a JSON text to a [`JsonShape`] while it arrives, in pieces cut anywhere.
///
/// It allocates nothing. See [`JsonShape`] for an example.
#[derive(Clone, Debug)]
pub struct JsonScanner {
    shape: JsonShape,
    bytes: u64,
    values: u32,
    string_bytes: u32,
    within: Within,
    depth: usize,
    /// What the open brackets hold so far, outermost first.
    counts: [u32; MAX_DEPTH],
    /// A bit for each open bracket: whether it is an object's.
    objects: u128,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Within {
    /// Space and punctuation.
    Nothing,
    /// A number, `true`, `false` or `null`.
    Scalar,
    String,
    /// A string, after a backslash.
    Escape,
}

impl JsonScanner {
    /// Before the first byte.
    #[must_use]
    pub const fn new(shape: JsonShape) -> Self {
        Self {
            shape,
            bytes: 0,
            values: 0,
            string_bytes: 0,
            within: Within::Nothing,
            depth: 0,
            counts: [0; MAX_DEPTH],
            objects: 0,
        }
    }

    /// Reads on.
    ///
    /// # Errors
    ///
    /// [`ShapeExceeded`] with the first limit the text is over. What it answers after that means
    /// nothing.
    pub fn feed(&mut self, chunk: &[u8]) -> Result<(), ShapeExceeded> {
        self.bytes = self.bytes.saturating_add(chunk.len() as u64);
        within(self.bytes <= self.shape.bytes, ShapeLimit::Bytes)?;
        let mut rest = chunk;
        while let Some((&byte, tail)) = rest.split_first() {
            rest = match self.within {
                Within::Nothing | Within::Scalar => {
                    self.token(byte)?;
                    tail
                }
                Within::String => self.string(rest)?,
                Within::Escape => {
                    self.within = Within::String;
                    self.lengthen(1)?;
                    tail
                }
            };
        }
        Ok(())
    }

    /// Reads to the end of the string, an escape, or the end of the chunk.
    fn string<'a>(&mut self, chunk: &'a [u8]) -> Result<&'a [u8], ShapeExceeded> {
        let end = chunk.iter().position(|byte| matches!(byte, b'"' | b'\\'));
        self.lengthen(end.unwrap_or(chunk.len()))?;
        let Some((&stop, rest)) = end.and_then(|end| chunk.get(end..)?.split_first()) else {
            return Ok(&[]);
        };
        if stop == b'"' {
            self.within = Within::Nothing;
        } else {
            self.within = Within::Escape;
            self.lengthen(1)?;
        }
        Ok(rest)
    }

    fn token(&mut self, byte: u8) -> Result<(), ShapeExceeded> {
        let was = core::mem::replace(&mut self.within, Within::Nothing);
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' | b',' => Ok(()),
            b'"' => {
                self.within = Within::String;
                self.string_bytes = 0;
                self.begin()
            }
            b'[' | b'{' => {
                self.begin()?;
                self.open(byte == b'{')
            }
            b']' | b'}' => {
                self.depth = self.depth.saturating_sub(1);
                Ok(())
            }
            b':' if self.in_object() => self.count(self.shape.members, ShapeLimit::Members),
            b':' => Ok(()),
            _ => {
                self.within = Within::Scalar;
                match was {
                    Within::Scalar => Ok(()),
                    _ => self.begin(),
                }
            }
        }
    }

    /// Something begins. In an object that is a name or a value, and the colon between them counts.
    fn begin(&mut self) -> Result<(), ShapeExceeded> {
        if self.depth == 0 {
            self.value()
        } else if self.in_object() {
            Ok(())
        } else {
            self.count(self.shape.elements, ShapeLimit::Elements)
        }
    }

    fn open(&mut self, is_object: bool) -> Result<(), ShapeExceeded> {
        within(self.depth < self.shape.depth as usize, ShapeLimit::Depth)?;
        if let Some(count) = self.counts.get_mut(self.depth) {
            *count = 0;
        }
        let bit = 1_u128.unbounded_shl(self.depth as u32);
        self.objects = if is_object {
            self.objects | bit
        } else {
            self.objects & !bit
        };
        self.depth += 1;
        Ok(())
    }

    fn count(&mut self, max: u32, limit: ShapeLimit) -> Result<(), ShapeExceeded> {
        if let Some(count) = self
            .depth
            .checked_sub(1)
            .and_then(|top| self.counts.get_mut(top))
        {
            *count = count.saturating_add(1);
            within(*count <= max, limit)?;
        }
        self.value()
    }

    fn value(&mut self) -> Result<(), ShapeExceeded> {
        self.values = self.values.saturating_add(1);
        within(self.values <= self.shape.values, ShapeLimit::Values)
    }

    fn lengthen(&mut self, bytes: usize) -> Result<(), ShapeExceeded> {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.string_bytes = self.string_bytes.saturating_add(bytes);
        within(
            self.string_bytes <= self.shape.string_bytes,
            ShapeLimit::StringBytes,
        )
    }

    fn in_object(&self) -> bool {
        let top = self.depth.checked_sub(1);
        top.is_some_and(|top| self.objects.unbounded_shr(top as u32) & 1 == 1)
    }
}

fn within(holds: bool, limit: ShapeLimit) -> Result<(), ShapeExceeded> {
    if holds {
        Ok(())
    } else {
        Err(ShapeExceeded::of(limit))
    }
}

/// `serde_json` refuses the 128th level.
const MAX_DEPTH: usize = 127;
