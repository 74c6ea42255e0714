//! The life itself, step by step.

use std::error::Error;

use serde_json::{Value, json};

use super::{
    applicant::Applicant,
    capability,
    host::{Answer, Host, Identity},
    provider, rotation,
};

pub(crate) type Failure = Box<dyn Error + Send + Sync>;

/// Lives it through; whether every step went as it should.
pub(crate) async fn live(host: &Host, applicant: &Applicant) -> Result<bool, Failure> {
    let mut told = Told::default();
    let base_url = provider::serve().await?;
    let offer = json!({
        "serviceType": "demo",
        "version": "1.0.0",
        "endpointPath": "/demo.v1.Demo/",
        "metadata": { "base_url": base_url },
    });

    told.step("Register without an identity", "AuthLayer refuses");
    told.answer(&host.call(REGISTER, None, &offer).await?, 401);

    told.step("Shake hands with a wrong secret", "admission refuses");
    let wrong = applicant.with_wrong_secret().handshake();
    told.answer(&host.call(HANDSHAKE, None, &wrong).await?, 400);
    let mut rule = "secret";
    if let Some(tampered) = applicant.tampered() {
        rule = "secret and by manifest";
        told.step(
            "Shake hands as a program that somebody has changed",
            "admission refuses: the manifest lists another",
        );
        let tampered = tampered.handshake();
        told.answer(&host.call(HANDSHAKE, None, &tampered).await?, 403);
    }

    told.step(
        "Shake hands",
        &format!("RateLimitLayer counts by address, admission by {rule} lets in, Tokens issues"),
    );
    let answer = host.call(HANDSHAKE, None, &applicant.handshake()).await?;
    told.answer(&answer, 200);
    let me = Identity {
        runtime_id: answer.text("runtimeId")?,
        token: answer.text("runtimeToken")?,
    };
    told.say(&format!(
        "now known as {} (the token is not shown)",
        me.runtime_id
    ));

    told.step(
        &format!("Offer a service, served at {base_url}"),
        "AuthLayer knows the token, RateLimitLayer counts by principal",
    );
    let answer = host.call(REGISTER, Some(&me), &offer).await?;
    told.answer(&answer, 200);
    if answer.status == 403 {
        let name = applicant.name();
        told.say("this host does not let it; start it with");
        told.say(&format!(
            "plugin-host --allow-register {name}=demo --allow-call {name}=demo"
        ));
    }
    let registration_id = answer.text("registrationId")?;

    told.step(
        "Offer what nobody has allowed it",
        "the host refuses: what is not allowed is denied",
    );
    let mut payroll = offer.clone();
    if let Some(service_type) = payroll.get_mut("serviceType") {
        *service_type = "payroll".into();
    }
    told.answer(&host.call(REGISTER, Some(&me), &payroll).await?, 403);
    let path = format!("/services/payroll/{}/Pay", me.runtime_id);
    told.step(
        "Call what nobody has allowed it",
        "AuthorizeLayer refuses, whether there is such a service or not",
    );
    told.answer(&host.call(&path, Some(&me), &json!({})).await?, 403);

    told.step("Report health", "the same layers, another quota");
    told.answer(&report(host, &me, "HEALTHY").await?, 200);

    told.step("Discover the service", "the same layers, another quota");
    let wanted = json!({ "serviceType": "demo", "minVersion": "1.0.0" });
    let answer = host.call(DISCOVER, Some(&me), &wanted).await?;
    told.answer(&answer, 200);
    told.say(&format!("found {}", answer.body));

    told.step(
        "Call it through the host",
        "the proxy keeps the identity, and says who calls by `forwarded`",
    );
    let service = format!("/services/demo/{}", me.runtime_id);
    let answer = host
        .call(&format!("{service}/Hello?to=you"), Some(&me), &json!({}))
        .await?;
    if answer.status == 404 {
        told.answer(&answer, 404);
        told.say("this host does not believe where plugins say they are; start it with");
        told.say("plugin-host --provider-network 127.0.0.0/8");
    } else {
        told.answer(&answer, 200);
        told.say(&format!("the provider saw {}", answer.body));
        told.check(answer.body.get("authorization") == Some(&Value::Null));
    }

    told.step(
        "Try to get out of the service's path",
        "ValidateLayer refuses before anyone is asked who calls",
    );
    let path = format!("{service}/..%2F..%2Fconnectplugin.v1.PluginControl%2FShutdown");
    told.answer(&host.call(&path, Some(&me), &json!({})).await?, 400);

    told.step("Call with a wrong token", "AuthLayer refuses");
    let mut impostor = me.clone();
    impostor.token = "tpr_made-up".to_owned();
    told.answer(&report(host, &impostor, "HEALTHY").await?, 401);

    told.step("Call under another plugin's id", "AuthLayer refuses");
    let mut impostor = me.clone();
    impostor.runtime_id = "somebody-else".to_owned();
    told.answer(&report(host, &impostor, "HEALTHY").await?, 401);

    told.step(
        "Watch the service change",
        "the same layers hold for a stream; it ends with its token",
    );
    let watched = json!({ "serviceType": "demo" });
    let mut events = host.watch(WATCH, &me, &watched).await?;
    told.event(&events.next().await?, "SERVICE_STATE_AVAILABLE");
    report(host, &me, "UNHEALTHY").await?;
    told.event(&events.next().await?, "SERVICE_STATE_DEGRADED");
    report(host, &me, "HEALTHY").await?;
    told.event(&events.next().await?, "SERVICE_STATE_AVAILABLE");
    let take_back = json!({ "registrationId": registration_id });
    told.answer(&host.call(UNREGISTER, Some(&me), &take_back).await?, 200);
    told.event(&events.next().await?, "SERVICE_STATE_UNAVAILABLE");
    drop(events);

    capability::live(&mut told, host, &me).await?;
    let me = rotation::live(&mut told, host, me).await?;

    told.step(
        "Offer it again and again",
        "RateLimitLayer refuses, and says when to come back",
    );
    let mut answer = host.call(REGISTER, Some(&me), &offer).await?;
    for _ in 0..MAX_ATTEMPTS {
        if answer.status != 200 {
            break;
        }
        answer = host.call(REGISTER, Some(&me), &offer).await?;
    }
    told.answer(&answer, 429);
    Ok(told.end())
}

pub(crate) async fn report(
    host: &Host,
    identity: &Identity,
    state: &str,
) -> Result<Answer, Failure> {
    let report = json!({ "state": format!("HEALTH_STATE_{state}") });
    host.call(REPORT, Some(identity), &report).await
}

/// What has been told so far.
#[derive(Default)]
pub(crate) struct Told {
    steps: u32,
    surprises: u32,
}

impl Told {
    pub(crate) fn step(&mut self, what: &str, layers: &str) {
        self.steps += 1;
        println!("{}. {what}: {layers}", self.steps);
    }

    pub(crate) fn say(&self, what: &str) {
        println!("   {what}");
    }

    pub(crate) fn answer(&mut self, answer: &Answer, expected: u16) {
        let mut line = format!("HTTP {}", answer.status.as_u16());
        let told = ["code", "message"].map(|name| answer.body.get(name).and_then(Value::as_str));
        if let [Some(code), Some(message)] = told {
            line += &format!(", {code}: {message}");
        }
        self.say(&line);
        for name in HEADERS {
            if let Some(value) = answer.headers.get(name) {
                self.say(&format!("{name}: {}", value.to_str().unwrap_or("?")));
            }
        }
        self.check(answer.status == expected);
    }

    fn event(&mut self, event: &Value, expected: &str) {
        self.say(&format!("event {event}"));
        self.check(event.get("state").and_then(Value::as_str) == Some(expected));
    }

    pub(crate) fn check(&mut self, is_expected: bool) {
        if !is_expected {
            self.surprises += 1;
            self.say("this is not as it should be");
        }
    }

    fn end(&self) -> bool {
        match self.surprises {
            0 => println!("All {} steps went as they should.", self.steps),
            surprises => println!("{surprises} surprises in {} steps.", self.steps),
        }
        self.surprises == 0
    }
}

const DISCOVER: &str = "/connectplugin.v1.ServiceRegistry/DiscoverService";
const HANDSHAKE: &str = "/connectplugin.v1.HandshakeService/Handshake";
const REGISTER: &str = "/connectplugin.v1.ServiceRegistry/RegisterService";
const REPORT: &str = "/connectplugin.v1.PluginLifecycle/ReportHealth";
const UNREGISTER: &str = "/connectplugin.v1.ServiceRegistry/UnregisterService";
const WATCH: &str = "/connectplugin.v1.ServiceRegistry/WatchService";

/// What the layers say beside an answer.
const HEADERS: [&str; 6] = [
    "x-plugin-grant-expires-at",
    "ratelimit-policy",
    "ratelimit",
    "retry-after",
    "www-authenticate",
    "cache-control",
];

/// Far above what the host lets through by default.
const MAX_ATTEMPTS: usize = 50;
