//! Verifies and reads the audit logs that `FileSink` writes.
//!
//! `cargo run --bin audit -- verify /var/log/app/audit --keys audit.keys`
//!
//! Keys come from files or the environment, never from the command line, which others can read. Such a file holds a
//! key a line, the active one first: a version, a space, and 64 hexadecimal digits.
//!
//! Exit codes: 0 if the log is intact (or was printed), 1 if something is wrong with it, 2 if it could not be read at
//! all, for want of a file, a permission or a key.

use std::{
    collections::VecDeque,
    error::Error,
    fs,
    io::{self, BufRead, BufReader, BufWriter, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Parser, Subcommand};
use tower_plugin_auth::{
    audit::{Anchor, FileKey, FileKeyRing, Report, Verifier, clear},
    token::{KeyRing, Pepper},
};
use zeroize::Zeroizing;

/// Verifies and reads audit logs.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Finds out whether somebody has changed a log, and where.
    Verify {
        /// The log, as the service was told (without `.00000001.jsonl`), or with `--file` one of its files.
        log: PathBuf,
        /// The keys it is chained under; `AUDIT_KEYS` otherwise.
        #[arg(long, value_name = "FILE")]
        keys: Option<PathBuf>,
        /// Where the head is, if not beside the log.
        #[arg(long, value_name = "FILE", conflicts_with = "file")]
        head: Option<PathBuf>,
        /// Older files were put away.
        #[arg(long)]
        pruned: bool,
        /// The log must have come to this number.
        #[arg(long, value_name = "NUMBER")]
        at_least: Option<u64>,
        /// The log must have this very line, as an earlier `verify` has named it.
        #[arg(long, value_name = "NUMBER:MAC")]
        anchor: Option<Anchor>,
        /// Look at one file alone.
        #[arg(long)]
        file: bool,
    },
    /// Prints lines of a file, decrypted where there are keys. It verifies nothing.
    Print {
        /// A file of a log.
        file: PathBuf,
        /// The keys to decrypt with; `AUDIT_CIPHER_KEYS` otherwise. None are needed for lines in clear.
        #[arg(long, value_name = "FILE")]
        cipher_keys: Option<PathBuf>,
        /// Only so many lines, from the end.
        #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..))]
        last: Option<u16>,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprint!("{error}");
            let mut source = error.source();
            while let Some(error) = source {
                eprint!(": {error}");
                source = error.source();
            }
            eprintln!();
            ExitCode::from(2)
        }
    }
}

fn run(command: Command) -> Result<ExitCode, Box<dyn Error>> {
    match command {
        Command::Verify {
            log,
            keys,
            head,
            pruned,
            at_least,
            anchor,
            file,
        } => {
            let keys = chain_keys(keys.as_deref())?;
            let mut verifier = Verifier::new(&keys);
            if let Some(head) = head {
                verifier = verifier.with_head(head);
            }
            if pruned {
                verifier = verifier.with_pruned();
            }
            if let Some(sequence) = at_least {
                verifier = verifier.with_at_least(sequence);
            }
            if let Some(anchor) = anchor {
                verifier = verifier.with_anchor(anchor);
            }
            let report = match file {
                true => verifier.file(log)?,
                false => verifier.log(log)?,
            };
            Ok(tell(&report))
        }
        Command::Print {
            file,
            cipher_keys,
            last,
        } => {
            let keys = cipher_ring(cipher_keys.as_deref())?;
            print(&file, keys.as_ref(), last.map(usize::from))
        }
    }
}

fn tell(report: &Report) -> ExitCode {
    for finding in report.findings() {
        println!("{finding}");
    }
    let kept = report.findings().len() as u64;
    if report.found() > kept {
        println!("and {} more", report.found() - kept);
    }
    let (first, last) = (report.first(), report.last());
    let number = |sequence: Option<u64>| sequence.map_or("none".to_owned(), |n| n.to_string());
    println!(
        "{} lines in {} files, numbers {} to {}: {}",
        report.lines(),
        report.files(),
        number(first),
        number(last),
        if report.is_intact() {
            "intact"
        } else {
            "NOT INTACT"
        },
    );
    if let Some(anchor) = report.anchor() {
        println!("anchor: {anchor}");
    }
    if report.is_being_written() {
        println!("the last line has no end: it is being written, or its writer was killed");
    }
    match report.is_intact() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

fn print(
    path: &Path,
    keys: Option<&FileKeyRing>,
    last: Option<usize>,
) -> Result<ExitCode, Box<dyn Error>> {
    let mut out = BufWriter::new(io::stdout().lock());
    let mut unreadable = false;
    let mut show = |number: u64, line: &str| -> io::Result<()> {
        let shown = match keys {
            Some(keys) => clear(line.as_bytes(), keys),
            None => Ok(line.as_bytes().into()),
        };
        match shown {
            Ok(line) => {
                out.write_all(&line)?;
                out.write_all(b"\n")
            }
            Err(error) => {
                unreadable = true;
                eprintln!("line {number}: {error}");
                Ok(())
            }
        }
    };
    let lines = (1..).zip(BufReader::new(fs::File::open(path)?).lines());
    if let Some(last) = last {
        let mut kept = VecDeque::with_capacity(last);
        for (number, line) in lines {
            if kept.len() == last {
                kept.pop_front();
            }
            kept.push_back((number, line?));
        }
        for (number, line) in &kept {
            show(*number, line)?;
        }
    } else {
        for (number, line) in lines {
            show(number, &line?)?;
        }
    }
    out.flush()?;
    Ok(match unreadable {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    })
}

fn chain_keys(file: Option<&Path>) -> Result<KeyRing, Box<dyn Error>> {
    let keys = keys(file, "AUDIT_KEYS")?.ok_or("no keys: --keys FILE or AUDIT_KEYS")?;
    let mut peppers = keys
        .iter()
        .map(|(version, key)| Pepper::new(*version, &key[..]));
    let active = peppers.next().ok_or("no key")??;
    Ok(KeyRing::new(
        active,
        peppers.collect::<Result<Vec<_>, _>>()?,
    )?)
}

fn cipher_ring(file: Option<&Path>) -> Result<Option<FileKeyRing>, Box<dyn Error>> {
    let Some(keys) = keys(file, "AUDIT_CIPHER_KEYS")? else {
        return Ok(None);
    };
    let mut keys = keys
        .iter()
        .map(|(version, key)| FileKey::new(*version, &key[..]));
    let active = keys.next().ok_or("no key")??;
    let others = keys.collect::<Result<Vec<_>, _>>()?;
    Ok(Some(FileKeyRing::new(active, others)?))
}

type Keys = Vec<(u32, Zeroizing<[u8; 32]>)>;

fn keys(file: Option<&Path>, variable: &str) -> Result<Option<Keys>, Box<dyn Error>> {
    let text = match file {
        Some(file) => Zeroizing::new(fs::read_to_string(file)?),
        None => match std::env::var(variable) {
            Ok(text) => Zeroizing::new(text),
            Err(_) => return Ok(None),
        },
    };
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    let keys: Option<Keys> = lines.map(key).collect();
    // What is wrong is not repeated: it may be all of a key but a digit.
    keys.map(Some)
        .ok_or_else(|| "a key is a version, a space and 64 hexadecimal digits".into())
}

fn key(line: &str) -> Option<(u32, Zeroizing<[u8; 32]>)> {
    let (version, digits) = line.trim().split_once(' ')?;
    if digits.len() != 64 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut key = Zeroizing::new([0; 32]);
    for (byte, pair) in key.iter_mut().zip(digits.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some((version.parse().ok()?, key))
}
