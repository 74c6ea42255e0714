//! A tonic service that checks what it is sent: the head of a call, the size of each message before it arrives,
//! and each message by the rules its type was generated with (`build.rs`).
//!
//! `cargo run --bin tonic-validate` starts the server, calls it as good and bad clients would, prints what they
//! were told, and ends. With `--serve` it goes on serving.

use std::{error::Error, net::SocketAddr, pin::Pin};

use clap::Parser;
use tokio::net::TcpListener;
use tokio_stream::{Stream, StreamExt, wrappers::TcpListenerStream};
use tonic::{
    Request, Response, Status, Streaming,
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
    BodyGuardLayer, BodyLimits, SanitizeErrorsLayer, ValidateLayer,
    payload::{CheckedStream, checked},
};

#[derive(Parser)]
struct Arguments {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Go on serving after the demonstration.
    #[arg(long)]
    serve: bool,
}

struct Shop;

#[tonic::async_trait]
impl Orders for Shop {
    async fn place(
        &self,
        request: Request<PlaceRequest>,
    ) -> Result<Response<PlaceResponse>, Status> {
        let order = checked(request)?.into_inner();
        if order.customer == "nobody" {
            // What goes wrong inside stays inside: `SanitizeErrorsLayer`.
            return Err(Status::internal("no row in /var/lib/shop/customers.db"));
        }
        Ok(Response::new(answer(&order)))
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
        let answers = orders.map(|order| Ok(answer(&order?)));
        Ok(Response::new(Box::pin(answers)))
    }
}

fn answer(order: &PlaceRequest) -> PlaceResponse {
    let pieces = order.lines.iter().map(|line| line.quantity).sum();
    PlaceResponse { pieces }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let listener = TcpListener::bind(arguments.listen).await?;
    let address = listener.local_addr()?;

    let limits = BodyLimits::grpc()
        .to_builder()
        .message_bytes(16 * 1024)
        .messages(3);
    let guard = ServiceBuilder::new()
        .layer(SanitizeErrorsLayer::new())
        .layer(ValidateLayer::grpc())
        .layer(BodyGuardLayer::new(limits.build()?));
    let server = Server::builder()
        .layer(guard)
        .add_service(OrdersServer::new(Shop));
    let serving = tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));

    println!("listening on http://{address}");
    let channel = Endpoint::from_shared(format!("http://{address}"))?
        .connect()
        .await?;
    demonstrate(OrdersClient::new(channel)).await;

    if arguments.serve {
        serving.await??;
    }
    Ok(())
}

async fn demonstrate(mut client: OrdersClient<Channel>) {
    let good = order("alice", 2);
    let placed = client.place(good.clone()).await;
    tell(
        "in order",
        placed.map(|response| format!("{} pieces", response.into_inner().pieces)),
    );

    let nothing = client.place(order("", 0)).await;
    tell("two rules broken", nothing.map(|_| String::new()));

    let large = client.place(order(&"x".repeat(20_000), 1)).await;
    tell("a message too large", large.map(|_| String::new()));

    let third_is_wrong = vec![good.clone(), good.clone(), order("bob", 5000)];
    let all = client.place_all(tokio_stream::iter(third_is_wrong)).await;
    tell("the third of a stream", all.map(|_| String::new()));

    let all = client.place_all(tokio_stream::iter(vec![good; 4])).await;
    tell("too many in a stream", all.map(|_| String::new()));

    let broken = client
        .place(order("nobody", 1))
        .await
        .map(|_| String::new());
    tell(
        "broken inside",
        broken.map_err(|status| without_reference(&status)),
    );
}

fn order(customer: &str, quantity: u32) -> PlaceRequest {
    let sku = "apple".to_owned();
    PlaceRequest {
        customer: customer.to_owned(),
        lines: vec![Line { sku, quantity }],
    }
}

fn tell(what: &str, outcome: Result<String, Status>) {
    let status = match outcome {
        Ok(answer) => return println!("{what}: {answer}"),
        Err(status) => status,
    };
    println!("{what}: {:?}: {}", status.code(), status.message());
    let violations = status.get_details_bad_request();
    for violation in violations
        .into_iter()
        .flat_map(|request| request.field_violations)
    {
        println!("  {}: {}", violation.field, violation.description);
    }
}

/// It is another one in each run.
fn without_reference(status: &Status) -> Status {
    let message = status
        .message()
        .split(", reference ")
        .next()
        .unwrap_or_default();
    Status::new(status.code(), message)
}
