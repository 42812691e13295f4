//! SIP over WebSocket (RFC 7118): the subprotocol is agreed on, then each frame is one message. The frames themselves
//! (RFC 6455) are tungstenite's. Not TLS, which is under it, and not the limits on silence, which are the connection's.

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use http::HeaderValue;
use http::header::SEC_WEBSOCKET_PROTOCOL;
use sip::Fault;
use std::io;
use std::net::SocketAddr;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::error::{CapacityError, Error};
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes, Message};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async_with_config, client_async_with_config};

use super::connection::{Came, Close, Put, Take};
use super::{Piece, What};

/// The subprotocol (RFC 7118 section 4.1).
const SIP: HeaderValue = HeaderValue::from_static("sip");
/// What is read at once; every connection has it.
const READ_BYTES: usize = 4_096;
/// What waits to be written beside one message: answers to pings, and the farewell.
const WRITE_MORE: usize = 4_096;

/// What is told to who asks for something else.
const NOT_ASKED: &str =
    "This port speaks SIP over WebSocket (RFC 7118): ask with GET and `Upgrade: websocket`, version 13.\n";
const NOT_SIP: &str =
    "This port speaks SIP over WebSocket (RFC 7118): offer `Sec-WebSocket-Protocol: sip`.\n";

fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BYTES)
        // What is written leaves at once.
        .write_buffer_size(0)
        .max_write_buffer_size(sip::MESSAGE_MAX * 2 + WRITE_MORE)
        .max_message_size(Some(sip::MESSAGE_MAX))
        .max_frame_size(Some(sip::MESSAGE_MAX))
}

/// Agrees with a client. Who does not ask for WebSocket, or not for SIP in it, is told so by HTTP.
pub(super) async fn accept<S>(mut stream: S) -> Option<WebSocketStream<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut named = false;
    #[expect(clippy::result_large_err, reason = "the library's own type")]
    let chosen = |request: &Request, mut response: Response| {
        named = true;
        if !offers_sip(request) {
            return Err(refusal());
        }
        response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, SIP);
        Ok(response)
    };
    let agreed = accept_hdr_async_with_config(&mut stream, chosen, None).await.is_ok();
    if agreed {
        // A client waits for the answer, so nothing was read beyond the handshake.
        return Some(WebSocketStream::from_raw_socket(stream, Role::Server, Some(config())).await);
    }
    if !named {
        let length = NOT_ASKED.len();
        let told = format!(
            "HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nConnection: close\r\n\
             Content-Type: text/plain\r\nContent-Length: {length}\r\n\r\n{NOT_ASKED}"
        );
        drop(stream.write_all(told.as_bytes()).await);
    }
    drop(stream.shutdown().await);
    None
}

/// A client may offer several, in one line or in many.
fn offers_sip(request: &Request) -> bool {
    let lines = request.headers().get_all(SEC_WEBSOCKET_PROTOCOL).iter();
    let mut offered = lines.filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(','));
    offered.any(|one| one.trim().eq_ignore_ascii_case("sip"))
}

fn refusal() -> ErrorResponse {
    let mut refusal = ErrorResponse::new(Some(NOT_SIP.to_owned()));
    *refusal.status_mut() = http::StatusCode::BAD_REQUEST;
    for (name, value) in [
        (http::header::CONNECTION, HeaderValue::from_static("close")),
        (http::header::CONTENT_TYPE, HeaderValue::from_static("text/plain")),
        (http::header::CONTENT_LENGTH, HeaderValue::from(NOT_SIP.len())),
    ] {
        refusal.headers_mut().insert(name, value);
    }
    refusal
}

/// Agrees with a server: a target. `host` is its name, where it is known by one.
pub(super) async fn ask<S>(
    stream: S,
    (host, remote): (Option<&str>, SocketAddr),
) -> Result<WebSocketStream<S>, Fault>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let named = host.map_or_else(|| remote.to_string(), |host| format!("{host}:{}", remote.port()));
    let request = format!("ws://{named}/").into_client_request();
    let mut request = request.map_err(|_| Fault::Upgrade)?;
    request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, SIP);
    // A server that does not choose our only subprotocol is refused there.
    let agreed = client_async_with_config(request, stream, Some(config())).await;
    agreed.map(|(stream, _)| stream).map_err(|_| Fault::Upgrade)
}

/// The side that reads.
pub(super) struct Reader<S>(SplitStream<WebSocketStream<S>>);
/// The side that writes.
pub(super) struct Writer<S>(SplitSink<WebSocketStream<S>, Message>);

/// Both sides.
pub(super) fn split<S>(stream: WebSocketStream<S>) -> (Reader<S>, Writer<S>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (write, read) = stream.split();
    (Reader(read), Writer(write))
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Take for Reader<S> {
    async fn take(&mut self) -> Result<Came, Close> {
        match self.0.next().await {
            Some(Ok(Message::Text(text))) => whole(&Bytes::from(text)),
            Some(Ok(Message::Binary(bytes))) => whole(&bytes),
            // The library answers it when it reads on.
            Some(Ok(Message::Ping(_) | Message::Frame(_))) => Ok(Came::Part),
            Some(Ok(Message::Pong(_))) => Ok(Came::Pong),
            Some(Err(Error::Capacity(CapacityError::MessageTooLong { .. }))) => Err(Close::TooLong),
            Some(Err(Error::Protocol(_) | Error::Utf8(_))) => Err(Close::Malformed),
            Some(Ok(Message::Close(_)) | Err(_)) | None => Err(Close::Gone),
        }
    }

    /// Part of a frame shows in nothing but silence, which is bounded: who is asked in the midst of one cannot answer.
    fn partial(&self) -> bool {
        false
    }
}

/// Line breaks are no keep-alive here (RFC 7118 section 6 has pings), but some send them: they are passed over. What is no SIP at
/// all ends the connection, as it does where bytes are framed.
fn whole(bytes: &[u8]) -> Result<Came, Close> {
    if bytes.iter().all(|byte| matches!(byte, b'\r' | b'\n')) {
        return Ok(Came::Part);
    }
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    if !line.windows(4).any(|four| four.eq_ignore_ascii_case(b"SIP/")) {
        return Err(Close::NotSip);
    }
    Ok(Came::Message(bytes.to_vec()))
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Put for Writer<S> {
    async fn put(&mut self, pieces: &mut Vec<Piece>) -> io::Result<()> {
        for piece in pieces.drain(..) {
            let message = match piece.what {
                What::Ping => Message::Ping(Bytes::new()),
                What::Pong => continue,
                // Browsers' clients read text; what is none can only go as it is (RFC 7118 section 5).
                What::Message(bytes) => match String::from_utf8(bytes) {
                    Ok(text) => Message::text(text),
                    Err(error) => Message::binary(error.into_bytes()),
                },
            };
            self.0.feed(message).await.map_err(io::Error::other)?;
        }
        self.0.flush().await.map_err(io::Error::other)
    }

    async fn end(&mut self, why: Close) {
        let (code, reason) = match why {
            Close::Gone => return drop(self.0.close().await),
            Close::Leaving => (CloseCode::Away, "the service ends its connections"),
            Close::Silent => (CloseCode::Policy, "nothing was heard for too long"),
            Close::TooLong => (CloseCode::Size, "a message may have 65535 bytes"),
            Close::NotSip => (CloseCode::Invalid, "what was sent is no SIP"),
            Close::Malformed => (CloseCode::Protocol, "what was sent is no WebSocket frame"),
        };
        let frame = CloseFrame { code, reason: reason.into() };
        drop(self.0.send(Message::Close(Some(frame))).await);
        drop(self.0.close().await);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;

    async fn asked(request: &str) -> (bool, String) {
        let (mut near, far) = tokio::io::duplex(8_192);
        near.write_all(request.as_bytes()).await.unwrap();
        let accepted = tokio::spawn(async move { accept(far).await });
        let mut told = vec![0; 2_048];
        let length = near.read(&mut told).await.unwrap();
        (accepted.await.unwrap().is_some(), String::from_utf8_lossy(&told[..length]).into_owned())
    }

    const UPGRADE: &str = "GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";

    #[tokio::test]
    async fn sip_is_chosen_wherever_it_is_offered() {
        for offer in ["sip", "SIP", "xmpp, sip", "xmpp\r\nSec-WebSocket-Protocol: sip"] {
            let (taken, told) = asked(&format!("{UPGRADE}Sec-WebSocket-Protocol: {offer}\r\n\r\n")).await;
            assert!(taken && told.starts_with("HTTP/1.1 101 "), "{told}");
            assert!(told.contains("sec-websocket-protocol: sip\r\n"), "{told}");
            assert!(told.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "RFC 6455 section 1.3: {told}");
        }
    }

    #[tokio::test]
    async fn who_asks_for_something_else_is_told_what_to_ask_for() {
        for (request, status, words) in [
            (format!("{UPGRADE}\r\n"), "400", NOT_SIP),
            (format!("{UPGRADE}Sec-WebSocket-Protocol: sips, xmpp\r\n\r\n"), "400", NOT_SIP),
            ("GET / HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(), "426", NOT_ASKED),
            ("POST / HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(), "426", NOT_ASKED),
            (UPGRADE.replace("Version: 13", "Version: 8") + "\r\n", "426", NOT_ASKED),
            ("OPTIONS sip:a SIP/2.0\r\n\r\n".to_owned(), "426", NOT_ASKED),
        ] {
            let (taken, told) = asked(&request).await;
            assert!(!taken && told.starts_with(&format!("HTTP/1.1 {status} ")), "{request}: {told}");
            assert!(told.ends_with(words), "{told}");
        }
    }
}
