//! Makes, signs and checks the manifests by which a host admits plugins.

mod check;
mod files;
mod make;

use std::{error::Error, path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand};
use tower_plugin_auth::admission::manifest::{Manifest, ManifestLimits};

/// Makes, signs and checks the manifests by which a host admits plugins.
///
/// Generating says what is there; signing says that somebody stands up for it. They are two steps, so that nobody
/// blesses what was tampered with by describing it.
#[derive(Parser)]
#[command(
    version,
    after_help = "Exit status: 0 done, or all is as the manifest says; 1 something is not as it should be, all of it \
                  listed on standard output; 2 wrong usage; 3 a file could not be read or written, or was in the way"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Draws a private key into a new file that only its owner may read, and its public key into FILE.pub.
    Keygen {
        /// The id by which manifests name the key.
        #[arg(long)]
        key_id: String,
        /// The file to make. One that exists is never overwritten.
        #[arg(long)]
        output: PathBuf,
    },
    /// Describes every file of a directory in a manifest that nobody has signed.
    Generate(make::Generate),
    /// Signs a manifest, in its place.
    Sign {
        /// The manifest. Read it before.
        #[arg(long)]
        manifest: PathBuf,
        /// The file `keygen` has made. There is no other way to hand in a key.
        #[arg(long)]
        key: PathBuf,
    },
    /// Checks a manifest as a host does, and every file of a directory against it.
    Verify(check::Verify),
    /// Shows what a manifest says. Nothing of it is checked.
    List {
        /// The manifest.
        #[arg(long)]
        manifest: PathBuf,
    },
}

/// How large manifests and plugins may be; a host's own limits may be lower.
#[derive(Args, Clone, Copy)]
struct Limits {
    /// The most bytes one plugin may have.
    #[arg(long, default_value_t = ManifestLimits::new().max_artifact_bytes())]
    max_artifact_bytes: u64,
}

impl Limits {
    fn get(self) -> ManifestLimits {
        WIDEST.with_max_artifact_bytes(self.max_artifact_bytes)
    }
}

/// What no host exceeds.
const WIDEST: ManifestLimits = ManifestLimits::new()
    .with_max_bytes(16 << 20)
    .with_max_plugins(10_000)
    .with_max_artifact_bytes(1 << 40);

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Keygen { key_id, output } => make::keygen(&key_id, &output),
        Command::Generate(generate) => generate.run(),
        Command::Sign { manifest, key } => make::sign_file(&manifest, &key),
        Command::Verify(verify) => verify.run(),
        Command::List { manifest } => list(&manifest),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Unsound(problems)) => {
            for problem in problems {
                println!("{problem}");
            }
            ExitCode::from(1)
        }
        Err(Failure::File(path, error)) => {
            eprintln!("{path:?}: {error}");
            let mut source = error.source();
            while let Some(cause) = source {
                eprintln!("  {cause}");
                source = cause.source();
            }
            ExitCode::from(3)
        }
    }
}

fn list(path: &std::path::Path) -> Result<(), Failure> {
    let json = files::read(path, WIDEST.max_bytes())?;
    let manifest =
        Manifest::parse(&json, &WIDEST).map_err(|error| Failure::unsound(error.to_string()))?;
    println!(
        "generated at {} by {}",
        manifest.generated_at(),
        manifest.generated_by()
    );
    match manifest.key_id() {
        Some(key_id) => println!("says to be signed under {key_id}; not checked"),
        None => println!("not signed"),
    }
    for plugin in manifest.plugins() {
        println!(
            "{} {} {} {} bytes, by {}",
            plugin.name(),
            plugin.version(),
            plugin.filename(),
            plugin.size(),
            plugin.author()
        );
    }
    Ok(())
}

/// Why a command did not do what it was to do.
enum Failure {
    /// What is in the files is not as it should be.
    Unsound(Vec<String>),
    /// There is no getting at the files.
    File(PathBuf, Box<dyn Error>),
}

impl Failure {
    fn unsound(problem: impl Into<String>) -> Self {
        Self::Unsound(vec![problem.into()])
    }

    fn file(path: &std::path::Path, error: impl Into<Box<dyn Error>>) -> Self {
        Self::File(path.to_owned(), error.into())
    }
}
