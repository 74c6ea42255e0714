//! Random secrets in every field that holds a credential or a key; whatever fails, none of them is seen
//! again: in no line of the log, no `Debug` output, no error, no response and no metric.

mod layers;
mod metrics;
mod seen;
mod stores;
