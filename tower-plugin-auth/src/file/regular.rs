//! Opens what is a regular file, and waits for nobody to do so.

use std::{
    fs::{File, Metadata, OpenOptions},
    io,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::Path,
};

use rustix::{fs::OFlags, io::Errno};

/// Whether a path may end in a link.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Links {
    /// What it leads to is looked at: that is how secrets and manifests are mounted in containers.
    #[cfg(feature = "manifest")]
    Follow,
    #[cfg(any(feature = "audit-file", feature = "encrypted-file"))]
    Refuse,
}

/// Opens a file; none if it is not regular, or a link where that is refused. One that is made has mode 0600.
///
/// What is at the path is opened and then looked at, so nobody can exchange it in between; and a pipe does not keep its
/// reader waiting for whoever is at the other end.
pub(crate) fn open_regular(
    path: &Path,
    options: &mut OpenOptions,
    links: Links,
) -> io::Result<Option<File>> {
    let flags = match links {
        #[cfg(feature = "manifest")]
        Links::Follow => OFlags::NONBLOCK,
        #[cfg(any(feature = "audit-file", feature = "encrypted-file"))]
        Links::Refuse => OFlags::NONBLOCK | OFlags::NOFOLLOW,
    };
    let flags = flags.bits().cast_signed();
    let file = match options.mode(0o600).custom_flags(flags).open(path) {
        // A link; a pipe that nobody reads, or a socket.
        Err(error)
            if matches!(
                Errno::from_io_error(&error),
                Some(Errno::LOOP | Errno::NXIO)
            ) =>
        {
            return Ok(None);
        }
        opened => opened?,
    };
    let is_regular = file.metadata()?.is_file();
    Ok(is_regular.then_some(file))
}

/// Whether only this user may read and write it.
pub(crate) fn is_private_to(metadata: &Metadata, user: u32) -> bool {
    metadata.mode() & 0o077 == 0 && metadata.uid() == user
}
