//! What the host itself may be asked for: a grant, its use, and a narrower one made of it.

use serde_json::{Value, json};
use tower_plugin_auth::grant::{Caveat, GrantToken};

use super::{
    host::{Host, Identity},
    life::{Failure, Told},
};

pub(crate) async fn live(told: &mut Told, host: &Host, me: &Identity) -> Result<(), Failure> {
    told.step(
        "Ask for a capability the host does not have",
        "CapabilityBroker refuses",
    );
    let unknown = json!({ "capabilityType": "secrets" });
    told.answer(&host.call(BROKER, Some(me), &unknown).await?, 404);

    told.step(
        "Ask for the logger",
        "AuthLayer knows the token, CapabilityBroker grants and keeps the reason for the audit",
    );
    let wanted = json!({
        "capabilityType": "logger",
        "minVersion": "1.0.0",
        "reason": "to say hello",
    });
    let answer = host.call(BROKER, Some(me), &wanted).await?;
    told.answer(&answer, 200);
    let text = |name: &str| {
        let value = answer.body.get("grant").and_then(|grant| grant.get(name));
        let text = value.and_then(Value::as_str);
        text.map(str::to_owned)
            .ok_or_else(|| format!("no {name} in the grant"))
    };
    // The last one is secret.
    let (id, url, token) = (text("grantId")?, text("endpointUrl")?, text("bearerToken")?);
    told.say(&format!("granted at {url} (its token is not shown)"));

    let line = json!({ "level": "info", "message": "hello from the demo" });
    let log = format!("{url}{LOG}");
    told.step(
        "Write a line to the host's log with nothing but the grant",
        "CapabilityLayer lets through, and takes the credential off",
    );
    told.answer(&host.call_granted(&log, &token, &line).await?, 200);

    told.step(
        "Use the grant for another capability",
        "CapabilityLayer refuses: its type is not this one",
    );
    let other = log.replace("/capabilities/logger/", "/capabilities/secrets/");
    told.answer(&host.call_granted(&other, &token, &line).await?, 401);

    told.step(
        "Narrow the grant without asking anybody, to one use",
        "CapabilityLayer keeps to what was added: good once, and then no more",
    );
    let once = Caveat::max_uses(1)?;
    let narrowed = GrantToken::parse(&token)?.attenuate(&once)?;
    for status in [200, 401] {
        let answer = host.call_granted(&log, narrowed.expose(), &line).await?;
        told.answer(&answer, status);
    }
    told.say(&format!("the grant {id} itself is as good as before"));
    told.answer(&host.call_granted(&log, &token, &line).await?, 200);
    Ok(())
}

const BROKER: &str = "/connectplugin.v1.CapabilityBroker/RequestCapability";
const LOG: &str = "/capability.logger.v1.Logger/Log";
