//! Settings in a TOML file.

use std::{
    collections::BTreeMap,
    fmt,
    io::{self, Read},
    ops::Range,
    path::{Path, PathBuf},
};

use clap::{Arg, ArgAction, Command};
use toml::{Spanned, Value};

use super::is_setting;
use crate::regular_file;

/// The values of one key, as they would be written in flags.
pub(super) type Given = Vec<(String, Vec<String>)>;

/// What is wrong with a file, and where.
#[derive(Debug)]
pub struct FileError {
    path: PathBuf,
    place: Option<Place>,
    fault: Fault,
}

#[derive(Debug)]
struct Place {
    line: usize,
    column: usize,
}

#[derive(Debug)]
enum Fault {
    /// What the file cannot say, and what it could.
    Key(String),
    /// A value that the flag of this name would not take, and why.
    Value(String, String),
    Syntax(String),
    Unreadable(io::Error),
}

/// Reads the settings of a file and tries each value as its flag would.
pub(super) fn read(path: &Path, command: &Command) -> Result<Given, FileError> {
    let unreadable = |error| FileError {
        path: path.to_owned(),
        place: None,
        fault: Fault::Unreadable(error),
    };
    let mut text = String::new();
    let file = regular_file::open(path).map_err(unreadable)?;
    file.take(MAX_FILE + 1)
        .read_to_string(&mut text)
        .map_err(unreadable)?;
    if text.len() as u64 > MAX_FILE {
        return Err(unreadable(io::Error::other("more than 1 MiB")));
    }
    parse(&text, command).map_err(|(span, fault)| FileError {
        path: path.to_owned(),
        place: span.map(|span| Place::of(&text, &span)),
        fault,
    })
}

/// Makes what the file says the defaults of flags that are not `said`.
///
/// Of settings that exclude each other, one that is said takes the place of all.
pub(super) fn apply(given: Given, command: Command, said: impl Fn(&str) -> bool) -> Command {
    given.into_iter().fold(command, |command, (id, values)| {
        let excluded = EXCLUSIVE
            .iter()
            .any(|group| group.contains(&id.as_str()) && group.iter().any(|one| said(one)));
        if excluded {
            return command;
        }
        command.mut_arg(id, |arg| arg.default_values(values))
    })
}

type Found<T> = Result<T, (Option<Range<usize>>, Fault)>;

fn parse(text: &str, command: &Command) -> Found<Given> {
    // Its own words would show the line, whatever is in it.
    let keys: BTreeMap<Spanned<String>, Spanned<Value>> = toml::from_str(text)
        .map_err(|error| (error.span(), Fault::Syntax(error.message().to_owned())))?;
    let mut given = Given::new();
    for (key, value) in keys {
        let arg = command
            .get_arguments()
            .find(|arg| is_setting(arg) && arg.get_long() == Some(key.get_ref()))
            .ok_or_else(|| (Some(key.span()), Fault::Key(key.get_ref().clone())))?;
        let span = value.span();
        let values = texts(arg, value.into_inner())
            .and_then(|values| try_out(arg, values))
            .map_err(|why| (Some(span), Fault::Value(key.into_inner(), why)))?;
        given.push((arg.get_id().to_string(), values));
    }
    Ok(given)
}

fn texts(arg: &Arg, value: Value) -> Result<Vec<String>, String> {
    let is_list = matches!(arg.get_action(), ArgAction::Append);
    let is_switch = matches!(arg.get_action(), ArgAction::SetTrue);
    match value {
        Value::Boolean(on) if is_switch => Ok(vec![on.to_string()]),
        _ if is_switch => Err("must be true or false".to_owned()),
        Value::String(text) if !is_list => Ok(vec![text]),
        Value::Integer(number) if !is_list => Ok(vec![number.to_string()]),
        Value::Array(values) if is_list => values
            .into_iter()
            .map(|value| match value {
                Value::String(text) => Ok(text),
                _ => Err("must be an array of strings".to_owned()),
            })
            .collect(),
        _ if is_list => Err("must be an array of strings".to_owned()),
        _ => Err("must be a string or a whole number".to_owned()),
    }
}

/// What the flag itself says of them.
fn try_out(arg: &Arg, values: Vec<String>) -> Result<Vec<String>, String> {
    if matches!(arg.get_action(), ArgAction::SetTrue) {
        return Ok(values);
    }
    let flag = format!("--{}", arg.get_long().unwrap_or_default());
    let mut words = vec!["plugin-host".to_owned()];
    words.extend(values.iter().map(|value| format!("{flag}={value}")));
    // Alone, without variables and defaults.
    let command = Command::new("plugin-host").arg(arg.clone().env(None).default_value(None));
    match command.try_get_matches_from(words) {
        Ok(_) => Ok(values),
        Err(error) => {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            Err(cause.unwrap_or_else(|| "is not a value it can have".to_owned()))
        }
    }
}

impl Place {
    fn of(text: &str, span: &Range<usize>) -> Self {
        let before = text.get(..span.start).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let column = before.get(line_start..).unwrap_or_default().chars().count();
        Self {
            line: before.matches('\n').count() + 1,
            column: column + 1,
        }
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "--config {}", self.path.display())?;
        if let Some(Place { line, column }) = &self.place {
            write!(f, ":{line}:{column}")?;
        }
        match &self.fault {
            Fault::Key(key) => write!(
                f,
                ": unknown key {key:?}: keys are the flags of --help, without dashes in front"
            ),
            Fault::Syntax(message) => write!(f, ": {message:?}"),
            Fault::Unreadable(error) => write!(f, ": {error}"),
            Fault::Value(key, why) => write!(f, ": {key}: {why}"),
        }
    }
}

impl std::error::Error for FileError {}

/// Ids of flags of which one counts.
const EXCLUSIVE: [&[&str]; 2] = [
    &["bootstrap_secret_file", "open_admission"],
    &["url", "file"],
];
const MAX_FILE: u64 = 1024 * 1024;
