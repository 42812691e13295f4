//! The simulated carrier: the words that are spoken with it, and the numbers it has ([`numbers`]). What it believes to have
//! sold is kept by the server, which answers these requests itself.
//!
//! ```text
//! PUT    simulated:/numbers/+14155550100   {"reference": "…"}   buy; 201 ours, 202 on its way, 409 {"words": …}
//! GET    simulated:/numbers/+14155550100                        200 ours, 202 on its way, 404 not ours
//! DELETE simulated:/numbers/+14155550100                        204, also where it is not ours
//! GET    simulated:/numbers?after=+14155550100                  200 {"numbers": ["+1…"], "next": "+1…" | null}
//! ```

pub mod numbers;

use domain::E164;
use serde::{Deserialize, Serialize};

use crate::{Ask, Carrier, CarrierOp, Failure, Reply, Request, Step, Told};

/// How the URLs of its requests begin.
pub const SCHEME: &str = "simulated:";

/// See the module's head.
pub(crate) struct Simulated;

/// What a purchase says.
#[derive(Debug, Deserialize, Serialize)]
pub struct Order {
    /// Names the piece of work: the same for every repeat.
    pub reference: String,
}

/// Why a purchase is refused.
#[derive(Debug, Deserialize, Serialize)]
pub struct Refusal {
    /// For people.
    pub words: String,
}

/// A page of numbers.
#[derive(Debug, Deserialize, Serialize)]
pub struct Listed {
    /// In order.
    pub numbers: Vec<String>,
    /// Behind which the next page begins.
    pub next: Option<String>,
}

impl Carrier for Simulated {
    fn name(&self) -> &'static str {
        "simulated"
    }

    fn build(&self, ask: &Ask<'_>) -> Result<Step, Failure> {
        let of = |number: &E164| format!("{SCHEME}/numbers/{number}");
        let (method, url, body) = match &ask.op {
            CarrierOp::Acquire(number) => {
                let order = Order { reference: ask.reference.clone() };
                // One text under a fixed name is always JSON.
                ("PUT", of(number), serde_json::to_vec(&order).unwrap_or_default())
            }
            CarrierOp::Release(number) => ("DELETE", of(number), Vec::new()),
            CarrierOp::Find(number) => ("GET", of(number), Vec::new()),
            CarrierOp::List(None) => ("GET", format!("{SCHEME}/numbers"), Vec::new()),
            CarrierOp::List(Some(after)) => ("GET", format!("{SCHEME}/numbers?after={after}"), Vec::new()),
        };
        Ok(Step::Send(Request { method, url, headers: Vec::new(), body }))
    }

    fn read(&self, ask: &Ask<'_>, reply: Reply<'_>) -> Result<Told, Failure> {
        if reply.status >= 500 {
            return Err(Failure::Unavailable(format!("the simulated carrier answered {}", reply.status)));
        }
        match (&ask.op, reply.status) {
            (CarrierOp::List(_), 200) => page(reply.body),
            (CarrierOp::Acquire(_) | CarrierOp::Find(_), 200 | 201) => Ok(Told::Ours),
            (CarrierOp::Release(_), 200 | 204 | 404) | (CarrierOp::Find(_), 404) => Ok(Told::NotOurs),
            (_, 400..=499) => {
                let words = serde_json::from_slice(reply.body).map(|refusal: Refusal| refusal.words);
                Err(Failure::Refused(words.unwrap_or_else(|_| format!("status {}", reply.status))))
            }
            // 202, and whatever this version does not know.
            _ => Ok(Told::Pending),
        }
    }
}

fn page(body: &[u8]) -> Result<Told, Failure> {
    let bad =
        |error: String| Failure::Unavailable(format!("the simulated carrier's list is unreadable: {error}"));
    let Listed { numbers, next } = serde_json::from_slice(body).map_err(|error| bad(error.to_string()))?;
    let read =
        |text: &String| E164::from_digits(text.trim_start_matches('+')).ok_or_else(|| bad(text.clone()));
    Ok(Told::Page(numbers.iter().map(read).collect::<Result<_, _>>()?, next))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Account;

    fn ask(op: CarrierOp) -> Ask<'static> {
        Ask { op, reference: "r-1".to_owned(), account: Account::default() }
    }

    #[test]
    fn requests_and_replies() {
        let number = E164::from_u64(14_155_550_100).unwrap();
        let acquire = ask(CarrierOp::Acquire(number));
        let Ok(Step::Send(request)) = Simulated.build(&acquire) else { panic!("nothing to send") };
        assert_eq!((request.method, request.url.as_str()), ("PUT", "simulated:/numbers/+14155550100"));
        assert_eq!(request.body, br#"{"reference":"r-1"}"#);
        let read = |ask: &Ask<'_>, status, body: &str| {
            Simulated.read(ask, Reply { status, body: body.as_bytes(), retry_after: None })
        };
        assert_eq!(read(&acquire, 201, ""), Ok(Told::Ours));
        assert_eq!(read(&acquire, 202, ""), Ok(Told::Pending));
        assert_eq!(read(&acquire, 409, r#"{"words":"gone"}"#), Err(Failure::Refused("gone".to_owned())));
        assert!(matches!(read(&acquire, 503, ""), Err(Failure::Unavailable(_))));
        assert_eq!(read(&acquire, 299, ""), Ok(Told::Pending), "an unknown state is not done");
        assert_eq!(read(&ask(CarrierOp::Find(number)), 404, ""), Ok(Told::NotOurs));
        assert_eq!(read(&ask(CarrierOp::Release(number)), 204, ""), Ok(Told::NotOurs));
        let list = ask(CarrierOp::List(None));
        let page = r#"{"numbers":["+14155550100"],"next":null}"#;
        assert_eq!(read(&list, 200, page), Ok(Told::Page(vec![number], None)));
        assert!(matches!(read(&list, 200, "x"), Err(Failure::Unavailable(_))));
    }
}
