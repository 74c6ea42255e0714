//! Trouble with a real Redis: nobody waits for longer than was said, no window holds more than its
//! quota allows, decisions come back with the server, and nothing is left behind.
//!
//! `CHAOS_SECONDS` makes the random ones longer, and `CHAOS_SEED` repeats one as far as time allows;
//! `CHAOS_PAUSE_MS` is for how long a server freezes, 5,000 by default.

mod cluster;
mod crowd;
mod dice;
mod floor;
mod outages;
mod replies;
mod shares;
mod site;
mod storm;
