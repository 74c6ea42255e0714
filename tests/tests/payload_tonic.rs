//! Checked messages on a tonic server behind a body guard, called by a tonic client, which reads the violations as
//! its library's typed details.

use std::{net::SocketAddr, pin::Pin};

use tokio::net::TcpListener;
use tokio_stream::{Stream, StreamExt, wrappers::TcpListenerStream};
use tonic::{
    Code, Request, Response, Status, Streaming,
    transport::{Channel, Endpoint, Server},
};
use tonic_types::StatusExt;
use tower::ServiceBuilder;
use tower_plugin_examples::proto::orders::{
    Line, PlaceAllResponse, PlaceRequest, PlaceResponse,
    orders_client::OrdersClient,
    orders_server::{Orders, OrdersServer},
};
use tower_plugin_validate::{
    BodyGuardLayer, BodyLimits, SanitizeErrorsLayer,
    payload::{CheckedStream, checked},
};

struct Shop;

#[tonic::async_trait]
impl Orders for Shop {
    async fn place(
        &self,
        request: Request<PlaceRequest>,
    ) -> Result<Response<PlaceResponse>, Status> {
        let order = checked(request)?.into_inner();
        Ok(Response::new(PlaceResponse {
            pieces: order.lines.len() as u32,
        }))
    }

    async fn place_all(
        &self,
        request: Request<Streaming<PlaceRequest>>,
    ) -> Result<Response<PlaceAllResponse>, Status> {
        let mut incoming = CheckedStream::new(request.into_inner());
        let mut orders = 0;
        while incoming.message().await?.is_some() {
            orders += 1;
        }
        Ok(Response::new(PlaceAllResponse { orders }))
    }

    type PlaceEachStream = Pin<Box<dyn Stream<Item = Result<PlaceResponse, Status>> + Send>>;

    async fn place_each(
        &self,
        request: Request<Streaming<PlaceRequest>>,
    ) -> Result<Response<Self::PlaceEachStream>, Status> {
        let orders = CheckedStream::new(request.into_inner());
        let answers = orders.map(|order| {
            Ok(PlaceResponse {
                pieces: order?.lines.len() as u32,
            })
        });
        Ok(Response::new(Box::pin(answers)))
    }
}

async fn client() -> OrdersClient<Channel> {
    let limits = BodyLimits::grpc()
        .to_builder()
        .message_bytes(1000)
        .messages(3)
        .build()
        .unwrap();
    let guard = ServiceBuilder::new()
        .layer(SanitizeErrorsLayer::new())
        .layer(BodyGuardLayer::new(limits));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    let server = Server::builder()
        .layer(guard)
        .add_service(OrdersServer::new(Shop));
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
    OrdersClient::new(endpoint.connect().await.unwrap())
}

fn order(customer: &str, quantities: &[u32]) -> PlaceRequest {
    let line = |&quantity| Line {
        sku: "apple".into(),
        quantity,
    };
    PlaceRequest {
        customer: customer.into(),
        lines: quantities.iter().map(line).collect(),
    }
}

/// The code, the message, and the violations as tonic-types reads them.
fn told(status: &Status) -> (Code, &str, Vec<(String, String)>) {
    let violations = status.get_details_bad_request().unwrap().field_violations;
    let violations = violations
        .into_iter()
        .map(|v| (v.field, v.description))
        .collect();
    (status.code(), status.message(), violations)
}

fn invalid(violations: &[(&str, &str)]) -> (Code, &'static str, Vec<(String, String)>) {
    let owned = |&(field, description): &(&str, &str)| (field.to_owned(), description.to_owned());
    (
        Code::InvalidArgument,
        "the request is not valid",
        violations.iter().map(owned).collect(),
    )
}

#[tokio::test]
async fn a_message_in_violation_is_refused_by_field() {
    let mut client = client().await;
    assert_eq!(
        client
            .place(order("alice", &[1, 2]))
            .await
            .unwrap()
            .into_inner()
            .pieces,
        2
    );

    let refused = client.place(order("", &[1, 5000])).await.unwrap_err();
    let expected = invalid(&[
        ("customer", "must be at least 1 and at most 64 long"),
        ("lines[1].quantity", "must be at least 1 and at most 1000"),
    ]);
    assert_eq!(told(&refused), expected);
    assert_eq!(refused.get_details_error_info().unwrap().reason, "INVALID");
}

#[tokio::test]
async fn sixteen_violations_of_many_are_told() {
    let mut client = client().await;
    let refused = client.place(order("a", &[0; 50])).await.unwrap_err();
    let (.., violations) = told(&refused);
    assert_eq!(violations.len(), 16);
    assert_eq!(violations[15].0, "lines[15].quantity");
}

#[tokio::test]
async fn a_stream_is_refused_at_its_first_message_in_violation() {
    let mut client = client().await;
    let wrong = vec![order("a", &[1]), order("", &[1]), order("a", &[0])];
    let refused = client
        .place_all(tokio_stream::iter(wrong))
        .await
        .unwrap_err();
    let expected = invalid(&[("customer", "must be at least 1 and at most 64 long")]);
    assert_eq!(told(&refused), expected);

    // What came before it was answered.
    let wrong = vec![order("a", &[1, 2]), order("", &[1]), order("a", &[1])];
    let answers = client.place_each(tokio_stream::iter(wrong)).await.unwrap();
    let mut answers = answers.into_inner();
    assert_eq!(answers.message().await.unwrap().unwrap().pieces, 2);
    assert_eq!(told(&answers.message().await.unwrap_err()), expected);
    assert!(answers.message().await.unwrap().is_none());
}

#[tokio::test]
async fn a_stream_ends_at_its_first_error_whoevers_it_is() {
    let messages = || {
        let wrong = Ok(order("", &[1]));
        tokio_stream::iter([Ok(order("a", &[1])), wrong, Ok(order("a", &[1]))])
    };
    let outcome: Vec<_> = CheckedStream::new(messages()).collect().await;
    assert_eq!(outcome.len(), 2);
    assert_eq!(
        outcome[1].as_ref().unwrap_err().code(),
        Code::InvalidArgument
    );

    let broken = tokio_stream::iter([Err(Status::aborted("torn")), Ok(order("a", &[1]))]);
    let outcome: Vec<_> = CheckedStream::new(broken).collect().await;
    assert_eq!(outcome.len(), 1);
    assert_eq!(outcome[0].as_ref().unwrap_err().code(), Code::Aborted);

    let mut checked = CheckedStream::new(messages());
    assert_eq!(
        checked.size_hint(),
        (0, Some(3)),
        "the first may be the last"
    );
    assert!(checked.message().await.unwrap().is_some());
    assert!(checked.message().await.is_err());
    assert_eq!(checked.size_hint(), (0, Some(0)));
    assert!(checked.message().await.unwrap().is_none());
}

#[tokio::test]
async fn a_message_too_large_is_resource_exhausted_unary_and_streamed() {
    let mut client = client().await;
    let large = order(&"x".repeat(2000), &[1]);
    let expected = |what: &str| {
        let violation = ("body".to_owned(), what.to_owned());
        (Code::ResourceExhausted, what.to_owned(), vec![violation])
    };
    let told = |status: &Status| {
        let (code, message, violations) = told(status);
        (code, message.to_owned(), violations)
    };
    let too_large = expected("a message is too large");

    let refused = client.place(large.clone()).await.unwrap_err();
    assert_eq!(told(&refused), too_large);
    assert_eq!(
        refused.get_details_error_info().unwrap().reason,
        "MESSAGE_SIZE"
    );

    let all = vec![order("a", &[1]), large.clone()];
    let refused = client.place_all(tokio_stream::iter(all)).await.unwrap_err();
    assert_eq!(told(&refused), too_large);

    let refused = client
        .place_all(tokio_stream::iter(vec![order("a", &[1]); 4]))
        .await;
    assert_eq!(
        told(&refused.unwrap_err()),
        expected("there are too many messages")
    );

    // The head of the answer is on its way before the second message comes.
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    sender.send(order("a", &[1])).await.unwrap();
    let messages = tokio_stream::wrappers::ReceiverStream::new(receiver);
    let mut answers = client.place_each(messages).await.unwrap().into_inner();
    assert!(answers.message().await.unwrap().is_some());
    sender.send(large).await.unwrap();
    assert_eq!(told(&answers.message().await.unwrap_err()), too_large);
}
