//! `trunkline explain +1415…`: asks a running service where a call would go; with `--to`, where the number's own would; of a call's
//! id, where that call went, and why.

use anyhow::Context;
use clap::Args;
use serde::Deserialize;
use std::process::ExitCode;

use super::receipt::Receipt;
use super::trunk::TrunkOut;

/// The flags of `trunkline explain`.
#[derive(Args, Debug)]
pub(super) struct ExplainArgs {
    /// The number, such as +14155550100; or the id of a call
    #[arg(value_name = "NUMBER | CALL-ID")]
    number: String,
    /// The service
    #[arg(long, env = "TRUNKLINE_URL", default_value = "http://127.0.0.1:8080")]
    url: String,
    /// A native API key of the number's organization
    #[arg(long, env = "TRUNKLINE_KEY", hide_env_values = true)]
    key: String,
    /// As if the call came from this address
    #[arg(long)]
    from: Option<String>,
    /// As if the number called this one
    #[arg(long)]
    to: Option<String>,
    /// The organization, where the key is the operator's
    #[arg(long, env = "TRUNKLINE_ORGANIZATION")]
    organization: Option<String>,
}

#[derive(Deserialize)]
struct Answer {
    outcome: String,
    sip_status: u16,
    reason: String,
    steps: Vec<StepOut>,
    targets: Vec<String>,
    #[serde(default)]
    legs: Vec<Leg>,
    trunk: Option<TrunkOut>,
}

/// A place that the call can come to; the first is that of `targets`.
#[derive(Deserialize)]
struct Leg {
    #[serde(default)]
    health: Vec<String>,
}

#[derive(Deserialize)]
pub(super) struct StepOut {
    rule: String,
    passed: bool,
    detail: Option<String>,
}

impl std::fmt::Display for StepOut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mark = if self.passed { '✓' } else { '✗' };
        match &self.detail {
            Some(detail) => write!(f, "  {mark} {} ({detail})", self.rule),
            None => write!(f, "  {mark} {}", self.rule),
        }
    }
}

/// A refusal.
#[derive(Default, Deserialize)]
pub(super) struct Problem {
    /// In words.
    #[serde(default)]
    pub(super) detail: String,
}

/// A request to the service.
fn request(args: &ExplainArgs, path: &str) -> anyhow::Result<reqwest::RequestBuilder> {
    let address = format!("{}/api/v1/{path}", args.url.trim_end_matches('/'));
    let request = crate::outgoing::client()?.get(address).bearer_auth(&args.key);
    Ok(match &args.organization {
        Some(organization) => request.header("x-organization-id", organization),
        None => request,
    })
}

/// The receipt of the call of this id; none where there is no such call, and a number may have the id.
async fn receipt(args: &ExplainArgs) -> anyhow::Result<Option<Receipt>> {
    if uuid::Uuid::try_parse(&args.number).is_err() {
        return Ok(None);
    }
    let reply = request(args, &format!("calls/{}", args.number))?.send().await;
    let reply = reply.with_context(|| format!("cannot reach {}", args.url))?;
    if !reply.status().is_success() {
        return Ok(None);
    }
    reply.json().await.map(Some).context("the service's answer is not a call")
}

/// Prints the explanation; exits 0 where the call would be let in, 8 where it would be refused. Of a call, its receipt: 0 where it
/// was let in, 8 where it was refused.
#[expect(clippy::print_stdout, clippy::print_stderr, reason = "this command's output")]
pub(super) async fn run(args: ExplainArgs) -> anyhow::Result<ExitCode> {
    if let Some(receipt) = receipt(&args).await? {
        // Callers write a part of it, and a terminal would do what they write.
        let plain = |letter: char| if letter.is_control() && letter != '\n' { '?' } else { letter };
        print!("{}", receipt.to_string().chars().map(plain).collect::<String>());
        return Ok(ExitCode::from(if receipt.is_refused() { 8 } else { 0 }));
    }
    let escaped = percent_encoding::utf8_percent_encode(&args.number, percent_encoding::NON_ALPHANUMERIC);
    let mut request = request(&args, &format!("numbers/{escaped}/explain"))?;
    let ExplainArgs { url, from, to, .. } = args;
    if let Some(from) = from {
        request = request.query(&[("from", from)]);
    }
    if let Some(to) = to {
        request = request.query(&[("to", to)]);
    }
    let reply = request.send().await.with_context(|| format!("cannot reach {url}"))?;
    let status = reply.status();
    if !status.is_success() {
        let problem = reply.json::<Problem>().await.unwrap_or_default();
        eprintln!("trunkline: {status}: {}", problem.detail);
        return Ok(ExitCode::from(exit_code(status.as_u16())));
    }
    let answer: Answer = reply.json().await.context("the service's answer is not an explanation")?;
    for step in &answer.steps {
        println!("{step}");
    }
    let health = answer.legs.first().map(|leg| leg.health.as_slice()).unwrap_or_default();
    for (at, target) in answer.targets.iter().enumerate() {
        match health.get(at).filter(|state| *state != "unknown") {
            Some(state) => println!("  → {target} ({state})"),
            None => println!("  → {target}"),
        }
    }
    if let Some(trunk) = &answer.trunk {
        print!("{trunk}");
    }
    println!("{}: {} ({})", answer.outcome, answer.reason, answer.sip_status);
    Ok(ExitCode::from(if answer.outcome == "route" { 0 } else { 8 }))
}

/// The exit code of a refused request, as in every command that asks a service.
pub(super) fn exit_code(status: u16) -> u8 {
    match status {
        400 | 413 | 422 => 2,
        401 | 403 => 3,
        404 => 4,
        402 | 409 | 412 => 5,
        429 => 6,
        503 => 7,
        _ => 1,
    }
}
