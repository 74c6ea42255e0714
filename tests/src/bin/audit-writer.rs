//! Writes an audit log as fast as it can, and says how far it has certainly come: after every flush one line
//! with the number of events on disk. It ends when it is killed.
//!
//! Argument: the path of the log.

use std::{
    env,
    error::Error,
    io::{Write, stdout},
    time::Duration,
};

use tower_plugin_auth::{
    audit::{AuditEvent, AuditSink, FileSink, OnFull, Outcome},
    token::{KeyRing, Pepper},
};

fn main() -> Result<(), Box<dyn Error>> {
    let path = env::args().nth(1).ok_or("PATH")?;
    let keys = KeyRing::new(Pepper::new(1, &[1; 32])?, [])?;
    let sink = FileSink::builder(path, keys)
        .with_max_file_len(64 * 1024)
        .with_on_full(OnFull::Wait(Duration::from_secs(10)))
        .open()?;
    let mut count = 0_u64;
    loop {
        for _ in 0..250 {
            let resource = format!("/{count}");
            let event = AuditEvent::new("authz_fail", Outcome::Denied).with_resource(&resource);
            sink.record(&event);
            count += 1;
        }
        if sink.flush(Duration::from_secs(10)) {
            writeln!(stdout(), "{count}")?;
            stdout().flush()?;
        }
    }
}
