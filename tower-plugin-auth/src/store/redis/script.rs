//! The scripts, each with what they share in front.

use ::redis::{Cmd, Script};

pub(super) struct Scripts {
    pub(super) insert: Atomic,
    pub(super) update: Atomic,
    pub(super) take: Atomic,
    pub(super) revoke: Atomic,
    pub(super) list: Atomic,
    pub(super) sweep: Atomic,
}

/// A script that Redis runs as one.
pub(in crate::store) struct Atomic {
    text: &'static str,
    hash: String,
}

macro_rules! script {
    ($file:literal) => {
        Atomic::new(concat!(
            include_str!("remove.lua"),
            "\n",
            include_str!($file)
        ))
    };
}

impl Scripts {
    pub(super) fn new() -> Self {
        Self {
            insert: script!("insert.lua"),
            update: script!("update.lua"),
            take: script!("take.lua"),
            revoke: script!("revoke.lua"),
            list: script!("list.lua"),
            sweep: script!("sweep.lua"),
        }
    }
}

impl Atomic {
    pub(in crate::store) fn new(text: &'static str) -> Self {
        Self {
            text,
            hash: Script::new(text).get_hash().to_owned(),
        }
    }

    /// By its hash, which is all that a server needs that has run it before.
    pub(super) fn by_hash(&self, call: &Call) -> Cmd {
        call.on(Cmd::new().arg("EVALSHA").arg(&self.hash))
    }

    /// In full, which teaches the server.
    pub(super) fn in_full(&self, call: &Call) -> Cmd {
        call.on(Cmd::new().arg("EVAL").arg(self.text))
    }
}

/// What a script is called with: a key, by which a cluster finds the place, and arguments.
pub(in crate::store) struct Call {
    key: String,
    args: Vec<Vec<u8>>,
}

impl Call {
    pub(in crate::store) fn new(key: String, tag: &str) -> Self {
        Self {
            key,
            args: vec![tag.as_bytes().to_vec()],
        }
    }

    pub(in crate::store) fn arg(mut self, arg: impl Into<Vec<u8>>) -> Self {
        self.args.push(arg.into());
        self
    }

    pub(in crate::store) fn number(self, number: u64) -> Self {
        self.arg(number.to_string())
    }

    fn on(&self, command: &mut Cmd) -> Cmd {
        command.arg(1).arg(&self.key).arg(&self.args);
        command.clone()
    }
}
