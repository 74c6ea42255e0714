//! Engine: what the plugins of a manifest have to do with each other.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::{ManifestError, ManifestErrorKind, PluginEntry, Timestamp};

/// What no plugin can get wrong by itself.
pub(super) fn check_together(
    plugins: &[PluginEntry],
    generated_at: Timestamp,
) -> Result<(), ManifestError> {
    let fail = |kind: ManifestErrorKind, index| Err(ManifestError::from(kind).of_plugin(index));
    let names: BTreeSet<_> = plugins
        .iter()
        .map(|plugin| plugin.name().as_str())
        .collect();
    let (mut files, mut versions) = (HashSet::new(), HashSet::new());
    for (index, plugin) in plugins.iter().enumerate() {
        // On some systems these are one file.
        if !files.insert(plugin.filename().to_ascii_lowercase()) {
            return fail(ManifestErrorKind::DuplicateFilename, index);
        }
        if !versions.insert((plugin.name(), plugin.version())) {
            return fail(ManifestErrorKind::DuplicatePlugin, index);
        }
        let is_listed = |name: &str| names.contains(name) && name != plugin.name().as_str();
        if !plugin.dependencies().all(|name| is_listed(name.as_str())) {
            return fail(ManifestErrorKind::UnknownDependency, index);
        }
        if plugin
            .modified()
            .is_some_and(|modified| modified > generated_at)
        {
            return Err(
                ManifestError::invalid("modified", "not after generated_at").of_plugin(index)
            );
        }
    }
    check_order(plugins)
}

/// Whether there is an order in which every plugin comes after those it depends on: what can be admitted is
/// taken away until nothing is left, or nothing can be.
fn check_order(plugins: &[PluginEntry]) -> Result<(), ManifestError> {
    let mut waiting: Vec<(usize, usize)> = Vec::with_capacity(plugins.len());
    let mut needed_by: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, plugin) in plugins.iter().enumerate() {
        let needs: BTreeSet<_> = plugin.dependencies().map(|name| name.as_str()).collect();
        waiting.push((index, needs.len()));
        for name in needs {
            needed_by.entry(name).or_default().push(index);
        }
    }
    let is_free = |(_, needs): &&(usize, usize)| *needs == 0;
    let mut free: Vec<usize> = waiting
        .iter()
        .filter(is_free)
        .map(|(index, _)| *index)
        .collect();
    let mut done = 0;
    while let Some(index) = free.pop() {
        done += 1;
        // Of several versions of a plugin one is enough.
        let name = plugins
            .get(index)
            .map_or("", |plugin| plugin.name().as_str());
        for dependent in needed_by.remove(name).unwrap_or_default() {
            if let Some((_, needs)) = waiting.get_mut(dependent) {
                *needs -= 1;
                if *needs == 0 {
                    free.push(dependent);
                }
            }
        }
    }
    match done == plugins.len() {
        true => Ok(()),
        false => Err(ManifestErrorKind::DependencyCycle.into()),
    }
}
