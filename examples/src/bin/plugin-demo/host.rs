//! The host as its plugin sees it: JSON over Connect, written by hand.

use std::{error::Error, time::Duration};

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::Value;
use tokio::time::timeout;

type Failure = Box<dyn Error + Send + Sync>;

pub(crate) struct Host {
    client: Client<HttpConnector, Full<Bytes>>,
    base: String,
}

/// Who the host takes the plugin for.
#[derive(Clone)]
pub(crate) struct Identity {
    pub(crate) runtime_id: String,
    /// Secret.
    pub(crate) token: String,
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

/// An open stream of events.
pub(crate) struct Events {
    body: Incoming,
    read: BytesMut,
}

impl Host {
    pub(crate) fn new(url: &Uri) -> Result<Self, Failure> {
        match (url.scheme_str(), url.authority()) {
            (Some("http"), Some(authority)) => Ok(Self {
                client: Client::builder(TokioExecutor::new()).build_http(),
                base: format!("http://{authority}"),
            }),
            _ => Err("--host must be http://HOST:PORT".into()),
        }
    }

    /// One unary call.
    pub(crate) async fn call(
        &self,
        path: &str,
        identity: Option<&Identity>,
        message: &Value,
    ) -> Result<Answer, Failure> {
        let body = message.to_string().into();
        let response = self.send(path, identity, "application/json", body).await?;
        Answer::read(response).await
    }

    /// One unary call at an address the host has told, with nothing but a grant.
    pub(crate) async fn call_granted(
        &self,
        url: &str,
        grant: &str,
        message: &Value,
    ) -> Result<Answer, Failure> {
        let request = Request::post(url)
            .header("content-type", "application/json")
            .header("connect-protocol-version", "1")
            .header("authorization", format!("Bearer {grant}"))
            .body(Full::from(message.to_string()))?;
        let response = timeout(PATIENCE, self.client.request(request)).await??;
        Answer::read(response).await
    }

    /// One call whose answer is a stream.
    pub(crate) async fn watch(
        &self,
        path: &str,
        identity: &Identity,
        message: &Value,
    ) -> Result<Events, Failure> {
        let message = message.to_string();
        let mut body = vec![0];
        body.extend(u32::try_from(message.len())?.to_be_bytes());
        body.extend(message.as_bytes());
        let response = self
            .send(
                path,
                Some(identity),
                "application/connect+json",
                body.into(),
            )
            .await?;
        Ok(Events {
            body: response.into_body(),
            read: BytesMut::new(),
        })
    }

    async fn send(
        &self,
        path: &str,
        identity: Option<&Identity>,
        content_type: &str,
        body: Bytes,
    ) -> Result<Response<Incoming>, Failure> {
        let mut request = Request::post(format!("{}{path}", self.base))
            .header("content-type", content_type)
            .header("connect-protocol-version", "1");
        if let Some(identity) = identity {
            request = request
                .header("authorization", format!("Bearer {}", identity.token))
                .header("x-plugin-runtime-id", &identity.runtime_id);
        }
        let request = self.client.request(request.body(Full::from(body))?);
        Ok(timeout(PATIENCE, request).await??)
    }
}

impl Answer {
    async fn read(response: Response<Incoming>) -> Result<Self, Failure> {
        let (parts, body) = response.into_parts();
        let body = timeout(PATIENCE, Limited::new(body, MAX_ANSWER).collect()).await??;
        Ok(Self {
            status: parts.status,
            headers: parts.headers,
            body: serde_json::from_slice(&body.to_bytes()).unwrap_or_default(),
        })
    }

    /// A member of the answer that is text.
    pub(crate) fn text(&self, name: &str) -> Result<String, Failure> {
        let text = self.body.get(name).and_then(Value::as_str);
        Ok(text
            .ok_or_else(|| format!("no {name} in the answer"))?
            .to_owned())
    }
}

impl Events {
    /// The next event; of the last one, `error` says why the stream has ended.
    pub(crate) async fn next(&mut self) -> Result<Value, Failure> {
        loop {
            if let Some(message) = self.message()? {
                return Ok(message);
            }
            let frame = timeout(PATIENCE, self.body.frame()).await?;
            let frame = frame.ok_or("the stream has broken off")??;
            if let Ok(data) = frame.into_data() {
                self.read.extend_from_slice(&data);
            }
        }
    }

    // A flag, four bytes of length, the message.
    fn message(&mut self) -> Result<Option<Value>, Failure> {
        let Some((&[_flags, a, b, c, d], rest)) = self.read.split_first_chunk() else {
            return Ok(None);
        };
        let length = usize::try_from(u32::from_be_bytes([a, b, c, d]))?;
        if length > MAX_ANSWER {
            return Err("the host sent a message of an absurd size".into());
        }
        if rest.len() < length {
            return Ok(None);
        }
        self.read.advance(5);
        Ok(Some(serde_json::from_slice(&self.read.split_to(length))?))
    }
}

const PATIENCE: Duration = Duration::from_secs(10);
const MAX_ANSWER: usize = 1024 * 1024;
