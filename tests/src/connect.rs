//! What the client library of Connect finds in the details of an error.

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use connectrpc::ConnectError;
use prost::Message;
use tonic_types::pb;

/// The detail of this type, `google.rpc.BadRequest` for example.
///
/// # Panics
///
/// If there is not exactly one, or it is not such a message.
#[must_use]
pub fn detail<M: Message + Default>(error: &ConnectError, name: &str) -> M {
    let mut found = error.details.iter().filter(|detail| {
        let of_any = detail.type_url.strip_prefix("type.googleapis.com/");
        of_any.unwrap_or(&detail.type_url) == name
    });
    let (Some(detail), None) = (found.next(), found.next()) else {
        panic!("not one {name} in {error:?}");
    };
    // With padding or without (Connect protocol, error details).
    let config =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let base64 = GeneralPurpose::new(&alphabet::STANDARD, config);
    let value = base64.decode(detail.value.as_deref().unwrap()).unwrap();
    M::decode(&*value).unwrap()
}

/// Field and description of each violation, in order.
///
/// # Panics
///
/// If there is no `google.rpc.BadRequest`.
#[must_use]
pub fn violations(error: &ConnectError) -> Vec<(String, String)> {
    let details: pb::BadRequest = detail(error, "google.rpc.BadRequest");
    let violations = details.field_violations.into_iter();
    violations.map(|v| (v.field, v.description)).collect()
}
