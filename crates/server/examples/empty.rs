//! An empty axum handler: what HTTP itself costs, for `bench/http`.
//!
//! `cargo run --release --example empty [ADDRESS:PORT]` (default 127.0.0.1:8098).

use axum::Router;
use axum::routing::any;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8098".to_owned());
    let listener = tokio::net::TcpListener::bind(&address).await?;
    axum::serve(listener, Router::new().fallback(any(async || ""))).await?;
    Ok(())
}
