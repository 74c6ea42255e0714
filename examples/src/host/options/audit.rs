use std::path::PathBuf;

use tower_plugin_auth::audit::GrantUses;

use super::{Keys, OptionsError, SecretText, keys::Origin};

/// Where what somebody may have to account for is written down.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Audit")]
pub struct AuditOptions {
    /// Write down every refusal, and what happens to tokens, to grants and at the door, in the files
    /// FILE.00000001.jsonl and so on; `audit` verifies and reads them.
    #[arg(long, value_name = "FILE")]
    pub audit_file: Option<PathBuf>,

    /// Regular file of the keys that the lines are chained under, one a line, the active one first: a
    /// number, a space and 64 hexadecimal digits. Best where whoever can write the log cannot read.
    ///
    /// It may be the environment variable PLUGIN_HOST_AUDIT_KEYS instead.
    #[arg(long, value_name = "FILE")]
    pub audit_key_file: Option<PathBuf>,

    /// Which uses of grants are written down: counted (of grants that are for so many uses), all, which is a line for
    /// each call to a capability, or none. Refused ones are in any case.
    #[arg(long, value_name = "WHICH", default_value = "counted", value_parser = grant_uses)]
    pub audit_grant_uses: GrantUses,

    /// The value of [`AUDIT_KEYS_VARIABLE`], if it is set.
    #[arg(skip)]
    pub environment: Option<SecretText>,
}

/// Where what somebody may have to account for is written down.
#[derive(Clone, Debug)]
pub struct AuditConfig {
    /// The log, without what is appended to the names of its files.
    pub path: PathBuf,
    /// What its lines are chained under.
    pub keys: Keys,
    /// Which uses of grants are among it.
    pub grant_uses: GrantUses,
}

/// The environment variable that may hold the keys of the audit log.
pub const AUDIT_KEYS_VARIABLE: &str = "PLUGIN_HOST_AUDIT_KEYS";

impl AuditOptions {
    pub(in crate::host) fn config(&self) -> Result<Option<AuditConfig>, OptionsError> {
        let origin = Origin {
            flag: "--audit-key-file",
            variable: AUDIT_KEYS_VARIABLE,
        };
        let file = self.audit_key_file.as_deref();
        match &self.audit_file {
            Some(path) => {
                let keys = Keys::load(origin, file, self.environment.as_ref())?;
                Ok(Some(AuditConfig {
                    path: path.clone(),
                    keys: keys.ok_or(OptionsError::NoAuditKeys)?,
                    grant_uses: self.audit_grant_uses,
                }))
            }
            // The variable may be there for another copy.
            None if file.is_some() => Err(OptionsError::NoAudit),
            None => Ok(None),
        }
    }
}

fn grant_uses(text: &str) -> Result<GrantUses, &'static str> {
    match text {
        "all" => Ok(GrantUses::All),
        "counted" => Ok(GrantUses::Counted),
        "none" => Ok(GrantUses::None),
        _ => Err("must be counted, all or none"),
    }
}
