//! The layers from the outside.

mod authenticate;
mod authorize;
mod choice;
mod support;
