//! The documents of the tree, for tests that do what they say.
//!
//! A block of code in a document is held by a test in one of three ways. Rust is compiled as a doctest. Everything else
//! is asked for by a test that tries it ([`blocks`]), or it is in [`NOT_TRIED`]. A test of `docs` sees to it that
//! there is no block of a fourth kind.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Blocks that no test tries: the document, the first line of the block, and why.
pub const NOT_TRIED: &[(&str, &str, &str)] = &[
    ("README.md", "./test", "it runs every test, this one too"),
    (
        "docs/adr/0005-grant-chain.md",
        "root  = HMAC(pepper[key version of the record], \"tpg/c/1\" | id | salt of the record)",
        "formulas; `the_vectors_are_made_and_accepted_as_they_are_written` has another implementation's results",
    ),
    (
        "docs/migration.md",
        "let config = GovernorConfigBuilder::default()",
        "what readers have: tower_governor's code, in part pseudo code",
    ),
    (
        "docs/migration.md",
        "ValidateRequestHeaderLayer::bearer(\"one static secret\")",
        "what readers have: tower-http's code, two expressions without their surroundings",
    ),
    (
        "docs/migration.md",
        "RequestBodyLimitLayer::new(64 * 1024)",
        "what readers have: tower-http's code, two expressions without their surroundings",
    ),
    (
        "docs/migration.md",
        "req.Header().Set(\"X-Plugin-Runtime-ID\", runtimeID); req.Header().Set(\"Authorization\", \"Bearer \"+runtimeToken)",
        "Go; `broker` tests send what it sends",
    ),
];

/// A document, and where it is.
#[derive(Clone, Debug)]
pub struct Document {
    /// Where.
    pub path: PathBuf,
    /// What is in it.
    pub text: String,
}

/// A block of code in a document.
#[derive(Clone, Debug)]
pub struct Block {
    /// The document, from the root of the tree on.
    pub document: String,
    /// The heading above it.
    pub heading: String,
    /// What stands behind the fence.
    pub language: String,
    /// The number of the line of the fence.
    pub line: usize,
    /// What is between the fences, without the indentation of these.
    pub text: String,
}

/// Everything in Markdown.
#[must_use]
pub fn documents() -> Vec<Document> {
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

/// The blocks under a heading of a document that are to be tried: neither Rust nor [`NOT_TRIED`].
///
/// # Panics
///
/// If there are more or fewer.
#[must_use]
#[track_caller]
pub fn blocks<const N: usize>(document: &str, heading: &str) -> [Block; N] {
    let path = root().join(document);
    let text = fs::read_to_string(&path).unwrap();
    let found: Vec<_> = Document { path, text }
        .blocks()
        .into_iter()
        .filter(|block| block.heading == heading && block.is_to_try())
        .collect();
    let count = found.len();
    found
        .try_into()
        .unwrap_or_else(|_| panic!("{document}, {heading}: {count} blocks, where {N} are tried"))
}

/// The root of the tree.
#[must_use]
pub fn root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    root.unwrap().to_owned()
}

/// What is in a file of the tree.
#[must_use]
pub fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// Every file below a folder with this extension, but for what was built.
#[must_use]
pub fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
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

impl Document {
    /// Its name, from the root of the tree on.
    #[must_use]
    pub fn name(&self) -> String {
        let path = self.path.strip_prefix(root()).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Its code blocks.
    #[must_use]
    pub fn blocks(&self) -> Vec<Block> {
        let mut found = Vec::new();
        let mut heading = String::new();
        let mut open: Option<(usize, Block)> = None;
        for (number, line) in self.text.lines().enumerate() {
            let fence = line.trim_start().strip_prefix("```");
            open = match (open.take(), fence) {
                (None, None) => {
                    if line.starts_with('#') {
                        line.trim_start_matches('#').trim().clone_into(&mut heading);
                    }
                    None
                }
                (None, Some(language)) => {
                    let block = Block {
                        document: self.name(),
                        heading: heading.clone(),
                        language: language.to_owned(),
                        line: number + 1,
                        text: String::new(),
                    };
                    Some((line.len() - line.trim_start().len(), block))
                }
                (Some((_, block)), Some(_)) => {
                    found.push(block);
                    None
                }
                (Some((indent, mut block)), None) => {
                    block.text += line.get(indent..).unwrap_or_default();
                    block.text.push('\n');
                    Some((indent, block))
                }
            };
        }
        assert!(open.is_none(), "{}: a block is left open", self.name());
        found
    }

    /// What stands in backticks outside of code blocks, each with the number of its line.
    #[must_use]
    pub fn spans(&self) -> Vec<(usize, &str)> {
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
    #[must_use]
    pub fn at(&self, line: usize) -> String {
        format!("{}:{line}", self.path.display())
    }
}

impl Block {
    /// Whether a doctest compiles it.
    #[must_use]
    pub fn is_rust(&self) -> bool {
        self.language.split(',').next() == Some("rust")
    }

    /// Its lines.
    #[must_use]
    pub fn lines(&self) -> Vec<&str> {
        self.text.lines().collect()
    }

    /// Whether it is this entry of [`NOT_TRIED`].
    #[must_use]
    pub fn is(&self, (document, first, _): &(&str, &str, &str)) -> bool {
        self.document == *document && self.lines().first() == Some(first)
    }

    fn is_to_try(&self) -> bool {
        !self.is_rust() && !NOT_TRIED.iter().any(|entry| self.is(entry))
    }
}
