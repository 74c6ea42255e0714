//! Client certificates over real TLS connections, in front of axum and tonic.

mod axum;
mod support;
mod tonic;
