use axum::{extract::Request, middleware::Next, response::Response};
use http::{header::HOST, uri::Authority};
use tower_plugin_auth::TlsInfo;

/// Where the caller has reached the host, e.g. `https://host.example:8443`; nothing where it did not say.
///
/// It goes back to the caller alone, who has said it: nobody else is told of it.
#[derive(Clone, Debug)]
pub(in crate::host) struct Base(pub(in crate::host) Box<str>);

/// Notes down for the services where the caller has reached the host.
pub(in crate::host) async fn note_base(mut request: Request, next: Next) -> Response {
    let of_target = request.uri().authority().cloned();
    let authority = of_target.or_else(|| {
        let host = request.headers().get(HOST)?;
        host.to_str().ok()?.parse::<Authority>().ok()
    });
    let authority = authority.filter(|it| it.as_str().len() <= MAX && !it.as_str().contains('@'));
    let base = authority.map_or_else(String::new, |authority| {
        let scheme = match request.extensions().get::<TlsInfo>() {
            Some(_) => "https",
            None => "http",
        };
        format!("{scheme}://{authority}")
    });
    request.extensions_mut().insert(Base(base.into()));
    next.run(request).await
}

/// A name of a host (RFC 1035) and a port.
const MAX: usize = 255 + 6;
