//! `trunkline demo`: the whole product in one command. A real service on a store of its own, a real agent, the four vendors' APIs
//! over HTTP, one real SIP call; nothing is shown that did not happen.

mod client;
mod story;

use anyhow::Context;
use clap::Args;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::service::Service;
use crate::settings::ServeArgs;
use crate::vault;

/// The flags of `trunkline demo`.
#[derive(Args, Debug)]
pub(super) struct DemoArgs {
    /// Stop after the call; exits 0 where everything went well
    #[arg(long)]
    once: bool,
    /// Where HTTP listens; the first free port from here on
    #[arg(long, env = "TRUNKLINE_HTTP", default_value = "127.0.0.1:8080", value_name = "ADDRESS:PORT")]
    http: SocketAddr,
    /// Where SIP listens, over UDP and TCP; the first free port from here on
    #[arg(
        long,
        env = "TRUNKLINE_SIP",
        default_value = "udp:127.0.0.1:5060",
        value_name = "udp:ADDRESS:PORT"
    )]
    sip: String,
}

/// How many ports are looked at for a free one.
const PORTS: u16 = 50;

/// Runs the demo; serves on until stopped, or exits by its outcome with `--once`.
#[expect(clippy::print_stdout, reason = "this command's output")]
pub(super) async fn run(args: DemoArgs) -> anyhow::Result<ExitCode> {
    super::serve::start_log("error");
    let folder = Folder::new()?;
    let admin_key = format!("tl_admin_{}", vault::random_secret());
    let http = free(args.http, |address| std::net::TcpListener::bind(address).is_ok())?;
    let address = args.sip.strip_prefix("udp:").unwrap_or(&args.sip);
    let sip = address.parse().with_context(|| format!("--sip {}: give udp:ADDRESS:PORT", args.sip))?;
    let both = |a| std::net::UdpSocket::bind(a).is_ok() && std::net::TcpListener::bind(a).is_ok();
    let sip = free(sip, both)?;
    let store = format!("sqlite:{}", folder.0.join("demo.db").display());
    let settings = ServeArgs::embedded(store, http, sip, admin_key.clone()).resolve()?;
    let service = Service::start(settings).await?;
    let told = story::tell(&service, &admin_key).await;
    match &told {
        Ok(()) if !args.once => {
            println!("\nStill serving; Ctrl-C stops and removes the demo's data.");
            super::serve::until_told().await?;
        }
        Ok(()) | Err(_) => {}
    }
    service.stop().await?;
    told.map(|()| ExitCode::SUCCESS)
}

/// The first address from `wanted` on whose port is free.
fn free(wanted: SocketAddr, is_free: impl Fn(SocketAddr) -> bool) -> anyhow::Result<SocketAddr> {
    let ports = wanted.port()..wanted.port().saturating_add(PORTS);
    let mut addresses = ports.map(|port| SocketAddr::new(wanted.ip(), port));
    addresses.find(|address| is_free(*address)).with_context(|| format!("no free port from {wanted} on"))
}

/// A folder of the demo's own, removed when it is done.
struct Folder(PathBuf);

impl Folder {
    fn new() -> anyhow::Result<Self> {
        let name: [u8; 8] = crate::clock::random();
        let path = std::env::temp_dir().join(format!("trunkline-demo-{:016x}", u64::from_le_bytes(name)));
        std::fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(error = %error, "the demo's folder was not removed");
        }
    }
}
