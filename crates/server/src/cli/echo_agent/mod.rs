//! `trunkline echo-agent --sip udp:127.0.0.1:5080`: answers calls and sends their sound back. The agent to try a number with.

mod party;
mod ways;

use anyhow::Context;
use clap::Args;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use super::serve::until_told;
use super::timeline::{Colour, Tone, since};
use crate::settings::transport_and_rest;
pub(crate) use party::EchoAgent;
use party::Told;

/// The flags of `trunkline echo-agent`.
#[derive(Args, Debug)]
pub(super) struct EchoAgentArgs {
    /// Where to answer: udp: or tcp:, address, port
    #[arg(long, default_value = "udp:127.0.0.1:5080", value_name = "TRANSPORT:ADDRESS:PORT")]
    sip: String,
    /// How long to let it ring before answering, in milliseconds
    #[arg(long, default_value_t = 0)]
    ring_ms: u64,
}

/// Answers calls until Ctrl-C.
#[expect(clippy::print_stdout, reason = "a line for each call is this command's output")]
pub(super) async fn run(args: EchoAgentArgs) -> anyhow::Result<ExitCode> {
    let EchoAgentArgs { sip, ring_ms } = args;
    let (transport, address) =
        transport_and_rest(&sip).with_context(|| format!("--sip {sip}: begin with udp: or tcp:"))?;
    let bind: SocketAddr =
        address.parse().with_context(|| format!("--sip {sip}: not an address and port"))?;
    let colour = Colour::of(&std::io::stdout());
    let tell = move |told: &Told| println!("{}", line(told, colour));
    let agent = EchoAgent::start_with(transport, bind, Duration::from_millis(ring_ms), tell).await?;
    println!("echo agent answers on {}:{} (Ctrl-C stops it)", transport.param(), agent.address());
    until_told().await?;
    agent.stop().await;
    Ok(ExitCode::SUCCESS)
}

fn line(told: &Told, colour: Colour) -> String {
    match told {
        Told::Invited { from, to } => {
            format!("{} {from} → {to}", colour.paint(Tone::Ask.code(), "call    "))
        }
        Told::Answered => colour.paint(Tone::Good.code(), "answered"),
        Told::Ended { talked, echoed } => {
            let heading = colour.paint(Tone::Note.code(), "ended   ");
            format!("{heading} after {}, {echoed} packets of sound echoed in all", since(*talked))
        }
    }
}
