//! How soon a write at one node is what the next INVITE at another node meets, for `bench/feed`.
//!
//! `feed HTTP SIP KEY ORGANIZATION FIRST COUNT ENDPOINT=PORT ENDPOINT=PORT WRITES SECONDS`. Numbers from FIRST on are bound to one endpoint
//! and then to the other, WRITES a second in all, through the node at HTTP. One of them is watched at a time: once its write is answered, the
//! node at SIP is called again and again until a call comes to the new endpoint's PORT. The time is that from the answer of the write to the INVITE that went right.
#![expect(clippy::print_stdout, reason = "this program's output")]
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
#![expect(clippy::cast_precision_loss, reason = "figures for people")]

use anyhow::{Context, Result, bail, ensure};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::net::UdpSocket;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Writes under way at once; those that find no place are not made, and the rate shows it.
const UNDER_WAY: usize = 256;
/// How long a write may stay unseen at the other node.
const UNSEEN: Duration = Duration::from_secs(10);

struct Place {
    endpoint: String,
    socket: UdpSocket,
}

struct Bench {
    http: reqwest::Client,
    base: String,
    key: String,
    organization: String,
    first: u64,
    count: u64,
    places: [Place; 2],
}

impl Bench {
    /// Binds a number to a place's endpoint.
    async fn bind(&self, number: u64, place: usize) -> Result<()> {
        let url = format!("{}/api/v1/numbers/%2B{number}", self.base);
        let body = serde_json::json!({ "endpoint_id": self.places[place].endpoint });
        let request =
            self.http.patch(url).bearer_auth(&self.key).header("x-organization-id", &self.organization);
        let answer = request.json(&body).send().await?;
        ensure!(answer.status().is_success(), "a write was answered {}", answer.status());
        answer.bytes().await?;
        Ok(())
    }

    /// The place where a call of this name has come to; it is busy there.
    async fn arrival(&self, call: &str) -> Result<usize> {
        let mut buffers = [[0; 4096]; 2];
        let [one, two] = &mut buffers;
        loop {
            let (place, length, from) = tokio::select! {
                got = self.places[0].socket.recv_from(one) => { let (length, from) = got?; (0, length, from) }
                got = self.places[1].socket.recv_from(two) => { let (length, from) = got?; (1, length, from) }
            };
            let text = String::from_utf8_lossy(if place == 0 { &one[..length] } else { &two[..length] });
            if !text.starts_with("INVITE ") {
                continue;
            }
            self.places[place].socket.send_to(busy(&text).as_bytes(), from).await?;
            if text.contains(call) {
                return Ok(place);
            }
        }
    }

    /// Calls a number until it leads to `wanted`: when the INVITE that did was sent, and how many did not.
    async fn watch(
        &self,
        caller: &UdpSocket,
        number: u64,
        wanted: usize,
        serial: &mut u64,
    ) -> Result<(Instant, u32)> {
        let began = Instant::now();
        let mut stale = 0;
        while began.elapsed() < UNSEEN {
            *serial += 1;
            let call = format!("feed-{serial}-{}", std::process::id());
            let invite = invite(number, &call, caller.local_addr()?, caller.peer_addr()?);
            let sent = Instant::now();
            caller.send(invite.as_bytes()).await?;
            let both = async { tokio::try_join!(self.arrival(&call), hear_final(caller, &invite, &call)) };
            let (place, ()) =
                timeout(Duration::from_secs(2), both).await.context("a call was not answered")??;
            if place == wanted {
                return Ok((sent, stale));
            }
            stale += 1;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        bail!("a write was not seen at the other node")
    }
}

/// 486 to an INVITE, with what an answer takes from its request (RFC 3261 section 8.2.6.2).
fn busy(invite: &str) -> String {
    let mut answer = "SIP/2.0 486 Busy Here\r\n".to_owned();
    for line in invite.lines().skip(1).take_while(|line| !line.is_empty()) {
        let name = line.split(':').next().unwrap_or_default();
        if ["Via", "From", "Call-ID", "CSeq"].contains(&name) {
            answer += &[line, "\r\n"].concat();
        } else if name == "To" {
            answer += &[line, ";tag=busy\r\n"].concat();
        }
    }
    answer + "Content-Length: 0\r\n\r\n"
}

fn invite(number: u64, call: &str, from: SocketAddr, edge: SocketAddr) -> String {
    format!(
        "INVITE sip:+{number}@{edge} SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bK{call};rport\r\nMax-Forwards: 70\r\n\
         From: <sip:+12025550100@{from}>;tag={call}\r\nTo: <sip:+{number}@{edge}>\r\nCall-ID: {call}\r\nCSeq: 1 INVITE\r\n\
         Contact: <sip:bench@{from}>\r\nContent-Length: 0\r\n\r\n"
    )
}

/// Waits for the call's final answer, which is to be 486, and acknowledges it.
async fn hear_final(caller: &UdpSocket, invite: &str, call: &str) -> Result<()> {
    let mut buffer = [0; 4096];
    loop {
        let length = caller.recv(&mut buffer).await?;
        let text = String::from_utf8_lossy(&buffer[..length]);
        let status = text.get(8..11).unwrap_or_default();
        if !text.contains(call) || status.starts_with('1') {
            continue;
        }
        let to = |text: &str| text.lines().find(|line| line.starts_with("To:")).map(str::to_owned);
        let (theirs, ours) = (to(&text).context("an answer without To")?, to(invite).unwrap_or_default());
        caller.send(invite.replace("INVITE", "ACK").replace(&ours, &theirs).as_bytes()).await?;
        ensure!(status == "486", "a call was answered {status}");
        return Ok(());
    }
}

/// Writes at a steady rate until it is dropped.
async fn load(bench: Arc<Bench>, rate: u64, done: Arc<AtomicU64>) -> Result<()> {
    let places = Arc::new(Semaphore::new(UNDER_WAY));
    let mut tick = tokio::time::interval(Duration::from_micros(1_000_000 / rate));
    for turn in 0_u64.. {
        tick.tick().await;
        let Ok(permit) = Arc::clone(&places).try_acquire_owned() else { continue };
        // The first hundred are watched.
        let number = bench.first + 100 + turn % (bench.count - 100);
        let place = usize::from((turn / (bench.count - 100)).is_multiple_of(2));
        let (bench, done) = (Arc::clone(&bench), Arc::clone(&done));
        tokio::spawn(async move {
            // The counter tells of those that succeeded; one that did not is not counted.
            if bench.bind(number, place).await.is_ok() {
                done.fetch_add(1, Ordering::Relaxed);
            }
            drop(permit);
        });
    }
    Ok(())
}

fn at(sorted: &[Duration], percent: usize) -> f64 {
    sorted[(sorted.len() * percent / 100).min(sorted.len() - 1)].as_secs_f64() * 1e3
}

async fn place(argument: &str) -> Result<Place> {
    let (endpoint, port) = argument.split_once('=').context("ENDPOINT=PORT is wanted")?;
    Ok(Place { endpoint: endpoint.to_owned(), socket: UdpSocket::bind(format!("127.0.0.1:{port}")).await? })
}

#[tokio::main]
async fn main() -> Result<()> {
    // The first to install one wins; there is no other here.
    drop(rustls::crypto::ring::default_provider().install_default());
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [base, sip, key, organization, first, count, one, two, rate, seconds] = &arguments[..] else {
        bail!("see the head of this file")
    };
    let places = [place(one).await?, place(two).await?];
    let (http, base, key, organization) =
        (reqwest::Client::new(), base.clone(), key.clone(), organization.clone());
    let bench = Arc::new(Bench {
        http,
        base,
        key,
        organization,
        first: first.parse()?,
        count: count.parse()?,
        places,
    });
    let (rate, seconds): (u64, u64) = (rate.parse()?, seconds.parse()?);
    ensure!(bench.count > 100 && rate > 0, "more than a hundred numbers and a rate are wanted");
    let caller = UdpSocket::bind("127.0.0.1:0").await?;
    caller.connect(sip).await?;

    for number in bench.first..bench.first + 100 {
        bench.bind(number, 0).await?;
    }
    // The other node has these by then, whatever way it follows.
    tokio::time::sleep(Duration::from_secs(3)).await;

    let done = Arc::new(AtomicU64::new(0));
    let loading = tokio::spawn(load(Arc::clone(&bench), rate, Arc::clone(&done)));
    let (began, mut serial, mut times, mut stale) = (Instant::now(), 0, Vec::new(), 0);
    for turn in 0_u64.. {
        if began.elapsed() >= Duration::from_secs(seconds) {
            break;
        }
        let (number, wanted) = (bench.first + turn % 100, usize::from((turn / 100).is_multiple_of(2)));
        bench.bind(number, wanted).await?;
        let answered = Instant::now();
        let (right, wrong) = bench.watch(&caller, number, wanted, &mut serial).await?;
        times.push(right.duration_since(answered));
        stale += wrong;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    loading.abort();
    times.sort();
    let rate = done.load(Ordering::Relaxed) as f64 / began.elapsed().as_secs_f64();
    println!(
        "{} writes watched under {rate:.0} others a second: next INVITE right after p50 {:.1} ms, p99 {:.1} ms, most {:.1} ms; {stale} calls went to the old place",
        times.len(),
        at(&times, 50),
        at(&times, 99),
        at(&times, 100)
    );
    Ok(())
}
