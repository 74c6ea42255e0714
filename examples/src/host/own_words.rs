use std::{error::Error, fmt, time::Duration};

use connectrpc::{
    ConnectError, ErrorCode, Interceptor, Next, NextStream, PayloadStream,
    interceptor::{StreamRequest, StreamResponse, UnaryRequest, UnaryResponse},
};
use http::{HeaderValue, header::RETRY_AFTER};

/// A refusal in this host's own words: no other reaches a caller through [`OwnWords`].
pub(super) fn refuse(code: ErrorCode, message: impl Into<String>) -> ConnectError {
    ConnectError::new(code, message).with_source(Own)
}

/// The same of what may be tried again, after so long.
pub(super) fn unavailable(message: &'static str, retry_after: Option<Duration>) -> ConnectError {
    let mut error = refuse(ErrorCode::Unavailable, message);
    // Rounded up: who comes too early is refused again.
    let seconds = retry_after.map_or(1, |time| {
        time.as_secs() + u64::from(time.subsec_nanos() > 0)
    });
    let headers = error.response_headers_mut();
    headers.insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
    error
}

/// Lets nothing out but what [`refuse`] made.
///
/// The RPC runtime has words of its own, for messages it cannot decode above all, and those quote the
/// value that did not fit. They are replaced, whatever they are; the code stays.
pub(super) struct OwnWords;

#[connectrpc::async_trait]
impl Interceptor for OwnWords {
    async fn intercept_unary(
        &self,
        request: UnaryRequest,
        next: Next<'_>,
    ) -> Result<UnaryResponse, ConnectError> {
        next.run(request).await.map_err(in_own_words)
    }

    async fn intercept_streaming(
        &self,
        request: StreamRequest,
        inbound: PayloadStream,
        next: NextStream<'_>,
    ) -> Result<StreamResponse, ConnectError> {
        next.run(request, inbound).await.map_err(in_own_words)
    }
}

/// The mark of an error made by [`refuse`]. Never sent.
#[derive(Debug)]
struct Own;

impl fmt::Display for Own {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("refused by the host")
    }
}

impl Error for Own {}

fn in_own_words(error: ConnectError) -> ConnectError {
    if error.source().is_some_and(|source| source.is::<Own>()) {
        return error;
    }
    tracing::debug!(code = error.code.as_str(), "the RPC runtime refused a call");
    let message = match error.code {
        ErrorCode::InvalidArgument => "the request message could not be decoded",
        ErrorCode::ResourceExhausted => "the request message is too large",
        _ => "the request could not be served",
    };
    refuse(error.code, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_words_but_our_own_are_let_out() {
        let own = in_own_words(refuse(ErrorCode::NotFound, "unknown service"));
        assert_eq!(own.message.as_deref(), Some("unknown service"));

        let cause = std::io::Error::other("s3cr3t");
        for error in [
            ConnectError::invalid_argument("failed to decode s3cr3t"),
            ConnectError::resource_exhausted("s3cr3t"),
            ConnectError::unimplemented("method not found: s3cr3t"),
            ConnectError::from(cause),
        ] {
            let code = error.code;
            let told = in_own_words(error);
            assert_eq!(told.code, code);
            assert!(!format!("{told:?}").contains("s3cr3t"), "{told:?}");
        }
    }
}
