//! Agents that answer in a simulation: one SIP address, whose user part says how.
//!
//! | user | what becomes of a call |
//! | --- | --- |
//! | `echo`, and any other | answered at once; sound comes back |
//! | `slow-1500` | answered after so many milliseconds |
//! | `hangup-3` | answered, and hung up after so many seconds |
//! | `busy` | 486 |
//! | `reject`, `reject-503` | 603, or that status |
//! | `no-answer` | rings for two minutes |
//! | `silent` | nothing at all |
//!
//! The same address stands for the phone network's people, who are called by number: its last three digits say what becomes of it.
//!
//! | number ends with | what becomes of a call |
//! | --- | --- |
//! | 486, 603, 404, 503 | that status |
//! | 480 | rings for two minutes |
//! | 408 | nothing at all |
//! | 180 | answered after three seconds |
//! | 200 | answered, and hung up after three seconds |
//! | anything else | answered at once; sound comes back |

use anyhow::Context;
use sip::{
    AgentInput, AgentOutput, Answerer, AnswererConfig, Answering, Core, Local, Message, Timers, Transport,
};
use std::collections::{HashMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::net::UdpSocket;

use crate::cli::call::sdp;
use crate::clock;

/// The most calls at once that are answered in one way.
const CALLS_MAX: usize = 1_000;
/// The most different ways that are remembered.
const WAYS_MAX: usize = 64;
/// How many calls' ways are remembered.
const KNOWN_MAX: usize = 10_000;
/// The longest wait without anything to do.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The longest ringing or talking that a user part can ask for.
const LONGEST: Duration = Duration::from_hours(1);
/// How long nobody answers.
const NO_ANSWER: Duration = Duration::from_mins(2);

/// How a call is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Way {
    answering: Answering,
    hang_up_after: Option<Duration>,
}

impl Way {
    fn of(user: &str) -> Self {
        match Self::called(user) {
            Some(name) => Self::named(name),
            None => Self::named(user),
        }
    }

    /// Who answers a number.
    fn called(user: &str) -> Option<&'static str> {
        let digits = user.strip_prefix('+').unwrap_or(user);
        let number = digits.len() > 6 && digits.bytes().all(|b| b.is_ascii_digit());
        number.then(|| match &digits[digits.len() - 3..] {
            "486" => "busy",
            "603" => "reject",
            "404" => "reject-404",
            "503" => "reject-503",
            "480" => "no-answer",
            "408" => "silent",
            "180" => "slow-3000",
            "200" => "hangup-3",
            _ => "echo",
        })
    }

    fn named(user: &str) -> Self {
        let (word, number) = user.rsplit_once('-').map_or((user, None), |(w, n)| (w, n.parse::<u64>().ok()));
        let (word, number) = if number.is_some() { (word, number) } else { (user, None) };
        let (mut ring, mut hang_up_after) = (Duration::ZERO, None);
        let answering = match (word, number) {
            ("busy", None) => Answering::Refuse { status: 486 },
            ("reject", None) => Answering::Refuse { status: 603 },
            ("reject", Some(status @ 400..=699)) => {
                Answering::Refuse { status: u16::try_from(status).unwrap_or(603) }
            }
            ("silent", None) => Answering::Silent,
            (word, number) => {
                match (word, number) {
                    ("slow", Some(ms)) => ring = Duration::from_millis(ms).min(LONGEST),
                    ("hangup", Some(s)) => hang_up_after = Some(Duration::from_secs(s).min(LONGEST)),
                    ("no-answer", None) => ring = NO_ANSWER,
                    _ => {}
                }
                Answering::Accept { ring }
            }
        };
        Self { answering, hang_up_after }
    }
}

/// The agents' one address, until it is dropped.
pub(super) struct Agents {
    bound: SocketAddr,
    tasks: [tokio::task::JoinHandle<()>; 2],
}

impl Drop for Agents {
    fn drop(&mut self) {
        self.tasks.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

impl Agents {
    /// Begins to answer, where the last process of this store did if that can be had: endpoints name the address.
    pub(super) async fn start(file: &Path) -> anyhow::Result<Self> {
        let last = std::fs::read_to_string(file).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0);
        let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let socket = match UdpSocket::bind(at(last)).await {
            Ok(socket) => socket,
            Err(_) => UdpSocket::bind(at(0)).await.context("no port for the simulated agents")?,
        };
        let bound = socket.local_addr()?;
        super::write_whole(file, &bound.port().to_string()).with_context(|| file.display().to_string())?;
        let sound = UdpSocket::bind(at(0)).await?;
        let sdp = sdp(sound.local_addr()?);
        let up = Arc::new(AtomicUsize::new(0));
        let party = Party {
            socket,
            bound,
            sdp,
            ways: Vec::new(),
            known: VecDeque::new(),
            by_call: HashMap::new(),
            up: Arc::clone(&up),
        };
        let tasks = [tokio::spawn(party.run()), tokio::spawn(echo(sound, up))];
        Ok(Self { bound, tasks })
    }

    /// Where they answer.
    pub(super) fn address(&self) -> SocketAddr {
        self.bound
    }
}

struct Party {
    socket: UdpSocket,
    bound: SocketAddr,
    sdp: Vec<u8>,
    ways: Vec<(Way, Answerer)>,
    /// Which way a call is answered in, by its Call-ID, the oldest first.
    known: VecDeque<Vec<u8>>,
    by_call: HashMap<Vec<u8>, usize>,
    up: Arc<AtomicUsize>,
}

impl Party {
    async fn run(mut self) {
        let mut buffer = vec![0; 65_536];
        loop {
            let now = clock::instant();
            let due = self.ways.iter().filter_map(|(_, answerer)| answerer.next_deadline()).min();
            let wait = due.map_or(LOOK_EVERY, |due| due.saturating_duration_since(now)).min(LOOK_EVERY);
            tokio::select! {
                received = self.socket.recv_from(&mut buffer) => {
                    // Errors here tell of peers that are gone; the next datagram is what matters.
                    if let Ok((length, from)) = received
                        && let Some(way) = self.way(&buffer[..length])
                    {
                        let input = AgentInput::Message { from, bytes: &buffer[..length] };
                        self.ways[way].1.handle(clock::instant(), input);
                    }
                }
                () = clock::sleep(wait) => {
                    for (_, answerer) in &mut self.ways {
                        answerer.handle(clock::instant(), AgentInput::Tick);
                    }
                }
            }
            self.drain().await;
        }
    }

    /// The way of a message's call: by the user part of its first INVITE.
    fn way(&mut self, bytes: &[u8]) -> Option<usize> {
        let message = Message::parse(bytes).ok()?;
        let call_id = Core::read(&message).ok()?.call_id.to_vec();
        if let Some(way) = self.by_call.get(&call_id) {
            return Some(*way);
        }
        let uri = String::from_utf8_lossy(message.request_uri()).into_owned();
        let user =
            uri.split_once(':').and_then(|(_, rest)| rest.split_once('@')).map_or("echo", |(user, _)| user);
        let way = Way::of(user);
        let index = match self.ways.iter().position(|(known, _)| *known == way) {
            Some(index) => index,
            // Beyond the limit calls are answered in the first way there is.
            None if self.ways.len() >= WAYS_MAX => 0,
            None => {
                let answerer = self.answerer(&way);
                self.ways.push((way, answerer));
                self.ways.len() - 1
            }
        };
        if self.known.len() >= KNOWN_MAX
            && let Some(oldest) = self.known.pop_front()
        {
            self.by_call.remove(&oldest);
        }
        self.known.push_back(call_id.clone());
        self.by_call.insert(call_id, index);
        Some(index)
    }

    fn answerer(&self, way: &Way) -> Answerer {
        let Way { answering, hang_up_after } = way.clone();
        Answerer::new(AnswererConfig {
            local: Local { transport: Transport::Udp, addr: self.bound },
            answering,
            sdp: self.sdp.clone(),
            hang_up_after,
            reinvite_after: None,
            calls_max: CALLS_MAX,
            seed: u64::from_le_bytes(clock::random()),
            timers: Timers::default(),
        })
    }

    async fn drain(&mut self) {
        for (_, answerer) in &mut self.ways {
            while let Some(output) = answerer.poll() {
                match output {
                    AgentOutput::Send { to, bytes } => {
                        if let Err(error) = self.socket.send_to(&bytes, to).await {
                            tracing::debug!(error = %error, "a simulated agent's message was not sent");
                        }
                    }
                    AgentOutput::Event { .. } => {}
                }
            }
        }
        self.up.store(self.ways.iter().map(|(_, answerer)| answerer.up()).sum(), Ordering::Relaxed);
    }
}

/// Sends each packet of RTP (RFC 3550: version 2) back to where it came from, while a call is up.
async fn echo(socket: UdpSocket, up: Arc<AtomicUsize>) {
    let mut packet = vec![0; 2_048];
    loop {
        let Ok((length, from)) = socket.recv_from(&mut packet).await else { continue };
        let rtp = length >= 12 && packet[0] >> 6 == 2;
        if rtp
            && up.load(Ordering::Relaxed) > 0
            && let Err(error) = socket.send_to(&packet[..length], from).await
        {
            tracing::debug!(error = %error, "a packet of sound was not sent back");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_part_says_how() {
        let accept = |ms| Answering::Accept { ring: Duration::from_millis(ms) };
        let rows = [
            ("echo", accept(0), None),
            ("+14155550100", accept(0), None),
            ("slow-1500", accept(1_500), None),
            ("no-answer", accept(120_000), None),
            ("hangup-3", accept(0), Some(3)),
            ("busy", Answering::Refuse { status: 486 }, None),
            ("reject", Answering::Refuse { status: 603 }, None),
            ("reject-503", Answering::Refuse { status: 503 }, None),
            ("reject-200", accept(0), None),
            ("silent", Answering::Silent, None),
            ("+14155550486", Answering::Refuse { status: 486 }, None),
            ("14155550603", Answering::Refuse { status: 603 }, None),
            ("+14155550404", Answering::Refuse { status: 404 }, None),
            ("+14155550503", Answering::Refuse { status: 503 }, None),
            ("+14155550480", accept(120_000), None),
            ("+14155550408", Answering::Silent, None),
            ("+14155550180", accept(3_000), None),
            ("+14155550200", accept(0), Some(3)),
            ("486", accept(0), None),
        ];
        for (user, answering, seconds) in rows {
            let hang_up_after = seconds.map(Duration::from_secs);
            assert_eq!(Way::of(user), Way { answering, hang_up_after }, "{user}");
        }
    }
}
