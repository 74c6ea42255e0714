use std::fmt;

use http::{Extensions, HeaderMap, Method, Request, Uri, Version, request::Parts};

/// The head of a request, borrowed: what a layer shows to the closures it was given.
///
/// It has the fields of [`Parts`], but no request has to be taken apart for it and put together again,
/// which costs more than many a decision.
///
/// ```
/// use http::Request;
/// use tower_plugin_core::RequestHead;
///
/// let tenant = |request: &RequestHead<'_>| {
///     let tenant = request.uri.path().split('/').nth(1)?;
///     Some(tenant.to_owned())
/// };
///
/// let request = Request::get("/blue/orders").body("any body")?;
/// assert_eq!(tenant(&RequestHead::from(&request)).as_deref(), Some("blue"));
/// # Ok::<_, http::Error>(())
/// ```
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct RequestHead<'a> {
    /// The method.
    pub method: &'a Method,
    /// The target, as it is written.
    pub uri: &'a Uri,
    /// The version of HTTP.
    pub version: Version,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// What outer layers and the server have left.
    pub extensions: &'a Extensions,
}

impl<'a, B> From<&'a Request<B>> for RequestHead<'a> {
    #[inline]
    fn from(request: &'a Request<B>) -> Self {
        Self {
            method: request.method(),
            uri: request.uri(),
            version: request.version(),
            headers: request.headers(),
            extensions: request.extensions(),
        }
    }
}

impl<'a> From<&'a Parts> for RequestHead<'a> {
    #[inline]
    fn from(parts: &'a Parts) -> Self {
        Self {
            method: &parts.method,
            uri: &parts.uri,
            version: parts.version,
            headers: &parts.headers,
            extensions: &parts.extensions,
        }
    }
}

/// Headers and queries carry secrets: neither is shown.
impl fmt::Debug for RequestHead<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestHead")
            .field("method", self.method)
            .field("path", &self.uri.path())
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_of_the_request_is_shown() {
        let request = Request::get("/path?key=secret").header("authorization", "Bearer secret");
        let request = request.body(()).unwrap();
        let head = RequestHead::from(&request);
        assert_eq!(
            format!("{head:?}"),
            "RequestHead { method: GET, path: \"/path\", version: HTTP/1.1, .. }"
        );
    }

    #[test]
    fn a_request_and_its_parts_have_the_same_head() {
        let request = Request::put("/a?b").header("x-a", "1").extension(7_u8);
        let request = request.body(()).unwrap();
        let of = |head: RequestHead<'_>| {
            let extension = head.extensions.get::<u8>().copied();
            let (method, uri) = (head.method.clone(), head.uri.clone());
            (method, uri, head.version, head.headers.clone(), extension)
        };
        let whole = of((&request).into());
        assert_eq!(whole, of((&request.into_parts().0).into()));
        assert_eq!(whole.4, Some(7));
    }
}
