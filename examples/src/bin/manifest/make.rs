//! Keys, manifests and signatures.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use clap::Args;
use tower_plugin_auth::{
    SystemRng,
    admission::manifest::{
        BuildInfo, ManifestBuilder, ManifestError, ManifestKey, PluginEntry, Timestamp,
        TrustedKeys, sign,
    },
    token::{InvalidSelfId, SelfId},
};
use tower_plugin_core::{Clock, SystemClock};
use zeroize::Zeroizing;

use crate::{Failure, Limits, WIDEST, files};

pub(crate) fn keygen(key_id: &str, output: &Path) -> Result<(), Failure> {
    let key = ManifestKey::generate(&SystemRng).map_err(|error| Failure::file(output, error))?;
    // The id is one, and hosts will take the key.
    let trusted = TrustedKeys::new().with_key(key_id, &key.public_key());
    if let Err(error) = trusted {
        return Err(Failure::unsound(error.to_string()));
    }
    let public_key = STANDARD.encode(key.public_key());
    let seed = Zeroizing::new(STANDARD.encode(key.expose_seed()));
    let text = Zeroizing::new(format!("{key_id} {}\n", *seed));
    let mut public = output.as_os_str().to_owned();
    public.push(".pub");
    let public = PathBuf::from(public);
    // Both or none: a key without its other half helps nobody.
    if public.exists() {
        return Err(Failure::file(&public, "exists already"));
    }
    files::create(output, text.as_bytes(), true)?;
    files::create(
        &public,
        format!("{key_id} {public_key}\n").as_bytes(),
        false,
    )?;
    println!("\"trusted_keys\": {{\"{key_id}\": \"{public_key}\"}}");
    Ok(())
}

pub(crate) fn sign_file(manifest: &Path, key: &Path) -> Result<(), Failure> {
    let text = files::read_private(key, 4096)?;
    let (key_id, key) = read_key(&text)
        .ok_or_else(|| Failure::file(key, "not a private key that keygen has made"))?;
    let json = files::read(manifest, WIDEST.max_bytes())?;
    let signed =
        sign(&json, key_id, &key, &WIDEST).map_err(|error| Failure::unsound(error.to_string()))?;
    files::replace(manifest, &signed)?;
    println!("signed under {key_id}");
    Ok(())
}

fn read_key(text: &[u8]) -> Option<(&str, ManifestKey)> {
    let (key_id, seed) = str::from_utf8(text).ok()?.trim_end().split_once(' ')?;
    let seed = Zeroizing::new(STANDARD.decode(seed).ok()?);
    let seed: &[u8; ManifestKey::LEN] = seed.as_slice().try_into().ok()?;
    Some((key_id, ManifestKey::from_seed(seed)))
}

#[derive(Args)]
pub(crate) struct Generate {
    /// The directory whose files are the plugins. Each is named after its file, without the extension.
    #[arg(long)]
    directory: PathBuf,
    /// Who has made them. Nobody trusts an author for being named here.
    #[arg(long)]
    author: String,
    /// The version of all of them, but for those of --version-of.
    #[arg(long)]
    plugin_version: String,
    /// The version of one of them.
    #[arg(long, value_name = "NAME=VERSION", value_parser = pair)]
    version_of: Vec<(String, String)>,
    /// A plugin that has to be there before another one.
    #[arg(long, value_name = "NAME=DEPENDENCY", value_parser = pair)]
    depends: Vec<(String, String)>,
    /// The environment they were built for.
    #[arg(long)]
    environment: Option<String>,
    /// The same source gives the same bytes.
    #[arg(long, requires = "environment")]
    reproducible: bool,
    /// The commit they were built from.
    #[arg(long, requires = "environment")]
    git_commit: Option<String>,
    /// For how many days hosts are to take it.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=3650))]
    valid_days: Option<u32>,
    /// The manifest to make. One that exists is never overwritten.
    #[arg(long)]
    output: PathBuf,
    #[command(flatten)]
    limits: Limits,
}

impl Generate {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let limits = self.limits.get();
        let clock = SystemClock::new();
        let instant = |after: Duration| {
            let instant = clock.wall().checked_add(after).and_then(Timestamp::of);
            instant.ok_or_else(|| Failure::unsound("the clock is wrong"))
        };
        let now = instant(Duration::ZERO)?;
        let mut builder = ManifestBuilder::new(now, GENERATED_BY);
        if let Some(days) = self.valid_days {
            let days = Duration::from_secs(u64::from(days) * 24 * 60 * 60);
            builder = builder.with_not_after(instant(days)?);
        }
        let mut versions: BTreeMap<_, _> = self.version_of.iter().cloned().collect();
        let mut depends = self.depends.clone();
        for path in self.files()? {
            let entry = self.describe(&path, &mut versions, &mut depends)?;
            builder = builder.with_plugin(entry);
        }
        // A name that was mistyped would leave a plugin with the wrong version, or free of its dependency.
        let mut unused = versions
            .into_keys()
            .chain(depends.into_iter().map(|(name, _)| name));
        if let Some(name) = unused.next() {
            return Err(Failure::unsound(format!("no file is the plugin {name:?}")));
        }
        let json = builder
            .to_json(&limits)
            .map_err(|error| Failure::unsound(error.to_string()))?;
        files::create(&self.output, &json, false)?;
        println!("not signed, so it admits nobody: read it, then sign it");
        Ok(())
    }

    /// The files, sorted. What is neither a file nor the manifest has no business there.
    fn files(&self) -> Result<Vec<PathBuf>, Failure> {
        let failed = |error| Failure::file(&self.directory, error);
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.directory).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if !entry.file_type().map_err(failed)?.is_file() {
                let name = entry.file_name();
                return Err(Failure::unsound(format!("{name:?} is not a regular file")));
            }
            files.push(entry.path());
        }
        files.sort();
        Ok(files)
    }

    fn describe(
        &self,
        path: &Path,
        versions: &mut BTreeMap<String, String>,
        depends: &mut Vec<(String, String)>,
    ) -> Result<PluginEntry, Failure> {
        let text = |part: Option<&std::ffi::OsStr>| Some(part?.to_str()?.to_owned());
        let names = text(path.file_stem()).zip(text(path.file_name()));
        let (name, filename) =
            names.ok_or_else(|| Failure::unsound(format!("{path:?} has no name")))?;
        let artifact = files::measure(path, self.limits.max_artifact_bytes)
            .map_err(|error| Failure::file(path, error))?;
        let version = versions.remove(&name);
        let version = version.as_deref().unwrap_or(&self.plugin_version);
        let of_this = |error: ManifestError| Failure::unsound(format!("{filename:?}: {error}"));
        let mut entry =
            PluginEntry::new(&name, version, &filename, artifact, &self.author).map_err(of_this)?;
        let (ours, others): (Vec<_>, _) = std::mem::take(depends)
            .into_iter()
            .partition(|(plugin, _)| *plugin == name);
        *depends = others;
        let needs = ours.iter().map(|(_, needed)| needed.parse::<SelfId>());
        let needs: Vec<_> = needs
            .collect::<Result<_, InvalidSelfId>>()
            .map_err(|error| Failure::unsound(error.to_string()))?;
        entry = entry.with_dependencies(needs);
        if let Some(environment) = &self.environment {
            let mut build = BuildInfo::new(environment)
                .map_err(|error| Failure::unsound(error.to_string()))?
                .with_reproducible(self.reproducible);
            if let Some(commit) = &self.git_commit {
                build = build
                    .with_git_commit(commit)
                    .map_err(|error| Failure::unsound(error.to_string()))?;
            }
            entry = entry.with_build_info(build);
        }
        Ok(entry)
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("must be NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

const GENERATED_BY: &str = concat!("tower-plugin manifest ", env!("CARGO_PKG_VERSION"));
