//! A new token before the old one ends.

use serde_json::json;

use super::{
    host::{Host, Identity},
    life::{Failure, Told, report},
};

/// Who the plugin is from now on: the same, by another token.
pub(crate) async fn live(told: &mut Told, host: &Host, me: Identity) -> Result<Identity, Failure> {
    told.step(
        "Replace the token",
        "Tokens issues a successor; the old one is good for the overlap",
    );
    let answer = host.call("/rotate", Some(&me), &json!({})).await?;
    told.answer(&answer, 200);
    let successor = Identity {
        runtime_id: answer.text("runtimeId")?,
        token: answer.text("runtimeToken")?,
    };
    told.check(successor.runtime_id == me.runtime_id && successor.token != me.token);
    told.say("both are taken for a while:");
    for identity in [&me, &successor] {
        told.answer(&report(host, identity, "HEALTHY").await?, 200);
    }
    Ok(successor)
}
