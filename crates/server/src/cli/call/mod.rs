//! `trunkline call +1415… --via 127.0.0.1:5060`: places one call, shows it, and exits by its outcome.

mod media;
mod party;

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use sip::Transport;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;
use tokio::sync::Notify;

use super::timeline::{self, Colour, Tone};
pub(crate) use media::sdp;
pub(crate) use party::{CallOrder, CallReport, Outcome, place, place_from};

/// The flags of `trunkline call`.
#[derive(Args, Debug)]
pub(super) struct CallArgs {
    /// The number to call, such as +14155550100
    number: String,
    /// Where to send the call: a service, or anything that speaks SIP
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:5060")]
    via: String,
    /// How
    #[arg(long, value_enum, default_value_t = Means::Udp)]
    transport: Means,
    /// Who calls
    #[arg(long, default_value = "+12125550100")]
    from: String,
    /// The user name of SIP credentials, where the other side asks: a number's, to call from it
    #[arg(long, requires = "password")]
    user: Option<String>,
    /// The password of them
    #[arg(long, env = "TRUNKLINE_SIP_PASSWORD", hide_env_values = true)]
    password: Option<String>,
    /// How long to talk before hanging up
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// How long to let it ring before giving up
    #[arg(long, default_value_t = 60.0)]
    ring: f64,
}

/// A transport, as a flag.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Means {
    /// Datagrams.
    Udp,
    /// A stream.
    Tcp,
}

impl From<Means> for Transport {
    fn from(means: Means) -> Self {
        match means {
            Means::Udp => Self::Udp,
            Means::Tcp => Self::Tcp,
        }
    }
}

/// Places the call and prints it; the exit code tells the outcome.
#[expect(clippy::print_stdout, reason = "this command's output")]
pub(super) async fn run(args: CallArgs) -> anyhow::Result<ExitCode> {
    let CallArgs { number, via, transport, from, user, password, seconds, ring } = args;
    let seconds_of = |name: &str, value: f64| {
        Duration::try_from_secs_f64(value).with_context(|| format!("--{name}: not a number of seconds"))
    };
    let order = CallOrder {
        number: plain(&number)?,
        from: plain(&from)?,
        via: resolve(&via).await?,
        transport: transport.into(),
        talk: Some(seconds_of("seconds", seconds)?),
        ring: seconds_of("ring", ring)?,
        login: user.zip(password).map(|(username, password)| sip::Login {
            owner: uuid::Uuid::nil(),
            username,
            password: password.into_bytes(),
        }),
    };
    let hang_up = Notify::new();
    let placing = place(order, &hang_up);
    tokio::pin!(placing);
    let report = tokio::select! {
        report = &mut placing => report?,
        interrupted = tokio::signal::ctrl_c() => {
            interrupted.context("cannot wait for Ctrl-C")?;
            hang_up.notify_one();
            placing.await?
        }
    };
    let colour = Colour::of(&std::io::stdout());
    print!("{}", timeline::render(&report.events, report.began, colour));
    let tone = if report.outcome == Outcome::Completed { Tone::Good } else { Tone::Bad };
    println!("\n{}", colour.paint(tone.code(), &report.summary()));
    Ok(ExitCode::from(report.outcome.exit_code()))
}

/// What can stand in the user part of a SIP URI as it is.
fn plain(text: &str) -> anyhow::Result<String> {
    let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let good =
        !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "+-_.!~*'()&=$,/".contains(c));
    if !good {
        bail!("{text:?} cannot be called: give a number such as +14155550100");
    }
    Ok(text)
}

async fn resolve(via: &str) -> anyhow::Result<SocketAddr> {
    let found =
        tokio::net::lookup_host(via).await.with_context(|| format!("--via {via}: not a host and port"))?;
    found.into_iter().next().with_context(|| format!("--via {via}: the name has no address"))
}
