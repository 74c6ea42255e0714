//! The command line, the environment and a file, made into one configuration.
//!
//! There is one list of settings, that of the flags. Each can be set in the environment, under its name in
//! capitals after `PLUGIN_HOST_`, and in a TOML file, under its name without dashes. What the command line
//! says counts before the environment, that before the file, and that before the default.

use std::{ffi::OsString, fmt};

use clap::{Arg, ArgMatches, Command, CommandFactory, FromArgMatches, parser::ValueSource};

use super::Options;

mod check;
mod file;
mod print;

pub use file::FileError;
pub use print::PrintError;

/// The options in effect, and where each came from.
#[derive(Debug)]
pub struct Settings {
    /// The options.
    pub options: Options,
    matches: ArgMatches,
    /// The ids of those the file has set.
    filed: Vec<String>,
}

/// Why there are no options.
#[derive(Debug)]
#[non_exhaustive]
pub enum SettingsError {
    /// The command line or the environment is at fault, or help was asked for.
    Arguments(clap::Error),
    /// The file is.
    File(FileError),
}

impl Settings {
    /// Reads the arguments, the first of which is the program's name, the environment of the process and
    /// the file that either names.
    ///
    /// # Errors
    ///
    /// [`SettingsError`] if an argument, a variable or a key of the file is unknown or has no allowed
    /// value, or the file cannot be read.
    pub fn of(
        arguments: impl IntoIterator<Item = impl Into<OsString> + Clone>,
    ) -> Result<Self, SettingsError> {
        let arguments: Vec<OsString> = arguments.into_iter().map(Into::into).collect();
        let mut matches = command().try_get_matches_from(&arguments)?;
        let mut filed = Vec::new();
        if let Some(path) = Options::from_arg_matches(&matches)?.config {
            let given = file::read(&path, &command()).map_err(SettingsError::File)?;
            filed = given.iter().map(|(id, _)| id.clone()).collect();
            let command = file::apply(given, command(), |id| is_said(&matches, id));
            matches = command.try_get_matches_from(&arguments)?;
        }
        let options = Options::from_arg_matches(&matches)?;
        Ok(Self {
            options,
            matches,
            filed,
        })
    }
}

impl From<clap::Error> for SettingsError {
    fn from(error: clap::Error) -> Self {
        Self::Arguments(error)
    }
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Arguments(error) => error.fmt(f),
            Self::File(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for SettingsError {}

/// The flags, each with its variable.
fn command() -> Command {
    Options::command().mut_args(|arg| match arg.get_long() {
        Some(long) if !is_deed(&arg) => {
            let variable = format!("PLUGIN_HOST_{}", long.replace('-', "_").to_uppercase());
            arg.env(variable).hide_env_values(true)
        }
        _ => arg,
    })
}

/// Whether it says what to do, and not how.
fn is_deed(arg: &Arg) -> bool {
    matches!(arg.get_id().as_str(), "check" | "print_config")
}

/// Whether it can stand in a file.
fn is_setting(arg: &Arg) -> bool {
    arg.get_long().is_some() && !is_deed(arg) && arg.get_id() != "config"
}

/// Whether the command line or the environment says so.
fn is_said(matches: &ArgMatches, id: &str) -> bool {
    matches!(
        matches.value_source(id),
        Some(ValueSource::CommandLine | ValueSource::EnvVariable)
    )
}

#[cfg(test)]
mod tests;
