//! `capability.logger.v1.Logger`: plugins that write to the host's log.

#![expect(
    refining_impl_trait,
    reason = "the generated traits are implemented with plain async functions"
)]

use std::sync::Arc;

use axum::Router;
use connectrpc::{
    ConnectError, ErrorCode, RequestContext, Response, Router as RpcRouter, ServiceRequest,
    ServiceResult,
};
use tower_plugin_core::Principal;
use tower_plugin_validate::limits::InvalidLimit;

use super::{
    fields,
    options::Deadlines,
    own_words::refuse,
    rpc::{Rpc, body_guard},
    steps::Steps,
};
use crate::proto::capability::logger::v1::{LogRequest, LogResponse, Logger, LoggerExt};

/// The capability `logger`, version 1.0.0, at `/capability.logger.v1.Logger/Log`, to be put behind
/// whatever hands it out: a mount point that takes its own prefix off the path, as
/// [`Router::nest`](axum::Router::nest) does, and leaves the [`Principal`] that calls in the extensions
/// of the request.
///
/// Without one, a call is refused: a logger that was mounted in the open stays closed. A line is written
/// with the caller's name, as an event of target `plugin`; it holds no control characters, so it stays
/// one line.
///
/// # Errors
///
/// [`InvalidLimit`] if the host's own limit of a body were out of range.
pub fn logger() -> Result<Router, InvalidLimit> {
    let rpc = Rpc::new(
        Arc::new(Lines).register(RpcRouter::new()),
        Deadlines::default(),
        body_guard()?,
        &Steps::default(),
    );
    Ok(rpc.at(&["/capability.logger.v1.Logger/Log"]))
}

struct Lines;

impl Logger for Lines {
    async fn log(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, LogRequest>,
    ) -> ServiceResult<LogResponse> {
        let caller = ctx.extensions().get::<Principal>().ok_or_else(|| {
            refuse(
                ErrorCode::Unauthenticated,
                "whoever writes must be known by name",
            )
        })?;
        let message = request.message;
        fields::text("message", message).map_err(super::invalid_field)?;
        fields::metadata("fields", request.fields.iter().copied()).map_err(super::invalid_field)?;
        let fields: Vec<(&str, &str)> = request
            .fields
            .iter_unique()
            .map(|(key, value)| (*key, *value))
            .collect();
        let caller = caller.subject();
        // A level is part of an event's fixed description: one event for each.
        macro_rules! write {
            ($level:ident) => {
                tracing::$level!(target: "plugin", caller, ?fields, "{message}")
            };
        }
        match request.level {
            "debug" => write!(debug),
            "info" => write!(info),
            "warn" => write!(warn),
            "error" => write!(error),
            _ => return Err(unknown_level()),
        }
        Response::ok(LogResponse::default())
    }
}

fn unknown_level() -> ConnectError {
    refuse(
        ErrorCode::InvalidArgument,
        "level must be debug, info, warn or error",
    )
}
