//! What the demo does, in order, and how it tells it.
#![expect(clippy::print_stdout, reason = "this command's output")]

use anyhow::{Context, bail};
use reqwest::Method;
use serde_json::{Value, json};
use sip::Transport;
use std::net::SocketAddr;
use std::time::Duration;

use super::client::{Client, Request, text};
use crate::cli::call::{CallOrder, Outcome, place};
use crate::cli::echo_agent::EchoAgent;
use crate::cli::receipt::Receipt;
use crate::cli::timeline::{self, Colour};
use crate::clock;
use crate::service::Service;

const NUMBER: &str = "+14155550100";
const CALLER: &str = "+12125550199";
/// How long the demo's call lasts.
const TALK: Duration = Duration::from_secs(2);
/// How long the call's record may take to arrive.
const RECORD_WAIT_MAX: Duration = Duration::from_secs(5);

/// Everything that the chapters share.
struct Stage<'a> {
    client: Client,
    admin: &'a str,
    organization: String,
    colour: Colour,
}

/// Tells the whole story; an error where anything did not happen as it should.
pub(super) async fn tell(service: &Service, admin: &str) -> anyhow::Result<()> {
    let colour = Colour::of(&std::io::stdout());
    let base = format!("http://{}", service.http);
    let sip = service.sip.first().context("no SIP listener")?.1;
    println!("{}", colour.paint("1", "Trunkline: one number, four APIs, one real call"));
    println!("  http {base}   sip udp:{sip}\n");
    let agent = EchoAgent::start(SocketAddr::new(sip.ip(), 0)).await?;
    let client = Client::new(base.clone())?;
    let made = client
        .native(
            admin,
            None,
            (Method::POST, "/organizations", Some(json!({"name": "Demo", "kyc": "approved"}))),
        )
        .await?;
    let stage = Stage { client, admin, organization: text(&made, "id")?, colour };
    let keys = stage.set_up(agent.address()).await?;
    stage.buy(&keys).await?;
    stage.show(&keys, &base).await?;
    let called = stage.call(sip, &agent).await;
    agent.stop().await;
    called?;
    stage.record().await
}

/// One key for each API.
struct Keys {
    krosai: String,
    cartesia: String,
    neo: String,
    polyai: String,
    endpoint: String,
    agent: String,
}

impl Stage<'_> {
    async fn operator(&self, call: (Method, &str, Option<Value>)) -> anyhow::Result<Value> {
        self.client.native(self.admin, None, call).await
    }

    async fn tenant(&self, call: (Method, &str, Option<Value>)) -> anyhow::Result<Value> {
        self.client.native(self.admin, Some(&self.organization), call).await
    }

    fn say(&self, what: &str, detail: &str) {
        println!("  {} {what:<34} {}", self.colour.paint("32", "✓"), self.colour.paint("2", detail));
    }

    fn chapter(&self, title: &str) {
        println!("\n{}", self.colour.paint("1", title));
    }

    async fn key(&self, dialect: &str) -> anyhow::Result<String> {
        let path = format!("/organizations/{}/keys", self.organization);
        let body = json!({"name": dialect, "dialect": dialect, "role": "owner", "mode": "live"});
        text(&self.operator((Method::POST, &path, Some(body))).await?, "key")
    }

    async fn set_up(&self, agent_address: SocketAddr) -> anyhow::Result<Keys> {
        println!("{}", self.colour.paint("1", "The operator"));
        let stock = json!({"e164": NUMBER, "country": "US", "type": "local", "setup_cost_cents": 100, "monthly_cost_cents": 150,
            "capabilities": {"voice": true, "sms": false, "fax": false}});
        self.operator((Method::POST, "/stock", Some(stock))).await?;
        self.say("puts a number in stock", &format!("{NUMBER}, $1.00 once, $1.50 a month"));
        let trunk = json!({"kind": "sip_trunk", "label": "demo carrier", "inbound": {"allowed_addresses": ["127.0.0.1"]}});
        self.operator((Method::POST, "/providers", Some(trunk))).await?;
        self.say("trusts a carrier's address", "127.0.0.1");
        let path = format!("/organizations/{}/ledger", self.organization);
        self.operator((Method::POST, &path, Some(json!({"amount_cents": 1000, "reason": "demo money"}))))
            .await?;
        self.say("gives the organization money", "$10.00");
        let agent = self.tenant((Method::POST, "/agents", Some(json!({"name": "Echo"})))).await?;
        let agent = text(&agent, "id")?;
        let endpoint = json!({"name": "echo agent", "kind": "sip", "agent_id": agent, "environment": "live",
            "targets": [{"uri": format!("sip:{agent_address}")}]});
        let endpoint = text(&self.tenant((Method::POST, "/endpoints", Some(endpoint))).await?, "id")?;
        self.say("knows an agent", &format!("answers at sip:{agent_address}"));
        let (krosai, cartesia) = (self.key("krosai").await?, self.key("cartesia").await?);
        let (neo, polyai) = (self.key("neo").await?, self.key("polyai").await?);
        Ok(Keys { krosai, cartesia, neo, polyai, endpoint, agent })
    }

    /// Buys and binds through the KrosAI API, as its clients do.
    async fn buy(&self, keys: &Keys) -> anyhow::Result<()> {
        self.chapter("A client of KrosAI");
        let send = |method, path, body| {
            let header = ("authorization", format!("Bearer {}", keys.krosai));
            self.client.send(Request { method, path, header, organization: None, body: Some(body) })
        };
        let order = json!({"e164": NUMBER, "country": "US", "type": "local"});
        let bought = send(Method::POST, "/v1/phone-numbers", order).await?;
        let id = text(&bought, "id")?;
        self.say("POST /v1/phone-numbers", &format!("{NUMBER} is ours: {id}"));
        let bound =
            send(Method::PATCH, &format!("/v1/phone-numbers/{id}"), json!({"endpointId": keys.endpoint}))
                .await?;
        self.say("PATCH /v1/phone-numbers/{id}", &format!("endpoint_id {}", text(&bound, "endpoint_id")?));
        Ok(())
    }

    /// Shows the number through all four APIs, each with the curl that does it.
    async fn show(&self, keys: &Keys, base: &str) -> anyhow::Result<()> {
        let bearer = |key: &str| ("authorization", format!("Bearer {key}"));
        let polyai = format!("/v1/agents/{}/telephony/phone-numbers/{NUMBER}", keys.agent);
        let rows = [
            ("KrosAI", "/v1/phone-numbers", bearer(&keys.krosai)),
            ("Cartesia", "/agents/phone-numbers", bearer(&keys.cartesia)),
            ("Neo", "/public-api/phone/numbers", bearer(&keys.neo)),
            ("PolyAI", polyai.as_str(), ("x-api-key", keys.polyai.clone())),
        ];
        for (vendor, path, header) in rows {
            self.chapter(&format!("The same number as {vendor} shows it"));
            println!(
                "  {}",
                self.colour.paint("2", &format!("curl {base}{path} -H '{}: {}'", header.0, header.1))
            );
            let request = Request { method: Method::GET, path, header, organization: None, body: None };
            let answer = self.client.send(request).await?;
            if !answer.to_string().contains(NUMBER) {
                bail!("{vendor} does not show the number: {answer}");
            }
            println!("  {answer}");
        }
        Ok(())
    }

    async fn call(&self, sip: SocketAddr, agent: &EchoAgent) -> anyhow::Result<()> {
        self.chapter(&format!("A real call: {CALLER} dials {NUMBER}"));
        let order = CallOrder {
            number: NUMBER.to_owned(),
            from: CALLER.to_owned(),
            via: sip,
            transport: Transport::Udp,
            talk: Some(TALK),
            ring: Duration::from_secs(20),
            login: None,
        };
        let mut report = place(order, &tokio::sync::Notify::new()).await?;
        report.events.extend(agent.events());
        print!("{}", timeline::render(&report.events, report.began, self.colour));
        println!("  {}", report.summary());
        if report.outcome != Outcome::Completed {
            bail!("the call was not completed");
        }
        Ok(())
    }

    /// Waits for the call's record and prints it.
    async fn record(&self) -> anyhow::Result<()> {
        self.chapter("What was metered: GET /api/v1/calls");
        let until = clock::instant() + RECORD_WAIT_MAX;
        let call = loop {
            let calls = self.tenant((Method::GET, "/calls", None)).await?;
            match calls["data"].get(0) {
                Some(call) if call["status"] == "completed" => break call.clone(),
                Some(_) | None if clock::instant() > until => {
                    bail!("the call's record did not come: {calls}")
                }
                Some(_) | None => clock::sleep(Duration::from_millis(50)).await,
            }
        };
        for field in [
            "id",
            "direction",
            "from",
            "number",
            "status",
            "started_at",
            "answered_at",
            "ended_at",
            "duration_seconds",
            "ended_by",
        ] {
            let value = call[field].as_str().map_or_else(|| call[field].to_string(), str::to_owned);
            println!("  {} {value}", self.colour.paint("2", &format!("{field:<18}")));
        }
        self.receipt(&text(&call, "id")?).await
    }

    /// Prints why the call went where it went.
    async fn receipt(&self, id: &str) -> anyhow::Result<()> {
        self.chapter(&format!("Why it went there: trunkline explain {id}"));
        let call = self.tenant((Method::GET, &format!("/calls/{id}"), None)).await?;
        let receipt: Receipt = serde_json::from_value(call).context("the answer is not a call")?;
        for line in receipt.to_string().lines() {
            println!("  {line}");
        }
        Ok(())
    }
}
