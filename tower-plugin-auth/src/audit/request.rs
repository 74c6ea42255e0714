//! What is remembered of a request until it is known whether it has to be written down.

use std::{borrow::Cow, net::IpAddr, sync::Arc};

use http::{HeaderMap, HeaderValue, Method, Response, Uri};
use tower_plugin_core::{Rejection, RequestHead};

use super::{
    AuditEvent, Detail, Outcome,
    actor::Actor,
    layer::Settings,
    refusal,
    vocabulary::{AUTHN_LOGIN_SUCCESS, REQUEST_ADMITTED},
};

/// Counted references into the head, which a server made of one buffer.
pub(super) struct Seen {
    settings: Arc<Settings>,
    always: bool,
    method: Method,
    uri: Uri,
    request_id: Option<HeaderValue>,
    client_ip: Option<IpAddr>,
}

impl Seen {
    pub(super) fn of(request: &RequestHead<'_>, settings: Arc<Settings>, always: bool) -> Self {
        Self {
            always,
            method: request.method.clone(),
            uri: request.uri.clone(),
            request_id: request.headers.get(REQUEST_ID).cloned(),
            client_ip: settings.client_ip.of(request.headers, request.extensions),
            settings,
        }
    }

    pub(super) fn answered<B>(self, response: &Response<B>) {
        let extensions = response.extensions();
        let actor = extensions.get().map(|Actor(principal)| principal);
        let status = response.status();
        let detail;
        let event = if let Some(rejection) = extensions.get::<Rejection>() {
            let (name, outcome) = refusal::named(rejection, extensions);
            detail = refusal::cause(rejection, extensions).map(|cause| ("cause", cause));
            AuditEvent::new(name, outcome)
                .with_reason(rejection.reason())
                .with_details(detail.as_slice())
        } else if self.always {
            let name = actor.map_or(REQUEST_ADMITTED, |_| AUTHN_LOGIN_SUCCESS);
            detail = Some(("status", status.as_str()));
            AuditEvent::new(name, Outcome::Success).with_details(detail.as_slice())
        } else {
            return;
        };
        let event = match actor {
            Some(principal) => event.with_actor(principal),
            None => event,
        };
        self.record(event, response.headers());
    }

    pub(super) fn failed(self) {
        self.unanswered(&[]);
    }

    /// Nobody waits for the answer any more. What the inner service has done by then, nobody can tell.
    pub(super) fn abandoned(self) {
        self.unanswered(&[("cause", "CANCELLED")]);
    }

    fn unanswered(&self, details: &[Detail<'_>]) {
        if self.always {
            let event = AuditEvent::new(REQUEST_ADMITTED, Outcome::Error);
            self.record(event.with_details(details), &HeaderMap::new());
        }
    }

    fn record(&self, event: AuditEvent<'_>, response: &HeaderMap) {
        let path = visible(self.uri.path(), MAX_PATH);
        let method = visible(self.method.as_str(), MAX_METHOD);
        let event = event.with_action(&method).with_resource(&path);
        let event = match self.client_ip {
            Some(ip) => event.with_client_ip(ip),
            None => event,
        };
        let id = self.request_id.as_ref().or(response.get(REQUEST_ID));
        let event = match id.and_then(request_id) {
            Some(id) => event.with_request_id(id),
            None => event,
        };
        self.settings.sink.0.record(&event);
    }
}

/// One that others will recognise; anything else is no id.
fn request_id(value: &HeaderValue) -> Option<&str> {
    let is_visible = value.as_bytes().iter().all(u8::is_ascii_graphic);
    let fits = (1..=MAX_REQUEST_ID).contains(&value.len());
    value.to_str().ok().filter(|_| is_visible && fits)
}

/// Visible ASCII of at most `max` bytes and a mark where something is missing.
fn visible(text: &str, max: usize) -> Cow<'_, str> {
    if text.len() <= max && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return text.into();
    }
    let mut shown = String::with_capacity(max + MORE.len());
    for character in text.chars() {
        let before = shown.len();
        if character.is_ascii_graphic() {
            shown.push(character);
        } else {
            shown.extend(character.escape_unicode());
        }
        if shown.len() > max {
            shown.truncate(before);
            shown.push_str(MORE);
            break;
        }
    }
    shown.into()
}

const MAX_METHOD: usize = 32;
const MAX_PATH: usize = 256;
const MAX_REQUEST_ID: usize = 128;
const MORE: &str = "...";
const REQUEST_ID: &str = "x-request-id";

#[cfg(test)]
mod tests {
    use super::*;

    /// F61: the reference wrote paths as they came, and one of them could forge a line.
    #[test]
    fn f61_what_is_shown_is_one_line_of_ascii() {
        assert_eq!(visible("/a%0ab", 256), "/a%0ab");
        assert_eq!(
            visible("/a\nb\u{202e}\u{85}", 256),
            "/a\\u{a}b\\u{202e}\\u{85}"
        );
        assert_eq!(visible("abcdef", 6), "abcdef");
        assert_eq!(visible("abcdefg", 6), "abcdef...");
        assert_eq!(visible("abcé", 6), "abc...");
        let long = visible(&"é".repeat(1_000), 256).into_owned();
        assert!(long.len() <= 259 && long.ends_with("..."), "{long}");
    }

    #[test]
    fn an_id_that_is_no_id_is_left_out() {
        let id = |bytes: &[u8]| HeaderValue::from_bytes(bytes).unwrap();
        assert_eq!(request_id(&id(b"4f6c-2a1e")), Some("4f6c-2a1e"));
        assert_eq!(request_id(&id(&[b'a'; 128])).map(str::len), Some(128));
        for wrong in [&b""[..], b"a b", b"a\tb", b"\xc3\xa9", &[b'a'; 129]] {
            assert_eq!(request_id(&id(wrong)), None);
        }
    }
}
