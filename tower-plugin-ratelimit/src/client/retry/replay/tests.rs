use std::{convert::Infallible, pin::pin, task::Context};

use http_body_util::BodyExt;
use proptest::prelude::*;

use super::*;

type Frames = Vec<Result<Frame<Bytes>, &'static str>>;

fn streamed(frames: Frames) -> impl Body<Data = Bytes, Error = &'static str> {
    struct Source(std::vec::IntoIter<Result<Frame<Bytes>, &'static str>>);
    impl Body for Source {
        type Data = Bytes;
        type Error = &'static str;
        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
            Poll::Ready(self.0.next())
        }
    }
    Source(frames.into_iter())
}

fn data(text: &'static str) -> Result<Frame<Bytes>, &'static str> {
    Ok(Frame::data(Bytes::from_static(text.as_bytes())))
}

fn with_trailers() -> Frames {
    let mut trailers = HeaderMap::new();
    trailers.insert("x-trailer", http::HeaderValue::from_static("last"));
    vec![data("he"), data("llo"), Ok(Frame::trailers(trailers))]
}

#[tokio::test]
async fn every_replay_is_whole_with_its_trailers() {
    let body = ReplayBody::new(streamed(with_trailers()), 5);
    let second = body.replay().unwrap();
    let first = body.collect().await.unwrap();
    assert!(second.is_whole());
    assert!(!second.is_end_stream());
    assert_eq!(second.size_hint().exact(), Some(5));
    let third = second.replay().unwrap();
    for body in [
        first,
        second.collect().await.unwrap(),
        third.collect().await.unwrap(),
    ] {
        assert_eq!(body.trailers().unwrap()["x-trailer"], "last");
        assert_eq!(body.to_bytes(), "hello");
    }
}

#[tokio::test]
async fn a_body_over_the_limit_is_sent_once() {
    let body = ReplayBody::new(streamed(with_trailers()), 4);
    let second = body.replay().unwrap();
    let first = body.collect().await.unwrap();
    assert!(first.trailers().is_some());
    assert_eq!(first.to_bytes(), "hello");
    assert!(!second.is_whole());
    assert!(second.replay().is_none());
    let error = second.collect().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "request body is too long to be sent again"
    );
}

#[tokio::test]
async fn a_failed_body_is_not_sent_again() {
    let body = ReplayBody::new(streamed(vec![data("he"), Err("gone")]), 100);
    let second = body.replay().unwrap();
    let error = body.collect().await.unwrap_err();
    assert_eq!(error.source().unwrap().to_string(), "gone");
    assert!(!second.is_whole());
}

#[tokio::test]
async fn a_replay_goes_on_where_the_first_was_dropped() {
    let mut body = ReplayBody::new(streamed(with_trailers()), 5);
    let second = body.replay().unwrap();
    assert!(body.frame().await.unwrap().unwrap().is_data());
    drop(body);
    assert_eq!(second.collect().await.unwrap().to_bytes(), "hello");
}

#[tokio::test(start_paused = true)]
async fn who_waits_is_woken_when_another_reads_or_is_dropped() {
    for is_dropped in [false, true] {
        let (sender, receiver) = tokio::sync::oneshot::channel::<Bytes>();
        let mut first = Box::pin(ReplayBody::new(later(receiver), 100));
        let second = tokio::spawn(first.replay().unwrap().collect());
        tokio::task::yield_now().await;
        // Now the source has forgotten the second one's waker.
        let mut cx = Context::from_waker(Waker::noop());
        assert!(first.as_mut().poll_frame(&mut cx).is_pending());
        if is_dropped {
            drop(first);
            tokio::task::yield_now().await;
            sender.send(Bytes::from_static(b"late")).unwrap();
        } else {
            sender.send(Bytes::from_static(b"late")).unwrap();
            assert!(first.as_mut().poll_frame(&mut cx).is_ready());
        }
        let second = tokio::time::timeout(std::time::Duration::from_secs(1), second).await;
        let body = second.expect("woken").unwrap().unwrap();
        assert_eq!(body.to_bytes(), "late");
    }
}

fn later(
    receiver: tokio::sync::oneshot::Receiver<Bytes>,
) -> impl Body<Data = Bytes, Error = Infallible> + Send {
    struct Later(Option<tokio::sync::oneshot::Receiver<Bytes>>);
    impl Body for Later {
        type Data = Bytes;
        type Error = Infallible;
        fn poll_frame(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            let Some(receiver) = &mut self.0 else {
                return Poll::Ready(None);
            };
            let data = ready!(Pin::new(receiver).poll(cx)).unwrap();
            self.0 = None;
            Poll::Ready(Some(Ok(Frame::data(data))))
        }
    }
    Later(Some(receiver))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(crate::test_cases(256)))]

    /// However two attempts take turns, each sends the whole body or fails; never a part of it.
    #[test]
    fn no_interleaving_passes_a_part_for_the_whole(
        sizes in proptest::collection::vec(0_usize..4, 0..6),
        limit in 0_usize..12,
        fails in any::<bool>(),
        turns in proptest::collection::vec(any::<bool>(), 0..16),
    ) {
        let mut frames: Frames = sizes.iter().map(|&size| data(&"xyz"[..size])).collect();
        if fails {
            frames.push(Err("gone"));
        }
        let whole: usize = sizes.iter().sum();
        let mut first = pin!(ReplayBody::new(streamed(frames), limit));
        let mut second = pin!(first.replay().unwrap());
        let mut lengths = [Some(0), Some(0)];
        let mut done = [false; 2];
        let mut cx = Context::from_waker(Waker::noop());
        for is_first in turns.into_iter().chain([true; 8]).chain([false; 8]) {
            let (index, body) = if is_first { (0, first.as_mut()) } else { (1, second.as_mut()) };
            let Poll::Ready(frame) = body.poll_frame(&mut cx) else { unreachable!() };
            match frame {
                None => done[index] = true,
                Some(Ok(frame)) => {
                    let size = frame.into_data().unwrap().len();
                    lengths[index] = lengths[index].map(|sum: usize| sum + size);
                }
                Some(Err(_)) => lengths[index] = None,
            }
        }
        prop_assert_eq!(done, [true; 2]);
        for length in lengths {
            prop_assert!(length.is_none_or(|length| length == whole && !fails));
        }
    }
}
