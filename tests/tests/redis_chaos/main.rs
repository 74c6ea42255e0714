//! Trouble with a real Redis: nobody waits for longer than was said, no window holds more than its
//! quota allows, decisions come back with the server, and nothing is left behind.
//!
//! `CHAOS_SECONDS` makes the random ones longer, `CHAOS_SEED` repeats one.

mod cluster;
mod crowd;
mod floor;
mod outages;
mod replies;
mod shares;
mod storm;
