use std::{
    error::Error,
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker, ready},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{Empty, Full};

/// A request body that can be sent again.
///
/// Bodies that stream are wrapped in [`ReplayBody`]. Implement it for a body of your own by cloning
/// what it holds; return `None` where it cannot be cloned.
pub trait Replay: Sized {
    /// The same body from its beginning, or `None` if there can be none.
    ///
    /// Called before the body is sent.
    fn replay(&self) -> Option<Self>;

    /// Whether a body got by [`replay`](Self::replay) is still whole, now that the other was sent.
    fn is_whole(&self) -> bool {
        true
    }
}

impl Replay for () {
    fn replay(&self) -> Option<Self> {
        Some(())
    }
}

impl Replay for String {
    fn replay(&self) -> Option<Self> {
        Some(self.clone())
    }
}

impl<D> Replay for Empty<D> {
    fn replay(&self) -> Option<Self> {
        Some(Self::new())
    }
}

impl<D: Clone> Replay for Full<D> {
    fn replay(&self) -> Option<Self> {
        Some(self.clone())
    }
}

/// Makes any body replayable by remembering what was sent of it, up to a limit.
///
/// Nothing is read ahead and nothing is copied: frames are sent as they come and kept until the call
/// is over. A body that turns out longer than the limit is sent all the same, and not retried. A
/// replay sends what is remembered and goes on with what nobody has read yet.
///
/// ```
/// use bytes::Bytes;
/// use http_body_util::{BodyExt, Full};
/// use tower_plugin_ratelimit::client::{Replay, ReplayBody};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let body = ReplayBody::new(Full::new(Bytes::from("hello")), 64 * 1024);
/// let again = body.replay().unwrap();
/// assert_eq!(body.collect().await.unwrap().to_bytes(), "hello");
/// assert!(again.is_whole());
/// assert_eq!(again.collect().await.unwrap().to_bytes(), "hello");
/// # }
/// ```
pub struct ReplayBody<B> {
    recording: Arc<Mutex<Recording<B>>>,
    id: usize,
    /// How many frames this one has sent.
    sent: usize,
    is_done: bool,
}

struct Recording<B> {
    /// Boxed, because a body may not be movable once it was polled; `None` after its end.
    source: Option<Pin<Box<B>>>,
    frames: Vec<Bytes>,
    trailers: Option<HeaderMap>,
    /// How many frames of data the source has given.
    taken: usize,
    /// How many more bytes are remembered; `None` once there were too many, or the source failed.
    room: Option<usize>,
    has_failed: bool,
    /// An attempt that was answered early may still be sent while the next one is: the source wakes
    /// only who asked last, so that one wakes the others.
    waiting: Vec<(usize, Waker)>,
    bodies: usize,
}

impl<B> ReplayBody<B> {
    /// Remembers up to `limit` bytes of `body`, trailers not counted.
    #[must_use]
    pub fn new(body: B, limit: usize) -> Self {
        let recording = Recording {
            source: Some(Box::pin(body)),
            frames: Vec::new(),
            trailers: None,
            taken: 0,
            room: Some(limit),
            has_failed: false,
            waiting: Vec::new(),
            bodies: 1,
        };
        Self {
            recording: Arc::new(Mutex::new(recording)),
            id: 0,
            sent: 0,
            is_done: false,
        }
    }
}

impl<B> Replay for ReplayBody<B> {
    fn replay(&self) -> Option<Self> {
        let mut recording = lock(&self.recording);
        recording.room?;
        let id = recording.bodies;
        recording.bodies += 1;
        Some(Self {
            recording: Arc::clone(&self.recording),
            id,
            sent: 0,
            is_done: false,
        })
    }

    fn is_whole(&self) -> bool {
        lock(&self.recording).room.is_some()
    }
}

impl<B> Body for ReplayBody<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Data = Bytes;
    type Error = ReplayError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ReplayError>>> {
        let this = &mut *self;
        if this.is_done {
            return Poll::Ready(None);
        }
        let mut recording = lock(&this.recording);
        if let Some(data) = recording.frames.get(this.sent) {
            this.sent += 1;
            return Poll::Ready(Some(Ok(Frame::data(data.clone()))));
        }
        if this.sent < recording.taken || recording.has_failed {
            // Given up since the replay was promised: an error, lest half a body pass for a whole one.
            this.is_done = true;
            return Poll::Ready(Some(Err(ReplayError { source: None })));
        }
        let frame = ready!(recording.poll_source(this.id, cx));
        this.is_done = !matches!(&frame, Some(Ok(frame)) if frame.is_data());
        this.sent = recording.taken;
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        let recording = lock(&self.recording);
        self.is_done
            || self.sent == recording.taken
                && recording.trailers.is_none()
                && recording
                    .source
                    .as_ref()
                    .is_none_or(|it| it.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        let recording = lock(&self.recording);
        let unsent = recording.frames.iter().skip(self.sent);
        let remembered = unsent.fold(0_u64, |sum, frame| sum.saturating_add(frame.len() as u64));
        let source = recording.source.as_ref();
        let rest = source.map_or(SizeHint::with_exact(0), |source| source.size_hint());
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(remembered));
        if let Some(upper) = rest.upper().and_then(|upper| upper.checked_add(remembered)) {
            hint.set_upper(upper);
        }
        hint
    }
}

impl<B> Drop for ReplayBody<B> {
    fn drop(&mut self) {
        let waiting = {
            let mut recording = lock(&self.recording);
            recording.waiting.retain(|(id, _)| *id != self.id);
            std::mem::take(&mut recording.waiting)
        };
        // The source may know only this one's waker.
        waiting.into_iter().for_each(|(_, waker)| waker.wake());
    }
}

impl<B> fmt::Debug for ReplayBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplayBody")
            .field("sent", &self.sent)
            .finish_non_exhaustive()
    }
}

impl<B> Recording<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    /// The next frame nobody has read, or the trailers again.
    fn poll_source(
        &mut self,
        id: usize,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ReplayError>>> {
        let Some(source) = &mut self.source else {
            let trailers = self.trailers.clone();
            return Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))));
        };
        self.waiting.retain(|(waiting, _)| *waiting != id);
        let Poll::Ready(frame) = source.as_mut().poll_frame(cx) else {
            self.waiting.push((id, cx.waker().clone()));
            return Poll::Pending;
        };
        self.waiting.drain(..).for_each(|(_, waker)| waker.wake());

        let Some(Ok(frame)) = frame else {
            self.source = None;
            return Poll::Ready(frame.map(|failed| {
                self.give_up();
                self.has_failed = true;
                let source = failed.err().map(Into::into);
                Err(ReplayError { source })
            }));
        };
        if let Some(data) = frame.data_ref() {
            self.taken += 1;
            // A frame of no bytes takes room as well.
            let room = self
                .room
                .and_then(|room| room.checked_sub(data.len().max(1)));
            match room {
                Some(_) => self.frames.push(data.clone()),
                None => self.give_up(),
            }
            self.room = room;
        } else {
            self.source = None;
            self.trailers = frame.trailers_ref().cloned();
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn give_up(&mut self) {
        self.room = None;
        self.frames = Vec::new();
    }
}

/// A request body that failed while it was sent.
#[derive(Debug)]
pub struct ReplayError {
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl fmt::Display for ReplayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.source {
            Some(_) => "request body failed",
            None => "request body is too long to be sent again",
        })
    }
}

impl Error for ReplayError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// Held while a frame is taken or polled for, never across an await.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
