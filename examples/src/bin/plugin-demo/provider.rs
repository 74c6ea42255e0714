//! The service the plugin offers: it says what it got to see of a call.

use std::io;

use axum::{Router, extract::Request, response::IntoResponse};
use http::header::CONTENT_TYPE;
use serde_json::json;
use tokio::net::TcpListener;

/// Serves on 127.0.0.1 until the program ends; where.
pub(crate) async fn serve() -> io::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    tokio::spawn(axum::serve(listener, Router::new().fallback(tell)).into_future());
    Ok(url)
}

async fn tell(request: Request) -> impl IntoResponse {
    let header = |name: &str| Some(request.headers().get(name)?.to_str().ok()?.to_owned());
    let seen = json!({
        "path": request.uri().to_string(),
        "authorization": header("authorization"),
        "forwarded": header("forwarded"),
        "x-plugin-runtime-id": header("x-plugin-runtime-id"),
    });
    ([(CONTENT_TYPE, "application/json")], seen.to_string())
}
