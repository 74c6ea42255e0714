//! Engine: how much a request's body may hold, and being over it.

use core::fmt;

use crate::limits::InvalidLimit;

/// How much the body of a request may hold.
///
/// # Examples
///
/// ```
/// use tower_plugin_validate::body::BodyLimits;
///
/// let limits = BodyLimits::grpc().to_builder().message_bytes(64 * 1024).messages(100).build()?;
/// # let _ = limits;
/// # Ok::<_, tower_plugin_validate::limits::InvalidLimit>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct BodyLimits {
    body_bytes: Option<u64>,
    message_bytes: Option<u64>,
    messages: Option<u64>,
    stream_bytes: Option<u64>,
    trailer_bytes: u64,
    trailer_fields: u64,
}

impl BodyLimits {
    /// 2 MiB in a body, or in one message of a stream; 32 trailers of 8 KiB together.
    #[must_use]
    pub const fn http() -> Self {
        Self {
            body_bytes: Some(2 << 20),
            message_bytes: Some(2 << 20),
            messages: None,
            stream_bytes: None,
            trailer_bytes: 8 << 10,
            trailer_fields: 32,
        }
    }

    /// As [`http`](Self::http), with the 4 MiB for a body or a message that gRPC servers are used to.
    #[must_use]
    pub const fn grpc() -> Self {
        Self {
            body_bytes: Some(4 << 20),
            message_bytes: Some(4 << 20),
            ..Self::http()
        }
    }

    /// Starts from the numbers of [`http`](Self::http).
    pub const fn builder() -> BodyLimitsBuilder {
        Self::http().to_builder()
    }

    /// Starts from these limits.
    pub const fn to_builder(self) -> BodyLimitsBuilder {
        BodyLimitsBuilder { limits: self }
    }

    /// The number behind a limit, if there is one.
    #[must_use]
    pub const fn max(&self, limit: BodyLimit) -> Option<u64> {
        match limit {
            BodyLimit::BodyBytes => self.body_bytes,
            BodyLimit::MessageBytes => self.message_bytes,
            BodyLimit::Messages => self.messages,
            BodyLimit::StreamBytes => self.stream_bytes,
            BodyLimit::TrailerBytes => Some(self.trailer_bytes),
            BodyLimit::TrailerFields => Some(self.trailer_fields),
        }
    }

    /// Whether `value` is more than a limit allows.
    pub(super) const fn is_over(&self, limit: BodyLimit, value: u64) -> bool {
        match self.max(limit) {
            Some(max) => value > max,
            None => false,
        }
    }
}

/// Sets the numbers of [`BodyLimits`]; nothing is checked before [`build`](Self::build).
#[derive(Clone, Copy, Debug)]
#[must_use = "a builder does nothing until it is built"]
pub struct BodyLimitsBuilder {
    limits: BodyLimits,
}

impl BodyLimitsBuilder {
    /// Length of a body that is one message (plain HTTP and Connect unary) in bytes, 1 to 1 TiB.
    pub const fn body_bytes(mut self, bytes: u64) -> Self {
        self.limits.body_bytes = Some(bytes);
        self
    }

    /// Length of one message in a stream of them (gRPC, gRPC-Web and Connect streams) as it is on the wire, in
    /// bytes, 1 to 4 GiB - 1.
    pub const fn message_bytes(mut self, bytes: u64) -> Self {
        self.limits.message_bytes = Some(bytes);
        self
    }

    /// Messages in a stream, 1 to 1 Ti.
    pub const fn messages(mut self, messages: u64) -> Self {
        self.limits.messages = Some(messages);
        self
    }

    /// Length of all messages of a stream with their prefixes, in bytes, 1 to 1 TiB.
    pub const fn stream_bytes(mut self, bytes: u64) -> Self {
        self.limits.stream_bytes = Some(bytes);
        self
    }

    /// Sum over all trailers of name + value + 32, in bytes, 64 to 1 MiB.
    pub const fn trailer_bytes(mut self, bytes: u64) -> Self {
        self.limits.trailer_bytes = bytes;
        self
    }

    /// Fields among the trailers, 1 to 1024.
    pub const fn trailer_fields(mut self, fields: u64) -> Self {
        self.limits.trailer_fields = fields;
        self
    }

    /// Lets a body that is one message be of any length.
    pub const fn any_body_bytes(mut self) -> Self {
        self.limits.body_bytes = None;
        self
    }

    /// Checks the numbers.
    ///
    /// # Errors
    ///
    /// [`InvalidLimit`] naming the first field that is outside the range its setter states.
    pub fn build(self) -> Result<BodyLimits, InvalidLimit> {
        for &(limit, field, min, max) in RANGES {
            let value = self.limits.max(limit);
            if value.is_some_and(|value| !(min..=max).contains(&value)) {
                return Err(InvalidLimit::new(field, min, max));
            }
        }
        Ok(self.limits)
    }
}

/// One of the numbers in [`BodyLimits`].
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum BodyLimit {
    /// The length of a body that is one message.
    BodyBytes,
    /// The length of one message in a stream.
    MessageBytes,
    /// The number of messages in a stream.
    Messages,
    /// The length of a stream.
    StreamBytes,
    /// The length of the trailers.
    TrailerBytes,
    /// The number of trailers.
    TrailerFields,
}

impl BodyLimit {
    /// The machine-readable reason a caller is given.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::BodyBytes | Self::StreamBytes => "BODY_SIZE",
            Self::MessageBytes => "MESSAGE_SIZE",
            Self::Messages => "MESSAGE_COUNT",
            Self::TrailerBytes | Self::TrailerFields => "TRAILER",
        }
    }

    /// The sentence a caller is given.
    #[must_use]
    pub const fn description(self) -> &'static str {
        match self {
            Self::BodyBytes => "the body is too large",
            Self::MessageBytes => "a message is too large",
            Self::Messages => "there are too many messages",
            Self::StreamBytes => "the messages are too large together",
            Self::TrailerBytes => "the trailers are too large",
            Self::TrailerFields => "there are too many trailers",
        }
    }
}

impl fmt::Display for BodyLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.description())
    }
}

const RANGES: &[(BodyLimit, &str, u64, u64)] = &[
    (BodyLimit::BodyBytes, "body_bytes", 1, 1 << 40),
    (BodyLimit::MessageBytes, "message_bytes", 1, u32::MAX as u64),
    (BodyLimit::Messages, "messages", 1, 1 << 40),
    (BodyLimit::StreamBytes, "stream_bytes", 1, 1 << 40),
    (BodyLimit::TrailerBytes, "trailer_bytes", 64, 1 << 20),
    (BodyLimit::TrailerFields, "trailer_fields", 1, 1024),
];
