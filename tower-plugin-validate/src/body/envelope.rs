//! Engine: the lengths in a stream of length-prefixed messages, told while its bytes arrive.
//!
//! gRPC, gRPC-Web and Connect streams share the form: a byte of flags, a length of four bytes, big-endian, and
//! so many bytes of message. Nothing of a message is kept; of a prefix that comes in pieces, its five bytes.

/// Finds the prefixes in a stream.
///
/// # Examples
///
/// ```
/// use tower_plugin_validate::body::envelope::Envelopes;
///
/// let mut envelopes = Envelopes::default();
/// let (read, prefix) = envelopes.advance(b"\x00\x00\x00\x00\x02hi\x02");
/// let prefix = prefix.unwrap();
/// assert_eq!((read, prefix.flags(), prefix.length()), (5, 0, 2));
/// // The message, up to the next prefix.
/// assert_eq!(envelopes.advance(b"hi\x02"), (2, None));
/// // A prefix comes once it is whole.
/// assert_eq!(envelopes.advance(b"\x02"), (1, None));
/// assert_eq!(envelopes.pending_prefix(), b"\x02");
/// ```
#[derive(Clone, Debug, Default)]
pub struct Envelopes {
    prefix: [u8; PREFIX_BYTES],
    /// How much of the prefix is there; below its length only in the middle of one.
    held: usize,
    /// What is left of the message.
    left: u32,
}

impl Envelopes {
    /// Reads on from the front of `chunk`: how many bytes were read (0 only if `chunk` is empty),
    /// and the prefix they completed. They are all of a prefix or all of a message.
    #[must_use = "the rest of the chunk is still to be read"]
    pub fn advance(&mut self, chunk: &[u8]) -> (usize, Option<Prefix>) {
        if self.left > 0 {
            let read = chunk.len().min(self.left as usize);
            self.left -= read as u32;
            return (read, None);
        }
        let room = self.prefix.get_mut(self.held..).unwrap_or_default();
        let read = chunk.len().min(room.len());
        for (place, &byte) in room.iter_mut().zip(chunk) {
            *place = byte;
        }
        self.held += read;
        if self.held < PREFIX_BYTES {
            return (read, None);
        }
        self.held = 0;
        let [flags, length @ ..] = self.prefix;
        let prefix = Prefix {
            flags,
            length: u32::from_be_bytes(length),
        };
        self.left = prefix.length;
        (read, Some(prefix))
    }

    /// The part of a prefix that was read and is not whole yet.
    #[must_use]
    pub fn pending_prefix(&self) -> &[u8] {
        self.prefix.get(..self.held).unwrap_or_default()
    }

    /// Whether the stream may end here: not within a prefix or a message.
    #[must_use]
    pub const fn is_between_messages(&self) -> bool {
        self.held == 0 && self.left == 0
    }
}

/// What stands before a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Prefix {
    flags: u8,
    length: u32,
}

impl Prefix {
    /// Bit 0: the message is compressed. Connect's bit 1: it is the last, about the stream. gRPC-Web's bit 7:
    /// it is the trailers.
    #[must_use]
    pub const fn flags(self) -> u8 {
        self.flags
    }

    /// How many bytes of message follow, as they are on the wire.
    #[must_use]
    pub const fn length(self) -> u32 {
        self.length
    }
}

/// Connect's flag of the message that ends a stream.
pub(crate) const CONNECT_END: u8 = 0b10;
/// gRPC-Web's flag of the trailers.
pub(crate) const GRPC_WEB_TRAILERS: u8 = 0b1000_0000;

/// The length of a prefix.
pub const PREFIX_BYTES: usize = 5;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn prefixes(chunks: &[&[u8]]) -> (Vec<(u8, u32)>, bool) {
        let mut envelopes = Envelopes::default();
        let mut found = Vec::new();
        for &chunk in chunks {
            let mut rest = chunk;
            while !rest.is_empty() {
                let (read, prefix) = envelopes.advance(rest);
                assert!(read > 0, "no progress");
                found.extend(prefix.map(|p| (p.flags(), p.length())));
                rest = &rest[read..];
            }
        }
        (found, envelopes.is_between_messages())
    }

    #[test]
    fn an_empty_message_is_followed_by_the_next_prefix() {
        let bytes = b"\x00\x00\x00\x00\x00\x01\x00\x00\x00\x01x";
        assert_eq!(prefixes(&[bytes]), (vec![(0, 0), (1, 1)], true));
    }

    #[test]
    fn a_stream_that_stops_early_is_not_between_messages() {
        assert_eq!(prefixes(&[b"\x00\x00"]), (vec![], false));
        assert_eq!(prefixes(&[b"\x00\x00\x00\x00\x02x"]), (vec![(0, 2)], false));
    }

    proptest! {
        #[test]
        fn where_the_stream_is_cut_makes_no_difference(
            messages in prop::collection::vec((any::<u8>(), prop::collection::vec(any::<u8>(), 0..20)), 0..8),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        ) {
            let mut bytes = Vec::new();
            for (flags, message) in &messages {
                bytes.push(*flags);
                bytes.extend((message.len() as u32).to_be_bytes());
                bytes.extend(message);
            }
            let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let chunks: Vec<_> = cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]).collect();
            let expected: Vec<_> = messages.iter().map(|(f, m)| (*f, m.len() as u32)).collect();
            prop_assert_eq!(prefixes(&chunks), (expected, true));
        }
    }
}
