//! Engine: the message that ends a stream, held back while all others pass.
//!
//! Connect and gRPC-Web tell how a call ended in a last message of the body, known by a flag in its prefix. It is held back
//! until it is whole; bytes of a prefix that is cut in two are held back until it is known which kind it is.

use bytes::{Bytes, BytesMut};

use crate::body::envelope::{Envelopes, PREFIX_BYTES};

/// Follows one stream.
#[derive(Debug)]
pub(super) struct Tail {
    envelopes: Envelopes,
    end_flag: u8,
    end: Option<Held>,
}

/// The end of the stream, as much as is there.
#[derive(Debug)]
struct Held {
    flags: u8,
    length: usize,
    /// With its prefix. Stays empty if it is too long to hold.
    bytes: BytesMut,
    is_complete: bool,
}

/// What a chunk came to.
#[derive(Debug, Default, Eq, PartialEq)]
pub(super) struct Fed {
    /// To be sent on, in this order; either may be empty.
    pub(super) pass: [Bytes; 2],
    pub(super) end: Option<End>,
}

/// The whole message that ends a stream.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct End {
    pub(super) flags: u8,
    /// Prefix and message; none if it was too long to hold.
    pub(super) envelope: Option<Bytes>,
}

impl End {
    /// The message, if it was held and is not compressed.
    pub(super) fn message(&self) -> Option<&[u8]> {
        let message = self.envelope.as_ref()?.get(PREFIX_BYTES..)?;
        (self.flags & COMPRESSED == 0).then_some(message)
    }
}

impl Tail {
    /// A stream that ends in a message with `end_flag`.
    pub(super) fn new(end_flag: u8) -> Self {
        Self {
            envelopes: Envelopes::default(),
            end_flag,
            end: None,
        }
    }

    /// Reads on. What comes after the end is dropped.
    pub(super) fn feed(&mut self, chunk: Bytes) -> Fed {
        if self.end.is_some() {
            return Fed {
                pass: [Bytes::new(), Bytes::new()],
                end: self.hold(&chunk),
            };
        }
        let mut lead = Bytes::new();
        let mut at = 0;
        while let Some(rest) = chunk.get(at..).filter(|rest| !rest.is_empty()) {
            let pending = self.envelopes.pending_prefix();
            // Of a prefix that began in an earlier chunk; what is in this one is sent with this one.
            let held_back = match at {
                0 => Bytes::copy_from_slice(pending),
                _ => Bytes::new(),
            };
            let (read, prefix) = self.envelopes.advance(rest);
            let Some(prefix) = prefix else {
                if !self.envelopes.pending_prefix().is_empty() {
                    // The chunk ends in the middle of a prefix.
                    return Fed::passing(lead, chunk.slice(..at));
                }
                at += read;
                continue;
            };
            if prefix.flags() & self.end_flag == 0 {
                if at == 0 {
                    lead = held_back;
                }
                at += read;
                continue;
            }
            return self.begin_end(
                prefix.flags(),
                prefix.length() as usize,
                &chunk,
                at,
                read,
                lead,
            );
        }
        Fed::passing(lead, chunk)
    }

    fn begin_end(
        &mut self,
        flags: u8,
        length: usize,
        chunk: &Bytes,
        at: usize,
        read: usize,
        lead: Bytes,
    ) -> Fed {
        let mut fed = Fed::passing(lead, chunk.slice(..at));
        let whole = at.saturating_add(PREFIX_BYTES).saturating_add(length);
        let is_whole = read == PREFIX_BYTES && whole <= chunk.len() && length <= MAX_END;
        let mut held = Held {
            flags,
            length,
            bytes: BytesMut::new(),
            is_complete: is_whole,
        };
        if is_whole {
            fed.end = Some(End {
                flags,
                envelope: Some(chunk.slice(at..whole)),
            });
            self.end = Some(held);
            return fed;
        }
        if length <= MAX_END {
            held.bytes.reserve(PREFIX_BYTES + length);
            held.bytes.extend_from_slice(&[flags]);
            held.bytes.extend_from_slice(&(length as u32).to_be_bytes());
        }
        self.end = Some(held);
        fed.end = self.hold(chunk.get(at + read..).unwrap_or_default());
        fed
    }

    /// Adds to the end, and gives it out once.
    fn hold(&mut self, bytes: &[u8]) -> Option<End> {
        let held = self.end.as_mut().filter(|held| !held.is_complete)?;
        if held.length > MAX_END {
            held.is_complete = true;
            return Some(End {
                flags: held.flags,
                envelope: None,
            });
        }
        let missing = (PREFIX_BYTES + held.length).saturating_sub(held.bytes.len());
        held.bytes
            .extend_from_slice(bytes.get(..missing).unwrap_or(bytes));
        if held.bytes.len() < PREFIX_BYTES + held.length {
            return None;
        }
        held.is_complete = true;
        Some(End {
            flags: held.flags,
            envelope: Some(held.bytes.split().freeze()),
        })
    }
}

impl Fed {
    fn passing(lead: Bytes, data: Bytes) -> Self {
        Self {
            pass: [lead, data],
            end: None,
        }
    }
}

const COMPRESSED: u8 = 1;
const MAX_END: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::body::envelope::CONNECT_END;

    fn envelope(flags: u8, message: &[u8]) -> Vec<u8> {
        let mut out = vec![flags];
        out.extend((message.len() as u32).to_be_bytes());
        out.extend(message);
        out
    }

    /// What passes, and the end.
    fn run(chunks: &[&[u8]]) -> (Vec<u8>, Vec<End>) {
        let mut tail = Tail::new(CONNECT_END);
        let (mut passed, mut ends) = (Vec::new(), Vec::new());
        for chunk in chunks {
            let fed = tail.feed(Bytes::copy_from_slice(chunk));
            passed.extend(fed.pass.concat());
            ends.extend(fed.end);
        }
        (passed, ends)
    }

    #[test]
    fn an_end_too_long_to_hold_is_known_without_being_held() {
        let mut start = envelope(CONNECT_END, b"");
        start[1..5].copy_from_slice(&(MAX_END as u32 + 1).to_be_bytes());
        let (passed, ends) = run(&[&start, b"first", b"second"]);
        assert_eq!(passed, b"");
        assert_eq!(
            ends,
            [End {
                flags: CONNECT_END,
                envelope: None
            }]
        );
    }

    #[test]
    fn what_comes_after_the_end_is_dropped() {
        let mut stream = envelope(CONNECT_END, b"{}");
        stream.extend(envelope(0, b"more"));
        let (passed, ends) = run(&[&stream, b"and more"]);
        assert_eq!((passed.len(), ends.len()), (0, 1));
        assert_eq!(ends[0].message().unwrap(), b"{}");
    }

    #[test]
    fn a_compressed_end_has_no_message_to_read() {
        let (_, ends) = run(&[&envelope(CONNECT_END | 1, b"gzip")]);
        assert_eq!(ends[0].message(), None);
    }

    proptest! {
        #[test]
        fn all_but_the_end_passes_wherever_it_is_cut(
            messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..12), 0..6),
            compressed in any::<bool>(),
            end in prop::option::of(prop::collection::vec(any::<u8>(), 0..12)),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..16),
        ) {
            let mut stream: Vec<u8> = messages
                .iter()
                .flat_map(|message| envelope(u8::from(compressed), message))
                .collect();
            let expected = stream.clone();
            if let Some(end) = &end {
                stream.extend(envelope(CONNECT_END, end));
            }
            let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
            cuts.extend([0, stream.len()]);
            cuts.sort_unstable();
            let chunks: Vec<_> = cuts.windows(2).map(|cut| &stream[cut[0]..cut[1]]).collect();
            let (passed, ends) = run(&chunks);
            prop_assert_eq!(passed, expected);
            let ends: Vec<_> = ends.iter().map(|end| end.message().unwrap().to_vec()).collect();
            prop_assert_eq!(ends, Vec::from_iter(end));
        }
    }
}
