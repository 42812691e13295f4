//! Asking a carrier: what is asked in which order, and the sending.

use carriers::{Account, Ask, Carrier, CarrierOp, Failure, Reply, Request, Step, Told};
use domain::intent::Work;
use domain::number::Network;
use domain::provider::ProviderKind;
use domain::{E164, Intent};

use super::Carriage;

impl Carriage {
    /// Asks for what is to be done. Whether it was done already comes first (by a process that died before it heard the answer),
    /// so that nothing is bought twice; and a refusal is believed only when the number is not ours after all: the first request may have been
    /// carried out with its answer lost.
    pub(super) async fn ask(&self, intent: &Intent) -> Result<Told, Failure> {
        let carrier = carriers::of(intent.network, ProviderKind::Managed);
        match intent.work {
            // Whoever has it by now keeps it: nobody can get it while this work is open.
            Work::Release if self.is_anybodys(intent.e164)? => Ok(Told::NotOurs),
            Work::Release => self.tell(carrier, intent, CarrierOp::Release(intent.e164)).await,
            Work::Recover if !self.is_held(intent)? => {
                Err(Failure::Refused("the number was given up".to_owned()))
            }
            Work::Acquire | Work::Recover => {
                match self.tell(carrier, intent, CarrierOp::Find(intent.e164)).await? {
                    done @ (Told::Ours | Told::Pending) => return Ok(done),
                    Told::NotOurs | Told::Page(..) => {}
                }
                let told = self.tell(carrier, intent, CarrierOp::Acquire(intent.e164)).await;
                match told {
                    Err(Failure::Refused(words)) => {
                        match self.tell(carrier, intent, CarrierOp::Find(intent.e164)).await? {
                            done @ (Told::Ours | Told::Pending) => Ok(done),
                            Told::NotOurs | Told::Page(..) => Err(Failure::Refused(words)),
                        }
                    }
                    told => told,
                }
            }
        }
    }

    /// Whether a number is ours at its carrier.
    pub(super) async fn find(&self, e164: E164) -> Result<Told, Failure> {
        let carrier = carriers::of(Network::Simulated, ProviderKind::Managed);
        let ask = Ask { op: CarrierOp::Find(e164), reference: String::new(), account: Account::default() };
        self.tell_in(carrier, &ask).await
    }

    /// One question, answered.
    async fn tell(&self, carrier: &dyn Carrier, intent: &Intent, op: CarrierOp) -> Result<Told, Failure> {
        let ask = Ask { op, reference: intent.id.to_string(), account: Account::default() };
        self.tell_in(carrier, &ask).await
    }

    /// A page of what a network's carrier holds for us.
    pub(super) async fn list(&self, network: Network, after: Option<String>) -> Result<Told, Failure> {
        let carrier = carriers::of(network, ProviderKind::Managed);
        let ask = Ask { op: CarrierOp::List(after), reference: String::new(), account: Account::default() };
        self.tell_in(carrier, &ask).await
    }

    async fn tell_in(&self, carrier: &dyn Carrier, ask: &Ask<'_>) -> Result<Told, Failure> {
        match carrier.build(ask)? {
            Step::Told(told) => Ok(told),
            Step::Send(request) => {
                let (status, body) = self.send(&request).await?;
                carrier.read(ask, Reply { status, body: &body, retry_after: None })
            }
        }
    }

    /// Sends a request and gives status and body of the reply.
    async fn send(&self, request: &Request) -> Result<(u16, Vec<u8>), Failure> {
        match request.url.strip_prefix(carriers::simulated::SCHEME) {
            Some(path) => Ok(self.simulated.answer(request.method, path, &request.body).await),
            None => Err(Failure::Unsupported("This version reaches no carrier over the network.")),
        }
    }
}
