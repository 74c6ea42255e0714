//! Engine: which of the arguable paths pass.

/// Which of the arguable paths pass. What no configuration lets pass is listed in the
/// [module's docs](super).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PathRules {
    pub(super) double_dots: bool,
    pub(super) double_encoding: bool,
    pub(super) empty_segments: EmptySegments,
    pub(super) non_canonical: NonCanonical,
    pub(super) shape: Shape,
}

impl PathRules {
    /// For plain HTTP: empty segments pass (`/a//b`, which no router confuses with `/a/b`).
    #[must_use]
    pub const fn http() -> Self {
        Self {
            double_dots: true,
            double_encoding: false,
            empty_segments: EmptySegments::Allow,
            non_canonical: NonCanonical::Reject,
            shape: Shape::Any,
        }
    }

    /// For gRPC: exactly `/Service/Method`, the service a protobuf full name (`[A-Za-z0-9_]+`
    /// joined by single dots), the method `[A-Za-z0-9_]+`.
    #[must_use]
    pub const fn grpc() -> Self {
        Self {
            double_dots: false,
            empty_segments: EmptySegments::Reject,
            shape: Shape::Grpc,
            ..Self::http()
        }
    }

    /// For a host of connect-plugin services, whose paths carry names of services and plugins: no
    /// empty segments, and nowhere two dots in a row (`a..b`).
    #[must_use]
    pub const fn plugin() -> Self {
        Self {
            double_dots: false,
            empty_segments: EmptySegments::Reject,
            ..Self::http()
        }
    }

    /// Lets a segment hold two dots in a row beside other characters, as in `a..b`.
    #[must_use]
    pub const fn with_double_dots(mut self, allow: bool) -> Self {
        self.double_dots = allow;
        self
    }

    /// Lets an escape decode to another escape, as in `%252e`. Only for servers that are certain
    /// to decode once.
    #[must_use]
    pub const fn with_insecure_double_encoding(mut self, allow: bool) -> Self {
        self.double_encoding = allow;
        self
    }

    /// What to do with empty segments.
    #[must_use]
    pub const fn with_empty_segments(mut self, empty_segments: EmptySegments) -> Self {
        self.empty_segments = empty_segments;
        self
    }

    /// What is done with a harmless path that is not in its canonical spelling.
    #[must_use]
    pub const fn non_canonical(&self) -> NonCanonical {
        self.non_canonical
    }

    /// What to do with a harmless path that is not in its canonical spelling.
    #[must_use]
    pub const fn with_non_canonical(mut self, non_canonical: NonCanonical) -> Self {
        self.non_canonical = non_canonical;
        self
    }
}

/// What to do with empty segments inside a path. A leading `//` is refused in any case: as a
/// reference it names a host (RFC 3986, section 4.2). A slash at the end is no empty segment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum EmptySegments {
    /// Leave them where they are.
    Allow,
    /// Refuse the request.
    Reject,
}

/// What to do with a path that is harmless but not in its canonical spelling: `/%61` for `/a`,
/// `%c3%a9` for `%C3%A9`. All but [`Observe`](Self::Observe) keep router, handler and permission
/// checks on one path.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum NonCanonical {
    /// Forward it as it came, and report it: to see who would be refused. It never has a
    /// [`CanonicalPath`](crate::CanonicalPath), because what is routed may not be one.
    Observe,
    /// Send the caller to the canonical spelling: 308 with a `location`, which keeps method and
    /// body. For people with browsers and old links. Callers of gRPC and Connect, which follow no
    /// redirects, are refused instead.
    Redirect,
    /// Refuse the request. The default: what was sent is what is routed, and also what a proxy in
    /// front has judged and logged. Browsers and most clients write the canonical spelling.
    Reject,
    /// Forward the canonical spelling instead. By RFC 3986 (section 6.2.2) both name the same
    /// resource. Choose it for clients that encode more than they must or in lower case, and only
    /// if no proxy in front decides by path without decoding.
    Rewrite,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Shape {
    Any,
    Grpc,
}
