//! How the program ends, whatever is still running.

use std::time::Duration;

use tokio::runtime::Runtime;

/// Runs `work`, and then gives what else is running this long. Dropped, a runtime would wait for whatever blocks: for a
/// name server, or a disk that does not answer.
pub(super) fn run_to_the_end<F: Future>(
    runtime: Runtime,
    work: F,
    last_moment: Duration,
) -> F::Output {
    let output = runtime.block_on(work);
    runtime.shutdown_timeout(last_moment);
    output
}

#[cfg(test)]
mod tests {
    use std::{future::pending, sync::mpsc, thread};

    use tokio::sync::oneshot;

    use super::*;

    const WAIT: Duration = Duration::from_secs(30);

    /// Whether a program ends that has started what waits for the other end of the channel, and left it running.
    fn ends(start: impl FnOnce(oneshot::Sender<()>, mpsc::Receiver<()>) + Send + 'static) -> bool {
        let (started, has_started) = oneshot::channel();
        let (release, held) = mpsc::channel();
        let (end, ended) = mpsc::channel();
        let program = thread::spawn(move || {
            let work = async move {
                start(started, held);
                // What was never run would be dropped, and keep nobody.
                has_started.await.unwrap();
            };
            run_to_the_end(Runtime::new().unwrap(), work, Duration::from_millis(10));
            end.send(()).unwrap();
        });
        let has_ended = ended.recv_timeout(WAIT).is_ok();
        drop(release);
        program.join().unwrap();
        has_ended
    }

    #[test]
    fn what_never_ends_does_not_keep_the_program() {
        assert!(ends(|started, held| {
            drop(tokio::task::spawn_blocking(move || {
                started.send(()).unwrap();
                held.recv()
            }));
        }));
        // On a thread of the runtime's own, where nothing should block.
        assert!(ends(|started, held| {
            drop(tokio::spawn(async move {
                started.send(()).unwrap();
                held.recv()
            }));
        }));
        assert!(ends(|started, _| {
            drop(tokio::spawn(async move {
                started.send(()).unwrap();
                pending::<()>().await;
            }));
        }));
    }
}
