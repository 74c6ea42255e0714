//! Paths in every spelling.

use proptest::prelude::*;

/// Paths made of the pieces of a few routes, spelled in every way.
pub fn spelled() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "/a",
        "/%61",
        "/users",
        "/%75sers",
        "/files",
        "/",
        "/b.c",
        "/b%2ec",
        "/1",
        "/%31",
        "/caf%C3%A9",
        "/caf%c3%a9",
        "/x%20y",
        "/%40",
        "/@",
        "/%2F",
        "/..",
        "/%2e%2e",
        ";x",
        "//",
        "/a%2Fb",
        "%25",
        "/%252e",
    ]);
    prop::collection::vec(pieces, 1..5).prop_map(|pieces| pieces.concat())
}
