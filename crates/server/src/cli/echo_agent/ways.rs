//! How messages reach an agent: one UDP socket, or the TCP connections that others make to it (and, for requests of its own
//! after such a connection is gone, ones that it makes).

use anyhow::bail;
use sip::{Frame, Framer, Transport};
use std::collections::HashMap;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::OwnedWriteHalf;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::mpsc::{self, Receiver, Sender};

/// Connections at once; more are closed unread.
const CONNECTIONS_MAX: usize = 256;
/// Messages that wait to be read by the agent.
const QUEUE: usize = 1_024;

/// What a connection's reader tells.
pub(super) enum Came {
    Message(SocketAddr, Vec<u8>),
    Closed(SocketAddr),
}

/// See the module's head.
pub(super) enum Ways {
    Udp(UdpSocket, Vec<u8>),
    Tcp {
        listener: TcpListener,
        came: Receiver<Came>,
        sender: Sender<Came>,
        writers: HashMap<SocketAddr, OwnedWriteHalf>,
    },
}

impl Ways {
    pub(super) async fn open(transport: Transport, bind: SocketAddr) -> anyhow::Result<Self> {
        match transport {
            Transport::Udp => Ok(Self::Udp(UdpSocket::bind(bind).await?, vec![0; 65_536])),
            Transport::Tcp => {
                let listener = TcpListener::bind(bind).await?;
                let (sender, came) = mpsc::channel(QUEUE);
                Ok(Self::Tcp { listener, came, sender, writers: HashMap::new() })
            }
            Transport::Tls | Transport::Ws | Transport::Wss => {
                bail!("calls over {} are not available yet", transport.name())
            }
        }
    }

    pub(super) fn local(&self) -> std::io::Result<SocketAddr> {
        match self {
            Self::Udp(socket, _) => socket.local_addr(),
            Self::Tcp { listener, .. } => listener.local_addr(),
        }
    }

    /// The next message. Safe to drop while it waits.
    pub(super) async fn receive(&mut self) -> (SocketAddr, Vec<u8>) {
        loop {
            match self {
                Self::Udp(socket, buffer) => {
                    // Errors here tell of peers that are gone; the next datagram is what matters.
                    if let Ok((length, from)) = socket.recv_from(buffer).await {
                        return (from, buffer[..length].to_vec());
                    }
                }
                Self::Tcp { listener, came, sender, writers } => tokio::select! {
                    accepted = listener.accept() => {
                        if let Ok((stream, from)) = accepted
                            && writers.len() < CONNECTIONS_MAX
                        {
                            take(stream, from, sender.clone(), writers);
                        }
                    }
                    Some(next) = came.recv() => match next {
                        Came::Message(from, bytes) => return (from, bytes),
                        Came::Closed(from) => drop(writers.remove(&from)),
                    },
                },
            }
        }
    }

    pub(super) async fn send(&mut self, to: SocketAddr, bytes: &[u8]) -> std::io::Result<()> {
        match self {
            Self::Udp(socket, _) => socket.send_to(bytes, to).await.map(drop),
            Self::Tcp { sender, writers, .. } => {
                if let Some(half) = writers.get_mut(&to)
                    && half.write_all(bytes).await.is_ok()
                {
                    return Ok(());
                }
                let stream = TcpStream::connect(to).await?;
                take(stream, to, sender.clone(), writers);
                match writers.get_mut(&to) {
                    Some(half) => half.write_all(bytes).await,
                    None => Ok(()),
                }
            }
        }
    }
}

fn take(
    stream: TcpStream,
    from: SocketAddr,
    sender: Sender<Came>,
    writers: &mut HashMap<SocketAddr, OwnedWriteHalf>,
) {
    let (mut read, write) = stream.into_split();
    writers.insert(from, write);
    tokio::spawn(async move {
        let mut framer = Framer::new();
        let mut buffer = vec![0; 8_192];
        'stream: while let Ok(length @ 1..) = read.read(&mut buffer).await {
            framer.push(&buffer[..length]);
            loop {
                match framer.next_frame() {
                    Ok(Some(Frame::Message(bytes))) => {
                        if sender.send(Came::Message(from, bytes)).await.is_err() {
                            return;
                        }
                    }
                    Ok(Some(Frame::Ping)) => {}
                    Ok(None) => break,
                    Err(_) => break 'stream,
                }
            }
        }
        // An agent that stopped before its connections did needs to hear nothing.
        drop(sender.send(Came::Closed(from)).await);
    });
}
