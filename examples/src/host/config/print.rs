//! What is in effect, as a file that can be read again.

use std::fmt::{self, Write};

use clap::{ArgAction, parser::ValueSource};

use super::{Settings, command, is_setting};

/// A setting that cannot be shown.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum PrintError {
    /// An address of Redis that holds a password where it may not.
    Password,
}

impl Settings {
    /// The settings in effect as TOML, without secrets.
    ///
    /// `secrets` are the environment variables that hold one and are set.
    ///
    /// # Errors
    ///
    /// [`PrintError`] if a secret stands where none may.
    pub fn print(&self, secrets: &[&str]) -> Result<String, PrintError> {
        let redis = self.options.redis.url.as_ref();
        if redis.is_some_and(|url| url.has_credentials()) {
            return Err(PrintError::Password);
        }
        let mut text = String::from("# What plugin-host runs on; a file for --config.\n");
        for variable in secrets {
            // Nothing fails that is written to a string.
            let _infallible = writeln!(text, "# In the environment, and not shown: {variable}");
        }
        let _infallible = self.write_all(&mut text);
        Ok(text)
    }

    fn write_all(&self, text: &mut String) -> fmt::Result {
        let mut heading = None;
        for arg in command().get_arguments().filter(|arg| is_setting(arg)) {
            if arg.get_help_heading() != heading.as_deref() {
                heading = arg.get_help_heading().map(str::to_owned);
                write!(text, "\n# {}\n", heading.as_deref().unwrap_or("General"))?;
            }
            let id = arg.get_id().as_str();
            let key = arg.get_long().unwrap_or_default();
            let values = self.matches.get_raw(id).into_iter().flatten();
            let mut values = values.map(|value| literal(&value.to_string_lossy()));
            let value = match arg.get_action() {
                ArgAction::SetTrue => Some(self.matches.get_flag(id).to_string()),
                ArgAction::Append => {
                    let values: Vec<_> = values.collect();
                    Some(format!("[{}]", values.join(", ")))
                }
                _ => values.next(),
            };
            match value {
                Some(value) => writeln!(text, "{key} = {value}{}", self.origin(id))?,
                None => writeln!(text, "# {key} is not set")?,
            }
        }
        Ok(())
    }

    /// Where the value of this flag came from, if it is not the default.
    fn origin(&self, id: &str) -> &'static str {
        match self.matches.value_source(id) {
            Some(ValueSource::CommandLine) => " # from the command line",
            Some(ValueSource::EnvVariable) => " # from the environment",
            _ if self.filed.iter().any(|filed| filed == id) => " # from the file",
            _ => "",
        }
    }
}

/// A number where it reads the same, else a basic string (TOML 1.0).
fn literal(text: &str) -> String {
    if text
        .parse::<i64>()
        .is_ok_and(|number| number.to_string() == text)
    {
        return text.to_owned();
    }
    let mut literal = String::from('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => literal.extend(['\\', character]),
            character if character.is_control() => {
                literal.push_str(&format!("\\u{:04X}", u32::from(character)));
            }
            character => literal.push(character),
        }
    }
    literal.push('"');
    literal
}

impl fmt::Display for PrintError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Password => super::super::options::OptionsError::Password.fmt(f),
        }
    }
}

impl std::error::Error for PrintError {}
