//! A manifest against the keys, the authors and the files.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use clap::Args;
use tower_plugin_auth::admission::manifest::{ManifestPolicy, PluginEntry, TrustedKeys};
use tower_plugin_core::{Clock, SystemClock};

use crate::{Failure, Limits, WIDEST, files};

#[derive(Args)]
pub(crate) struct Verify {
    /// The manifest. It may be one of the files of the directory.
    #[arg(long)]
    manifest: PathBuf,
    /// The directory of the plugins: it has to hold what the manifest lists, and nothing else.
    #[arg(long)]
    directory: PathBuf,
    /// A file `keygen` has made: FILE.pub.
    #[arg(long, required = true, value_name = "FILE.pub")]
    trusted_key: Vec<PathBuf>,
    /// An author to trust.
    #[arg(long, required_unless_present = "allow_untrusted")]
    trusted_author: Vec<String>,
    /// Trust every author the manifest names.
    #[arg(long, conflicts_with = "trusted_author")]
    allow_untrusted: bool,
    #[command(flatten)]
    limits: Limits,
}

impl Verify {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let mut keys = TrustedKeys::new();
        for path in &self.trusted_key {
            let text = files::read(path, 4096)?;
            let (id, key) =
                read_key(&text).ok_or_else(|| Failure::file(path, "not a public key"))?;
            keys = keys
                .with_key(id, &key)
                .map_err(|error| Failure::file(path, error))?;
        }
        let json = files::read(&self.manifest, WIDEST.max_bytes())?;
        let manifest = ManifestPolicy::new(keys)
            .with_limits(self.limits.get())
            .verify(&json, SystemClock::new().wall())
            .map_err(|error| Failure::unsound(error.to_string()))?;

        // Everything that is wrong, and not only the first.
        let mut problems = Vec::new();
        let mut present = self.present()?;
        for plugin in manifest.manifest().plugins() {
            let is_there = present.remove(&OsString::from(plugin.filename()));
            problems.extend(self.check(plugin, is_there));
            if !self.allow_untrusted && !self.trusted_author.iter().any(|it| it == plugin.author())
            {
                problems.push(format!(
                    "{}: author {:?} is not trusted",
                    plugin.filename(),
                    plugin.author()
                ));
            }
        }
        let extra = present.into_keys();
        problems.extend(extra.map(|name| format!("{name:?} is not in the manifest")));
        if !problems.is_empty() {
            return Err(Failure::Unsound(problems));
        }
        println!(
            "{} plugins, all as signed",
            manifest.manifest().plugins().len()
        );
        Ok(())
    }

    /// The names in the directory but for the manifest's own, and whether they are regular files.
    fn present(&self) -> Result<BTreeMap<OsString, bool>, Failure> {
        let failed = |error| Failure::file(&self.directory, error);
        let manifest = fs::canonicalize(&self.manifest).map_err(failed)?;
        let mut present = BTreeMap::new();
        for entry in fs::read_dir(&self.directory).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let is_file = entry.file_type().map_err(failed)?.is_file();
            if !is_file || fs::canonicalize(entry.path()).map_err(failed)? != manifest {
                present.insert(entry.file_name(), is_file);
            }
        }
        Ok(present)
    }

    fn check(&self, plugin: &PluginEntry, is_there: Option<bool>) -> Option<String> {
        let name = plugin.filename();
        match is_there {
            None => return Some(format!("{name} is missing")),
            // A link may lead elsewhere tomorrow.
            Some(false) => return Some(format!("{name} is not a regular file")),
            Some(true) => {}
        }
        let path: PathBuf = Path::new(&self.directory).join(name);
        match files::measure(&path, self.limits.max_artifact_bytes) {
            Err(error) => Some(format!("{name}: {error}")),
            Ok(artifact) if artifact.size() != plugin.size() => Some(format!(
                "{name} has {} bytes, not {}",
                artifact.size(),
                plugin.size()
            )),
            Ok(artifact) if artifact.sha256() != plugin.sha256() => {
                Some(format!("{name} has other contents"))
            }
            Ok(_) => None,
        }
    }
}

fn read_key(text: &[u8]) -> Option<(&str, [u8; 32])> {
    let (id, key) = str::from_utf8(text).ok()?.trim_end().split_once(' ')?;
    Some((id, STANDARD.decode(key).ok()?.try_into().ok()?))
}
