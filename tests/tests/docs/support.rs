use std::{
    fs,
    path::{Path, PathBuf},
};

/// A document, and where it is.
pub(crate) struct Document {
    pub(crate) path: PathBuf,
    pub(crate) text: String,
}

/// The root of the tree.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Everything in Markdown.
pub(crate) fn documents() -> Vec<Document> {
    let found: Vec<_> = files(&root(), "md")
        .into_iter()
        .map(|path| Document {
            text: fs::read_to_string(&path).unwrap(),
            path,
        })
        .collect();
    assert!(found.len() > 20, "{} documents were found", found.len());
    found
}

/// What is in a file of the tree.
pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

impl Document {
    /// Code blocks of this language, each with the number of the line before it.
    pub(crate) fn blocks(&self, language: &str) -> Vec<(usize, String)> {
        let mut found = Vec::new();
        let mut block: Option<(usize, bool, String)> = None;
        for (number, line) in self.text.lines().enumerate() {
            let fence = line.trim_start().strip_prefix("```");
            block = match (block.take(), fence) {
                (None, None) => None,
                (None, Some(found)) => Some((number + 1, found == language, String::new())),
                (Some((at, is_it, text)), Some(_)) => {
                    found.extend(is_it.then_some((at, text)));
                    None
                }
                (Some((at, is_it, text)), None) => Some((at, is_it, text + line.trim() + "\n")),
            };
        }
        found
    }

    /// What stands in backticks outside of code blocks, each with the number of its line.
    pub(crate) fn spans(&self) -> Vec<(usize, &str)> {
        let mut is_block = false;
        let mut found = Vec::new();
        for (number, line) in self.text.lines().enumerate() {
            if line.trim_start().starts_with("```") {
                is_block = !is_block;
            } else if !is_block {
                let spans = line.split('`').skip(1).step_by(2);
                found.extend(spans.map(|span| (number + 1, span)));
            }
        }
        found
    }

    /// A place in it, to tell.
    pub(crate) fn at(&self, line: usize) -> String {
        format!("{}:{line}", self.path.display())
    }
}

pub(crate) fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() {
            if name != "target" && !name.starts_with('.') {
                found.extend(files(&path, extension));
            }
        } else if path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
    found
}
