//! A child that does not outlive its owner, not even one that panics.

use std::process::Child;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

use super::poll;

#[derive(Debug)]
pub(super) struct Process(Child);

impl Process {
    pub(super) fn new(child: Child) -> Self {
        Self(child)
    }

    pub(super) fn has_exited(&mut self) -> bool {
        self.0.try_wait().is_ok_and(|status| status.is_some())
    }

    /// Stops it, and waits until it has.
    pub(super) async fn pause(&self) {
        self.signal(Signal::STOP);
        let options = WaitIdOptions::STOPPED | WaitIdOptions::NOHANG;
        let stopped = poll(async || waitid(WaitId::Pid(self.pid()), options).ok().flatten());
        assert!(stopped.await.is_some(), "the server did not stop");
    }

    pub(super) fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        // The child has not been waited for, so its id is still its own.
        kill_process(self.pid(), signal).expect("a child takes signals");
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.0)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It fails for a child that is gone already. SIGKILL needs no consent, not even of one
        // that is stopped, so the wait is short.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
