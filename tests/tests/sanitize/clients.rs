//! Real servers and real clients: what their libraries make of an error that was replaced.

use std::net::SocketAddr;

use axum::{Router, body::Body, extract::Request, response::Response};
use connectrpc::client::{ClientConfig, HttpClient};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{
    Status, Streaming,
    transport::{Endpoint, Server},
};
use tonic_types::{ErrorDetails, StatusExt};
use tower_plugin_examples::proto::{
    connectplugin::v1::{
        HandshakeRequest, HandshakeServiceClient, ServiceRegistryClient, WatchServiceRequest,
    },
    orders::{
        PlaceAllResponse, PlaceRequest, PlaceResponse,
        orders_client::OrdersClient,
        orders_server::{Orders, OrdersServer},
    },
};
use tower_plugin_validate::SanitizeErrorsLayer;

use crate::support::{SECRET, body, envelope, response};

/// Fails with the code that the customer's name is, before or after its first answer.
struct Broken;

fn broken(code: &str) -> Status {
    let code = tonic::Code::from_bytes(code.as_bytes());
    let details = ErrorDetails::with_debug_info(vec![SECRET.to_owned()], SECRET);
    Status::with_error_details(code, SECRET, details)
}

type Answers<T> = std::pin::Pin<Box<dyn tokio_stream::Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl Orders for Broken {
    async fn place(
        &self,
        request: tonic::Request<PlaceRequest>,
    ) -> Result<tonic::Response<PlaceResponse>, Status> {
        Err(broken(&request.get_ref().customer))
    }

    async fn place_all(
        &self,
        _: tonic::Request<Streaming<PlaceRequest>>,
    ) -> Result<tonic::Response<PlaceAllResponse>, Status> {
        Err(broken("13"))
    }

    type PlaceEachStream = Answers<PlaceResponse>;

    async fn place_each(
        &self,
        _: tonic::Request<Streaming<PlaceRequest>>,
    ) -> Result<tonic::Response<Self::PlaceEachStream>, Status> {
        let answers = vec![Ok(PlaceResponse { pieces: 1 }), Err(broken("15"))];
        Ok(tonic::Response::new(Box::pin(tokio_stream::iter(answers))))
    }
}

#[tokio::test]
async fn a_tonic_client_is_told_of_internal_errors_in_public_words() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    let server = Server::builder()
        .layer(SanitizeErrorsLayer::new())
        .add_service(OrdersServer::new(Broken));
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
    let mut client = OrdersClient::new(endpoint.connect().await.unwrap());

    for code in 1..=16 {
        let mut request = tonic::Request::new(PlaceRequest {
            customer: code.to_string(),
            ..Default::default()
        });
        request
            .metadata_mut()
            .insert("x-request-id", "7b0a9a3e".parse().unwrap());
        let status = client.place(request).await.unwrap_err();
        assert_eq!(i32::from(status.code()), code);
        if [2, 13, 15].contains(&code) {
            assert_eq!(status.message(), "internal error, reference 7b0a9a3e");
            assert!(status.get_details_debug_info().is_none());
            assert_eq!(status.get_details_error_info().unwrap().reason, "INTERNAL");
            assert!(!format!("{status:?}").contains("s3cr3t"));
        } else {
            assert_eq!(status.message(), SECRET);
            assert!(status.get_details_debug_info().is_some());
        }
    }

    let answers = client.place_each(tokio_stream::iter([])).await.unwrap();
    let mut answers = answers.into_inner();
    assert_eq!(answers.message().await.unwrap().unwrap().pieces, 1);
    let status = answers.message().await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::DataLoss);
    assert!(status.message().starts_with("internal error, reference "));
    assert!(!format!("{status:?}").contains("s3cr3t"));
}

#[tokio::test]
async fn a_connect_client_is_told_of_internal_errors_in_public_words() {
    let app = Router::new()
        .fallback(async |request: Request| -> Response {
            let content_type = request.headers()["content-type"]
                .to_str()
                .unwrap()
                .to_owned();
            let error = format!(r#"{{"code":"data_loss","message":"{SECRET}"}}"#);
            match content_type.starts_with("application/connect+") {
                true => {
                    let end = envelope(2, format!(r#"{{"error":{error}}}"#).as_bytes());
                    response(200, &[("content-type", &content_type)], body(&[&end], &[]))
                }
                false => response(500, &[("content-type", "application/json")], error),
            }
        })
        .layer(SanitizeErrorsLayer::new());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(axum::serve(listener, app).into_future());

    let uri: http::Uri = format!("http://{address}").parse().unwrap();
    let config = ClientConfig::new(uri).with_default_header("x-request-id", "7b0a9a3e");
    let unary = HandshakeServiceClient::new(HttpClient::plaintext(), config.clone());
    let error = unary
        .handshake(HandshakeRequest::default())
        .await
        .err()
        .unwrap();
    assert_eq!(error.code.as_str(), "data_loss");
    assert_eq!(
        error.message.as_deref(),
        Some("internal error, reference 7b0a9a3e")
    );

    let registry = ServiceRegistryClient::new(HttpClient::plaintext(), config);
    let error = match registry.watch_service(WatchServiceRequest::default()).await {
        Err(error) => error,
        Ok(mut stream) => match stream.message().await {
            Err(error) => error,
            Ok(_) => stream.error().cloned().unwrap(),
        },
    };
    assert_eq!(error.code.as_str(), "data_loss");
    assert_eq!(
        error.message.as_deref(),
        Some("internal error, reference 7b0a9a3e")
    );
}

/// The layer wraps a router that is inside `axum::serve`, and a whole one.
#[tokio::test]
async fn it_fits_around_a_whole_router() {
    let app = Router::new().fallback(async || response(500, &[], SECRET));
    let whole = tower::ServiceBuilder::new()
        .map_response(|response: http::Response<_>| response.map(Body::new))
        .layer(SanitizeErrorsLayer::new())
        .service(app);
    let response = tower::ServiceExt::oneshot(whole, http::Request::new(Body::empty()))
        .await
        .unwrap();
    assert_eq!(response.status(), 500);
}
