//! Questions to DNS in the order of RFC 3263 section 4: NAPTR says which transports a domain speaks, SRV which hosts, A and AAAA
//! their addresses. A name with a port is a host's. A name without a dot is the machine's own matter.

use anyhow::Context;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{RData, RecordType};
use sip::Transport;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::{Found, Place, Server};
use crate::clock;

/// How long an answer is used at least and at most, whatever it says itself.
const LASTS: (Duration, Duration) = (Duration::from_secs(5), Duration::from_hours(1));
/// NAPTR records of one name that are looked at.
const SERVICES_MAX: usize = 8;
/// SRV records of one name that are looked at.
const SERVERS_MAX: usize = 16;
/// Addresses of one host that are tried.
const ADDRESSES_MAX: usize = 4;
/// Addresses of one host that a trunk calls from.
const SOURCES_MAX: usize = 32;
/// How long an answer is used that does not say it: the machine's own.
const UNTOLD: Duration = Duration::from_secs(30);
/// One try at one server.
const TRY: Duration = Duration::from_millis(900);

/// See the module's head.
#[derive(Debug)]
pub(in super::super) struct Dns(Option<TokioResolver>);

/// The resolver gave no answer, not even that there is none.
#[derive(Debug)]
pub(super) struct Failed;

/// The least time that the answers of one question last.
struct Lasts(Duration);

impl Lasts {
    fn at_most(&mut self, lasts: Duration) {
        self.0 = self.0.min(lasts);
    }
}

impl Dns {
    /// A resolver: at an address, or as the machine is set. On a machine that is not set, names are asked of its library.
    pub(in super::super) fn open(server: Option<SocketAddr>) -> anyhow::Result<Self> {
        let mut builder = match server {
            Some(at) => {
                let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
                for one in &mut connections {
                    one.port = at.port();
                }
                let one = NameServerConfig::new(at.ip(), true, connections);
                let config = ResolverConfig::from_name_servers(vec![one]);
                TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
            }
            None => match TokioResolver::builder_tokio() {
                Ok(builder) => builder,
                Err(error) => {
                    tracing::warn!(error = %error, "DNS is not set on this machine: SRV and NAPTR records are not asked for");
                    return Ok(Self(None));
                }
            },
        };
        let options = builder.options_mut();
        (options.timeout, options.attempts) = (TRY, 2);
        // What is known is kept by `Names`, with the bounds above.
        options.cache_size = 0;
        Ok(Self(Some(builder.build().context("the resolver of SIP cannot be made")?)))
    }

    /// What a place is, and how long that lasts. Found nothing: it is not there.
    pub(super) async fn ask(&self, place: &Place, spoken: &[Transport]) -> Result<(Found, Duration), Failed> {
        let mut lasts = Lasts(LASTS.1);
        let Some(resolver) = self.0.as_ref().filter(|_| place.host.contains('.')) else {
            let transport = place.transport.unwrap_or(Transport::Udp);
            let port = place.port.unwrap_or_else(|| transport.port());
            let found = tokio::net::lookup_host((place.host.as_str(), port)).await;
            let at: Vec<_> = found.map_err(|_| Failed)?.take(ADDRESSES_MAX).collect();
            return Ok((one(transport, at), UNTOLD));
        };
        let asking = Asking { resolver, spoken };
        let found = asking.place(place, &mut lasts).await?;
        Ok((found, lasts.0.max(LASTS.0)))
    }
}

impl Dns {
    /// Every address of a host, and how long they last. None: it is not there.
    pub(super) async fn host(&self, host: &str) -> Result<(Vec<IpAddr>, Duration), Failed> {
        let Some(resolver) = self.0.as_ref().filter(|_| host.contains('.')) else {
            // The library does not tell a name that is not there from one that could not be asked for.
            let found = tokio::net::lookup_host((host, 0)).await.map_err(|_| Failed)?;
            return Ok((sources(found.map(|at| at.ip()).collect()), UNTOLD));
        };
        let mut lasts = Lasts(LASTS.1);
        let found = Asking { resolver, spoken: &[] }.hosts(host, &mut lasts).await?;
        Ok((sources(found), lasts.0.max(LASTS.0)))
    }
}

/// Addresses that a trunk calls from, each once, in order. Of too many the same ones each time, however DNS turns them round: a
/// caller is not now known and now not.
fn sources(found: Vec<IpAddr>) -> Vec<IpAddr> {
    let mut found: Vec<_> = found.into_iter().map(|address| address.to_canonical()).collect();
    found.sort_unstable();
    found.dedup();
    found.truncate(SOURCES_MAX);
    found
}

fn one(transport: Transport, at: Vec<SocketAddr>) -> Found {
    let server = Server { transport, priority: 0, weight: 0, at };
    let groups = if server.at.is_empty() { Vec::new() } else { vec![vec![server]] };
    Found { groups, large: Vec::new() }
}

struct Asking<'a> {
    resolver: &'a TokioResolver,
    spoken: &'a [Transport],
}

impl Asking<'_> {
    async fn place(&self, place: &Place, lasts: &mut Lasts) -> Result<Found, Failed> {
        let host = place.host.as_str();
        if let Some(port) = place.port {
            let transport = place.transport.unwrap_or(Transport::Udp);
            return Ok(one(transport, self.addresses(host, port, lasts).await?));
        }
        if let Some(transport) = place.transport {
            let servers = self.servers(&service(transport, host), transport, lasts).await?;
            return match servers {
                Some(servers) => Ok(Found { groups: vec![servers], large: Vec::new() }),
                None => Ok(one(transport, self.addresses(host, transport.port(), lasts).await?)),
            };
        }
        let listed = match self.listed(host, lasts).await? {
            listed if listed.is_empty() => {
                let all = [Transport::Udp, Transport::Tcp, Transport::Tls];
                all.into_iter().map(|transport| (transport, service(transport, host))).collect()
            }
            listed => listed,
        };
        let mut groups = Vec::new();
        for (transport, name) in listed.into_iter().filter(|(transport, _)| self.spoken.contains(transport)) {
            groups.extend(self.servers(&name, transport, lasts).await?);
        }
        if groups.is_empty() {
            let transport = Transport::Udp;
            return Ok(one(transport, self.addresses(host, transport.port(), lasts).await?));
        }
        let of = |group: &Vec<Server>, transport| group.first().is_some_and(|one| one.transport == transport);
        let udp = groups.first().is_some_and(|group| of(group, Transport::Udp));
        let large = groups.iter().find(|group| udp && of(group, Transport::Tcp)).cloned().unwrap_or_default();
        Ok(Found { groups, large })
    }

    /// The records of a name; none where there are none.
    async fn records(&self, name: &str, kind: RecordType, lasts: &mut Lasts) -> Result<Vec<RData>, Failed> {
        match self.resolver.lookup(format!("{name}."), kind).await {
            Ok(found) => {
                lasts.at_most(found.valid_until().saturating_duration_since(clock::instant()));
                Ok(found.answers().iter().map(|record| record.data.clone()).collect())
            }
            Err(NetError::Dns(error)) if NetError::Dns(error.clone()).is_no_records_found() => Ok(Vec::new()),
            Err(_) => Err(Failed),
        }
    }

    /// The services that NAPTR lists, best first (RFC 3263 section 4.1): flag `s`, with the name to ask SRV for.
    async fn listed(&self, host: &str, lasts: &mut Lasts) -> Result<Vec<(Transport, String)>, Failed> {
        let mut rows: Vec<_> = self
            .records(host, RecordType::NAPTR, lasts)
            .await?
            .into_iter()
            .filter_map(|data| if let RData::NAPTR(row) = data { Some(row) } else { None })
            .filter(|row| row.flags.eq_ignore_ascii_case(b"s"))
            .take(SERVICES_MAX)
            .collect();
        rows.sort_by_key(|row| (row.order, row.preference));
        let read = |services: &[u8]| match services.to_ascii_uppercase().as_slice() {
            b"SIP+D2U" => Some(Transport::Udp),
            b"SIP+D2T" => Some(Transport::Tcp),
            b"SIPS+D2T" => Some(Transport::Tls),
            // RFC 7118 section 9
            b"SIP+D2W" => Some(Transport::Ws),
            b"SIPS+D2W" => Some(Transport::Wss),
            _ => None,
        };
        let named = |name: String| name.trim_end_matches('.').to_owned();
        let listed = rows.into_iter();
        Ok(listed.filter_map(|row| Some((read(&row.services)?, named(row.replacement.to_ascii())))).collect())
    }

    /// The servers of an SRV name with their addresses; none where it lists none. A target of `.` says that there is no such
    /// service (RFC 2782).
    async fn servers(
        &self,
        name: &str,
        transport: Transport,
        lasts: &mut Lasts,
    ) -> Result<Option<Vec<Server>>, Failed> {
        let mut rows: Vec<_> = self
            .records(name, RecordType::SRV, lasts)
            .await?
            .into_iter()
            .filter_map(|data| if let RData::SRV(row) = data { Some(row) } else { None })
            .collect();
        if rows.is_empty() {
            return Ok(None);
        }
        rows.sort_by_key(|row| row.priority);
        rows.truncate(SERVERS_MAX);
        let mut servers = Vec::with_capacity(rows.len());
        for row in rows.into_iter().filter(|row| !row.target.is_root()) {
            let host = row.target.to_ascii();
            let at = self.addresses(host.trim_end_matches('.'), row.port, lasts).await?;
            servers.push(Server { transport, priority: row.priority, weight: row.weight, at });
        }
        servers.retain(|server| !server.at.is_empty());
        Ok(Some(servers))
    }

    async fn addresses(&self, host: &str, port: u16, lasts: &mut Lasts) -> Result<Vec<SocketAddr>, Failed> {
        let found = self.hosts(host, lasts).await?.into_iter().take(ADDRESSES_MAX);
        Ok(found.map(|address| SocketAddr::new(address, port)).collect())
    }

    async fn hosts(&self, host: &str, lasts: &mut Lasts) -> Result<Vec<IpAddr>, Failed> {
        let mut other = Lasts(LASTS.1);
        let (four, six) = tokio::join!(
            self.records(host, RecordType::A, lasts),
            self.records(host, RecordType::AAAA, &mut other)
        );
        lasts.at_most(other.0);
        let rows = match (four, six) {
            (Ok(four), Ok(six)) => [four, six].concat(),
            (Ok(rows), Err(_)) | (Err(_), Ok(rows)) if !rows.is_empty() => rows,
            _ => return Err(Failed),
        };
        let address = |data: RData| match data {
            RData::A(four) => Some(IpAddr::from(four.0)),
            RData::AAAA(six) => Some(IpAddr::from(six.0)),
            _ => None,
        };
        Ok(rows.into_iter().filter_map(address).collect())
    }
}

/// The SRV name of a domain's service (RFC 3263 section 4.1).
fn service(transport: Transport, host: &str) -> String {
    let service = match transport {
        Transport::Udp => "_sip._udp",
        Transport::Tcp => "_sip._tcp",
        Transport::Tls => "_sips._tcp",
        // RFC 7118 section 5.3 names none; these are what is used.
        Transport::Ws => "_sip._ws",
        Transport::Wss => "_sips._ws",
    };
    format!("{service}.{host}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_too_many_addresses_the_same_ones_count_however_they_are_turned_round() {
        let mut all: Vec<IpAddr> = (0..40).map(|n| IpAddr::from([192, 0, 2, n])).collect();
        let first = sources(all.clone());
        assert_eq!(first.len(), SOURCES_MAX);
        all.rotate_left(17);
        all.extend(all.clone());
        assert_eq!(sources(all), first);
    }
}
