//! Tokens by hand: who has one, who is to have none, who gets another.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::{
    extract::{Path, Query, State, rejection::QueryRejection},
    response::Response,
};
use http::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tower_plugin_auth::{
    StoreError,
    store::{Cursor, List},
    token::{Record, TokenId},
};

use super::{Admin, answer};
use crate::host::{identity::PLUGIN_KIND, rotate as successors};

/// Which tokens to show.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Page {
    limit: Option<usize>,
    after: Option<String>,
    runtime_id: Option<String>,
}

/// What is known of a token. It holds no secret.
#[derive(Serialize)]
struct Token<'a> {
    id: String,
    kind: &'a str,
    runtime_id: &'a str,
    family: String,
    live: bool,
    rotated: bool,
    /// Seconds since 1970, as all times here.
    issued_at: u64,
    expires_at: u64,
    last_used: u64,
}

pub(super) async fn list(
    State(admin): State<Admin>,
    page: Result<Query<Page>, QueryRejection>,
    headers: HeaderMap,
) -> Response {
    let Ok(Query(page)) = page else {
        return answer::invalid("the parameters are limit, after and runtime_id", &headers);
    };
    let list = match &page.runtime_id {
        Some(runtime_id) => List::of_subject(PLUGIN_KIND, runtime_id),
        None => List::all(),
    };
    let Ok(mut list) = list.with_limit(page.limit.unwrap_or(100)) else {
        return answer::invalid("limit must be 1 to 1000", &headers);
    };
    if let Some(after) = &page.after {
        let Ok(cursor) = after.parse::<Cursor>() else {
            return answer::invalid("after must be the next of another page", &headers);
        };
        list = list.after(cursor);
    }
    let records = match admin.host.identities.tokens().list(&list).await {
        Ok(records) => records,
        Err(error) => return answer::unavailable(&error, &headers),
    };
    let now = admin.host.clock.wall();
    let next = records
        .last()
        .filter(|_| records.len() == list.limit())
        .map(|last| Cursor::of(last).to_string());
    let tokens: Vec<_> = records
        .iter()
        .map(|record| Token::of(record, now))
        .collect();
    answer::json(json!({ "tokens": tokens, "next": next }))
}

/// By a token's id, that token; by a runtime id, all of that plugin's.
pub(super) async fn revoke(
    State(admin): State<Admin>,
    Path(who): Path<String>,
    headers: HeaderMap,
) -> Response {
    let tokens = admin.host.identities.tokens();
    let revoked = match who.parse::<TokenId>() {
        Ok(id) => tokens.revoke(&id).await.map(u64::from),
        Err(_) => tokens.revoke_subject(PLUGIN_KIND, &who).await,
    };
    match revoked {
        Ok(0) => answer::not_found(&headers),
        Ok(revoked) => {
            tracing::info!(revoked, "tokens revoked by the administrator");
            answer::json(json!({ "revoked": revoked }))
        }
        Err(error) => answer::unavailable(&error, &headers),
    }
}

/// By a token's id, or for a plugin the newest of its tokens: the successor, for its owner.
pub(super) async fn rotate(
    State(admin): State<Admin>,
    Path(who): Path<String>,
    headers: HeaderMap,
) -> Response {
    let tokens = admin.host.identities.tokens();
    let id = match who.parse::<TokenId>() {
        Ok(id) => Ok(Some(id)),
        Err(_) => newest(&admin, &who).await,
    };
    let id = match id {
        Ok(Some(id)) => id,
        Ok(None) => return answer::not_found(&headers),
        Err(error) => return answer::unavailable(&error, &headers),
    };
    match tokens.rotate(&id).await {
        Ok(issued) => {
            tracing::info!(
                runtime_id = issued.principal().subject(),
                "token rotated by the administrator"
            );
            successors::successor(&issued)
        }
        Err(error) => successors::respond(&error, &headers),
    }
}

// Goes through all its pages, oldest first: their number is the store's to bound.
async fn newest(admin: &Admin, runtime_id: &str) -> Result<Option<TokenId>, StoreError> {
    let now = admin.host.clock.wall();
    let mut list = List::of_subject(PLUGIN_KIND, runtime_id);
    let mut newest = None;
    loop {
        let records = admin.host.identities.tokens().list(&list).await?;
        let of_page = records
            .iter()
            .rfind(|record| record.is_live(now) && record.successor().is_none());
        newest = of_page.map(|record| record.id()).or(newest);
        match records.last() {
            Some(last) if records.len() >= list.limit() => list = list.after(Cursor::of(last)),
            _ => return Ok(newest),
        }
    }
}

/// Ends every token there is: all plugins have to shake hands again.
pub(super) async fn rotate_all(State(admin): State<Admin>, headers: HeaderMap) -> Response {
    // Those of this instant are among them.
    let now = admin.host.clock.wall();
    let now = now.checked_add(Duration::from_nanos(1)).unwrap_or(now);
    match admin
        .host
        .identities
        .tokens()
        .revoke_begun_before(now)
        .await
    {
        Ok(revoked) => {
            tracing::warn!(revoked, "all tokens revoked by the administrator");
            answer::json(json!({ "revoked": revoked }))
        }
        Err(error) => answer::unavailable(&error, &headers),
    }
}

impl<'a> Token<'a> {
    fn of(record: &'a Record, now: SystemTime) -> Self {
        let owner = record.principal();
        Self {
            id: record.id().to_string(),
            kind: owner.kind(),
            runtime_id: owner.subject(),
            family: record.family().to_string(),
            live: record.is_live(now),
            rotated: record.successor().is_some(),
            issued_at: seconds(record.issued_at()),
            expires_at: seconds(record.expires_at()),
            last_used: seconds(record.last_used()),
        }
    }
}

pub(super) fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}
