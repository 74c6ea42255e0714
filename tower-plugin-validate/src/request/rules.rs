use std::borrow::Cow;

use http::Method;

use super::{
    TypedMetadata,
    findings::field,
    mode::{Mode, Modes, Part},
    route::{Route, RouteRules},
};
use crate::{
    framing::{FramingRules, well_known},
    limits::Limits,
    metadata::Schema,
    path::PathRules,
};

/// What [`ValidateLayer`](crate::ValidateLayer) lets pass.
///
/// # Examples
///
/// ```
/// use http::Method;
/// use tower_plugin_validate::{
///     Mode, Part, Route, RouteRules, RuleSet,
///     format::Format,
///     limits::Limits,
///     metadata::{Rule, Schema},
///     path::{NonCanonical, PathRules},
/// };
///
/// let every = Schema::builder().key("x-tenant-id", Rule::from(Format::Uuid).required()).build()?;
/// let orders = every.to_builder().key("idempotency-key", Rule::text().required()).build()?;
/// let upload = Limits::http().to_builder().declared_body(100 << 20).build()?;
///
/// let rules = RuleSet::http()
///     .with_limits(Limits::http().to_builder().declared_body(64 << 10).build()?)
///     .with_path(PathRules::http().with_non_canonical(NonCanonical::Redirect))
///     .with_schema(every)
///     .with_route(
///         Route::new("/v1/orders")?.with_method(Method::POST),
///         RouteRules::new().with_schema(orders),
///     )
///     .with_route(Route::new("/v1/files/{*path}")?, RouteRules::new().with_limits(upload))
///     .with_part_mode(Part::Metadata, Mode::Observe);
/// # let _ = rules;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct RuleSet {
    limits: Limits,
    framing: FramingRules,
    path: PathRules,
    modes: Modes,
    canonical_path: bool,
    own: RouteRules,
    /// The most particular first.
    routes: Vec<(Route, RouteRules)>,
}

impl RuleSet {
    /// [`Limits::http`], [`FramingRules::http`] and [`PathRules::http`]; any metadata.
    pub const fn http() -> Self {
        Self::new(Limits::http(), FramingRules::http(), PathRules::http())
    }

    /// [`Limits::grpc`], [`FramingRules::grpc`], [`PathRules::grpc`] and [`Schema::grpc`].
    pub fn grpc() -> Self {
        Self::new(Limits::grpc(), FramingRules::grpc(), PathRules::grpc())
            .with_schema(Schema::grpc())
    }

    /// [`Limits::plugin`], [`FramingRules::plugin`], [`PathRules::plugin`] and [`Schema::plugin`].
    pub fn plugin() -> Self {
        Self::new(
            Limits::plugin(),
            FramingRules::plugin(),
            PathRules::plugin(),
        )
        .with_schema(Schema::plugin())
    }

    const fn new(limits: Limits, framing: FramingRules, path: PathRules) -> Self {
        Self {
            limits,
            framing,
            path,
            modes: Modes::ENFORCE,
            canonical_path: false,
            own: RouteRules {
                limits: None,
                schema: None,
                typed: None,
            },
            routes: Vec::new(),
        }
    }

    /// Replaces the limits.
    pub const fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Replaces the rules of framing.
    pub const fn with_framing(mut self, framing: FramingRules) -> Self {
        self.framing = framing;
        self
    }

    /// Replaces the rules of the path.
    pub const fn with_path(mut self, path: PathRules) -> Self {
        self.path = path;
        self
    }

    /// Replaces the rules of header fields by name.
    pub fn with_schema(mut self, schema: Schema) -> Self {
        self.own = self.own.with_schema(schema);
        self
    }

    /// Parses the header fields of each request into a value in its extensions.
    pub fn with_typed(mut self, typed: TypedMetadata) -> Self {
        self.own = self.own.with_typed(typed);
        self
    }

    /// Gives a route rules of its own. Of several routes that match, the one counts that says more
    /// further to the left; one with a method counts more than the same without. Rules for a route
    /// that has some already take their place.
    pub fn with_route(mut self, route: Route, rules: RouteRules) -> Self {
        self.routes.retain(|(known, _)| *known != route);
        self.routes.push((route, rules));
        self.routes.sort_by(|(a, _), (b, _)| a.precedence(b));
        self
    }

    /// Leaves a [`CanonicalPath`](crate::CanonicalPath) in the extensions of a request, or not. It does not,
    /// unless told to: the path of the URI that is forwarded is the same, and is canonical where paths are
    /// [enforced](Mode::Enforce). Whoever must refuse what was only observed, or what came by another way,
    /// asks for it. It costs the one allocation that a request in order takes, three if its extensions are
    /// empty.
    pub const fn with_canonical_path(mut self, leave: bool) -> Self {
        self.canonical_path = leave;
        self
    }

    /// Enforces or observes all parts.
    pub const fn with_mode(mut self, mode: Mode) -> Self {
        self.modes = Modes::all(mode);
        self
    }

    /// Enforces or observes one part.
    pub const fn with_part_mode(mut self, part: Part, mode: Mode) -> Self {
        self.modes.set(part, mode);
        self
    }

    /// The limits.
    #[must_use]
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The rules of framing.
    #[must_use]
    pub const fn framing(&self) -> &FramingRules {
        &self.framing
    }

    /// The rules of the path.
    #[must_use]
    pub const fn path(&self) -> &PathRules {
        &self.path
    }

    /// The rules of header fields by name, where no route has its own.
    #[must_use]
    pub const fn schema(&self) -> Option<&Schema> {
        self.own.schema.as_ref()
    }

    pub(super) const fn leaves_canonical_path(&self) -> bool {
        self.canonical_path
    }

    /// Whether a part is enforced or observed.
    #[must_use]
    pub const fn mode(&self, part: Part) -> Mode {
        self.modes.of(part)
    }

    pub(super) const fn modes(&self) -> Modes {
        self.modes
    }

    /// What applies to a request, of a canonical path if it has one.
    pub(super) fn on(&self, method: &Method, path: Option<&str>) -> Applied<'_> {
        let route = path.and_then(|path| {
            let matches = |(route, _): &&(Route, RouteRules)| route.matches(method, path);
            self.routes.iter().find(matches)
        });
        let route = route.map(|(_, rules)| rules);
        let schema = route.and_then(|route| route.schema.as_ref());
        let typed = route.and_then(|route| route.typed.as_ref());
        let limits = route.and_then(|route| route.limits.as_ref());
        Applied {
            limits: limits.unwrap_or(&self.limits),
            schema: schema.or(self.own.schema.as_ref()),
            typed: typed.or(self.own.typed.as_ref()),
        }
    }
}

/// What applies to one request.
pub(super) struct Applied<'r> {
    pub(super) limits: &'r Limits,
    pub(super) schema: Option<&'r Schema>,
    pub(super) typed: Option<&'r TypedMetadata>,
}

impl Applied<'_> {
    /// Where in the request a header field is, in words that are the server's.
    pub(super) fn place(&self, name: &[u8]) -> Cow<'static, str> {
        let own = self.schema.and_then(|schema| schema.name_of(name));
        field(well_known(name).or(own))
    }
}
