//! A target that is asked whether it is alive (RFC 5626 section 3.5.1, RFC 7118 section 6), and at some time is not: its connection is
//! closed, and the next call makes another. In milliseconds where the product has seconds.

use futures_util::{SinkExt, StreamExt};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::{Bytes, Message};

use super::Patience;
use super::tests::Stage;
use crate::cli::call::Outcome;
use sip::Transport;

/// Answers calls at once, and pings as often as it is told. What happened is told in words.
struct Pinged {
    listener: TcpListener,
    story: UnboundedSender<String>,
    web: bool,
    pongs: usize,
}

impl Pinged {
    /// Takes connections one after the other, until each ends.
    async fn serve(self) {
        loop {
            let (stream, _) = self.listener.accept().await.unwrap();
            self.tell("connected");
            if self.web {
                self.talk_web(stream).await;
            } else {
                self.talk(stream).await;
            }
            self.tell("closed");
        }
    }

    fn tell(&self, word: &str) {
        self.story.send(word.to_owned()).unwrap();
    }

    async fn talk(&self, stream: TcpStream) {
        let (mut read, mut write) = stream.into_split();
        let (mut framer, mut pongs, mut buffer) = (sip::Framer::new(), self.pongs, [0; 4_096]);
        while let Ok(length @ 1..) = read.read(&mut buffer).await {
            framer.push(&buffer[..length]);
            while let Some(frame) = framer.next_frame().unwrap() {
                let (word, bytes) = match frame {
                    sip::Frame::Message(bytes) => match answered(&bytes) {
                        Some(told) => told,
                        None => continue,
                    },
                    sip::Frame::Ping if pongs > 0 => {
                        pongs -= 1;
                        ("pong".to_owned(), sip::Framer::PONG.to_vec())
                    }
                    sip::Frame::Ping => ("ping".to_owned(), Vec::new()),
                };
                self.tell(&word);
                write.write_all(&bytes).await.unwrap();
            }
        }
    }

    async fn talk_web(&self, stream: TcpStream) {
        #[expect(clippy::result_large_err, reason = "the library's own type")]
        let chosen = |request: &Request, mut response: Response| {
            let offered = request.headers().get("sec-websocket-protocol").cloned();
            response.headers_mut().insert("sec-websocket-protocol", offered.unwrap());
            Ok(response)
        };
        let mut stream = tokio_tungstenite::accept_hdr_async(stream, chosen).await.unwrap();
        let mut pongs = self.pongs;
        while let Some(Ok(message)) = stream.next().await {
            match message {
                Message::Text(text) => {
                    let Some((word, bytes)) = answered(text.as_bytes()) else { continue };
                    self.tell(&word);
                    stream.send(Message::Binary(Bytes::from(bytes))).await.unwrap();
                }
                // Its pong leaves when it is read on.
                Message::Ping(_) if pongs > 0 => {
                    pongs -= 1;
                    self.tell("pong");
                }
                Message::Ping(_) => {
                    self.tell("ping");
                    break;
                }
                other => panic!("nothing else is sent, line breaks least of all: {other:?}"),
            }
        }
        let mut left = Vec::new();
        drop(stream.get_mut().read_to_end(&mut left).await);
        let said = String::from_utf8_lossy(&left).into_owned();
        // Masked, since it is from a client: a close frame all the same.
        assert!(left.first() == Some(&0x88), "the connection is closed with a reason: {said:?}");
    }
}

/// The 200 to a request, with its method; none to an ACK.
fn answered(bytes: &[u8]) -> Option<(String, Vec<u8>)> {
    use sip::{Message, Method, Name};
    let message = Message::parse(bytes).unwrap();
    let method = message.method().filter(|method| *method != Method::Ack)?;
    let same = [
        ("Via", Name::Via),
        ("Record-Route", Name::RecordRoute),
        ("From", Name::From),
        ("Call-ID", Name::CallId),
        ("CSeq", Name::CSeq),
    ];
    let rows = same.into_iter().flat_map(|(title, name)| {
        message.values(name).map(move |value| format!("{title}: {}\r\n", String::from_utf8_lossy(value)))
    });
    let rows: String = rows.collect();
    let to = String::from_utf8_lossy(message.value(Name::To).unwrap()).into_owned();
    let tag = if to.contains("tag=") { "" } else { ";tag=pinged" };
    let sdp = if method == Method::Invite {
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\n"
    } else {
        ""
    };
    let kind = if sdp.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
    let length = sdp.len();
    let out = format!(
        "SIP/2.0 200 OK\r\n{rows}To: {to}{tag}\r\nContact: <sip:pinged@127.0.0.1;transport=tcp>\r\n\
         {kind}Content-Length: {length}\r\n\r\n{sdp}"
    );
    Some((format!("{method:?}"), out.into_bytes()))
}

async fn heard(told: &mut UnboundedReceiver<String>) -> Vec<String> {
    let mut heard = Vec::new();
    while heard.last().is_none_or(|word| word != "closed") {
        let next = tokio::time::timeout(Duration::from_secs(5), told.recv()).await;
        heard.push(next.expect("the edge closes what answers no more").unwrap());
    }
    heard
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_pong_closes_the_flow_and_the_next_call_makes_another() {
    for (web, pongs, story) in [
        (false, 1, vec!["connected", "Invite", "Bye", "pong", "ping", "closed"]),
        (true, 1, vec!["connected", "Invite", "Bye", "pong", "ping", "closed"]),
        // Whoever speaks WebSocket answers pings: the first that is not ends it.
        (true, 0, vec!["connected", "Invite", "Bye", "ping", "closed"]),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let transport = if web { "ws" } else { "tcp" };
        let target = format!("sip:{};transport={transport}", listener.local_addr().unwrap());
        let (sender, mut told) = unbounded_channel();
        let agent = tokio::spawn(Pinged { listener, story: sender, web, pongs }.serve());
        let patience = Patience {
            ping: Duration::from_millis(300),
            pong: Duration::from_millis(200),
            ..Patience::default()
        };
        let stage = Stage::set_with(&format!("pong-{transport}-{pongs}"), &[target], patience).await;
        for _ in 0..2 {
            assert_eq!(stage.call("+14155550100", Transport::Udp).await.outcome, Outcome::Completed);
            assert_eq!(heard(&mut told).await, story);
        }
        assert_eq!(stage.calls().await.len(), 2);
        agent.abort();
    }
}
