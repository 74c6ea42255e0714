use connectrpc::{
    ConnectError, Interceptor, Next, NextStream, PayloadStream,
    interceptor::{StreamRequest, StreamResponse, UnaryRequest, UnaryResponse},
};

/// Takes the input out of what the RPC runtime says of a message it cannot decode.
///
/// The runtime passes on the parser's own words, and those quote the value that did not fit.
pub(super) struct PlainDecodeErrors;

#[connectrpc::async_trait]
impl Interceptor for PlainDecodeErrors {
    async fn intercept_unary(
        &self,
        request: UnaryRequest,
        next: Next<'_>,
    ) -> Result<UnaryResponse, ConnectError> {
        next.run(request).await.map_err(plain)
    }

    async fn intercept_streaming(
        &self,
        request: StreamRequest,
        inbound: PayloadStream,
        next: NextStream<'_>,
    ) -> Result<StreamResponse, ConnectError> {
        next.run(request, inbound).await.map_err(plain)
    }
}

fn plain(error: ConnectError) -> ConnectError {
    if error
        .message
        .as_deref()
        .is_some_and(|message| message.starts_with(DECODING))
    {
        tracing::debug!(
            code = error.code.as_str(),
            "a request message could not be decoded"
        );
        return ConnectError::new(error.code, "the request message could not be decoded");
    }
    error
}

// How each such message of the runtime begins; a test sends every kind of broken message.
const DECODING: &str = "failed to decode";
