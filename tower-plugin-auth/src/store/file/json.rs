//! Records in clear, to be imported.

use std::{
    collections::{BTreeMap, HashSet},
    time::{Duration, UNIX_EPOCH},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;
use tower_plugin_core::Principal;

use super::error::{FileError, FileErrorKind};
use crate::token::{Record, TokenId, TokenKind, Verifier};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Import {
    format: Format,
    records: Vec<Entry>,
}

#[derive(Deserialize)]
enum Format {
    #[serde(rename = "tower-plugin-tokens-1")]
    First,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    id: String,
    kind: Kind,
    key_version: u32,
    verifier: String,
    principal: Owner,
    issued_at: u64,
    expires_at: u64,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Grant,
    OneTime,
    Runtime,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Owner {
    kind: String,
    subject: String,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
}

pub(super) fn read(json: &[u8]) -> Result<Vec<Record>, FileError> {
    let invalid = |error: &'static str| FileError::with_source(FileErrorKind::InvalidJson, error);
    // What serde complains of may repeat what it has read: that goes nowhere.
    let import: Import = serde_json::from_slice(json).map_err(|_| invalid("not that JSON"))?;
    let Format::First = import.format;
    let mut ids = HashSet::new();
    let mut records = Vec::with_capacity(import.records.len());
    for entry in import.records {
        let record = entry.record().ok_or_else(|| invalid("not a record"))?;
        if !ids.insert(record.id()) {
            return Err(invalid("repeated id"));
        }
        records.push(record);
    }
    Ok(records)
}

impl Entry {
    fn record(self) -> Option<Record> {
        let id: TokenId = self.id.parse().ok()?;
        let kind = match self.kind {
            Kind::Grant => TokenKind::Grant,
            Kind::OneTime => TokenKind::OneTime,
            Kind::Runtime => TokenKind::Runtime,
        };
        let verifier = URL_SAFE_NO_PAD.decode(&self.verifier).ok()?;
        let verifier = Verifier::from_bytes(verifier.try_into().ok()?);
        let owner = self.principal.attributes.into_iter().fold(
            Principal::new(self.principal.kind, self.principal.subject),
            |owner, (name, value)| owner.with_attribute(name, value),
        );
        let time = |seconds| UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
        let (issued_at, expires_at) = (time(self.issued_at)?, time(self.expires_at)?);
        let digest = (self.key_version, verifier);
        Some(Record::of_digest(
            id, kind, digest, owner, issued_at, expires_at,
        ))
    }
}
