//! Engine: the bytes of a record, for stores that keep bytes.

use std::{fmt, num::NonZeroU32, sync::Arc};

use super::GrantRecord;
use crate::{
    authorize::Permission,
    grant::{Holder, Thumbprint, mint::Salt},
    token::{Reader, Writer},
    wiped::Wiped,
};

impl GrantRecord {
    /// Everything there is to know of it, but for the links that were revoked: those change, and a store keeps them
    /// beside it.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Writer::with_capacity(256);
        out.byte(FORMAT);
        out.bytes(self.id.as_bytes());
        out.bytes(&self.key_version.to_be_bytes());
        out.bytes(&*self.salt.0);
        match self.holder {
            Holder::Bearer => out.byte(b'b'),
            Holder::Certificate(thumbprint) => {
                out.byte(b'c');
                out.bytes(thumbprint.as_bytes());
            }
            Holder::Principal => out.byte(b'p'),
        }
        out.text(&self.capability);
        out.text(&self.version);
        for list in [&self.permissions, &self.scope] {
            out.count(list.len());
            list.iter()
                .for_each(|permission| out.text(&permission.to_string()));
        }
        out.text(&self.reason);
        out.option(self.max_uses, |out, count| {
            out.bytes(&count.get().to_be_bytes());
        });
        out.time(self.issued_at);
        out.time(self.expires_at);
        out.principal(&self.principal);
        out.into_bytes()
    }

    /// Reads back what [`to_bytes`](Self::to_bytes) wrote.
    ///
    /// # Errors
    ///
    /// [`InvalidGrantRecord`] if these are not the bytes of a record, or more than those.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InvalidGrantRecord> {
        let mut reader = Reader::new(bytes);
        let record = read(&mut reader).ok_or(InvalidGrantRecord(()))?;
        reader
            .is_at_end()
            .then_some(record)
            .ok_or(InvalidGrantRecord(()))
    }
}

fn read(reader: &mut Reader<'_>) -> Option<GrantRecord> {
    if reader.byte()? != FORMAT {
        return None;
    }
    let id = reader.id()?;
    let key_version = u32::from_be_bytes(*reader.array()?);
    let salt = Salt(Wiped::new(*reader.array()?));
    let holder = match reader.byte()? {
        b'b' => Holder::Bearer,
        b'c' => Holder::Certificate(Thumbprint::from_bytes(*reader.array()?)),
        b'p' => Holder::Principal,
        _ => return None,
    };
    let capability = reader.text()?.into();
    let version = reader.text()?.into();
    let (permissions, scope) = (list(reader)?, list(reader)?);
    let reason = reader.text()?.into();
    let max_uses = reader.option(|reader| {
        let count = u32::from_be_bytes(*reader.array()?);
        NonZeroU32::new(count)
    })?;
    let (issued_at, expires_at) = (reader.time()?, reader.time()?);
    Some(GrantRecord {
        id,
        key_version,
        salt,
        principal: reader.principal()?,
        holder,
        capability,
        version,
        permissions,
        scope,
        reason,
        max_uses,
        issued_at,
        expires_at,
        revoked: Arc::default(),
    })
}

fn list(reader: &mut Reader<'_>) -> Option<Vec<Permission>> {
    let count = reader.count().filter(|count| *count <= MAX_PERMISSIONS)?;
    (0..count).map(|_| reader.text()?.parse().ok()).collect()
}

/// Bytes that are not a record's.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct InvalidGrantRecord(());

impl fmt::Display for InvalidGrantRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not the bytes of a grant record")
    }
}

impl std::error::Error for InvalidGrantRecord {}

/// The most of each list; a grant that is issued has fewer.
const MAX_PERMISSIONS: usize = 64;

/// The first byte; another one is another form.
const FORMAT: u8 = 1;
