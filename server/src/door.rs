//! Who is at the door: the client's own address, also behind a proxy that we trust, and what one address may do.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use dialect::Dialect;
use dialect::refusal::{Code, Refusal};
use http::{HeaderMap, Response, StatusCode};
use ipnet::IpNet;

use crate::answer::{self, Body};
use crate::connections::{Connected, Connections};
use crate::endpoint::REQUEST_ID;

/// Proxies in front of us, whose word about where a request comes from is taken.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies(Vec<IpNet>);

/// What clients are allowed by where they come from; shared by all workers.
pub struct Door {
    connections: Arc<Connections>,
    trusted: TrustedProxies,
    failures: Failures,
}

/// How often an address may show a key that is none.
#[derive(Debug, Clone, Copy)]
pub struct FailureLimit {
    pub failures_max: u32,
    pub period: Duration,
}

/// Keys that were none, by address. Only who fails is counted, so whoever has a good key never waits here.
struct Failures {
    limit: FailureLimit,
    by_address: Mutex<HashMap<IpAddr, Failed>>,
}

#[derive(Clone, Copy)]
struct Failed {
    since: Instant,
    count: u32,
}

/// Where a request comes from, and that it is open. Dropped at its end.
pub(crate) struct Visit {
    /// None for a proxy that does not say for whom it asks.
    client: Option<IpAddr>,
    _open: Option<Connected>,
}

/// Addresses that are remembered at once. When there are more, those are forgotten whose period is over, or else all:
/// memory does not grow with the addresses that somebody can use.
const ADDRESSES_MAX: usize = 1 << 16;
const FORWARDED_FOR: &str = "x-forwarded-for";
const RETRY_S: u64 = 1;

impl Default for FailureLimit {
    /// 100 in 10 s.
    fn default() -> Self {
        Self {
            failures_max: 100,
            period: Duration::from_secs(10),
        }
    }
}

impl FromStr for TrustedProxies {
    type Err = ipnet::AddrParseError;

    /// Addresses and networks (`10.0.0.0/8`), separated by commas; `none` for none.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let words = text.split(',').map(str::trim);
        let words = words.filter(|word| !word.is_empty() && *word != "none");
        let networks = words.map(|word| {
            let address: Result<IpAddr, _> = word.parse();
            address.map_or_else(|_| word.parse(), |address| Ok(IpNet::from(address)))
        });
        Ok(Self(networks.collect::<Result<_, _>>()?))
    }
}

impl TrustedProxies {
    fn has(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// Who asks, when `peer` is who is connected: each proxy adds at the end from whom it got the request, so that the
    /// last one that is no proxy of ours is the client, whatever it has itself written before that. None when that
    /// would be a proxy.
    fn client(&self, peer: IpAddr, headers: &HeaderMap) -> Option<IpAddr> {
        if !self.has(peer) {
            return Some(peer.to_canonical());
        }
        let lines = headers.get_all(FORWARDED_FOR).iter();
        let lines: Vec<&str> = lines.map(|line| line.to_str().unwrap_or_default()).collect();
        let hops = lines.iter().rev().flat_map(|line| line.rsplit(','));
        for hop in hops {
            // What is no address comes from somebody who is not to be believed.
            let hop: IpAddr = hop.trim().parse().ok()?;
            if !self.has(hop) {
                return Some(hop.to_canonical());
            }
        }
        None
    }
}

impl Door {
    pub fn new(connections: Arc<Connections>, trusted: TrustedProxies, failure_limit: FailureLimit) -> Self {
        Self {
            connections,
            trusted,
            failures: Failures {
                limit: failure_limit,
                by_address: Mutex::default(),
            },
        }
    }

    /// A connection from this address, unless there are too many. A proxy that we trust has no number of its own.
    pub(crate) fn connect(&self, peer: IpAddr) -> Option<Connected> {
        let peer = (!self.trusted.has(peer)).then(|| of_one_client(peer.to_canonical()));
        self.connections.connect(peer)
    }

    /// A request over a connection from `peer`.
    ///
    /// # Errors
    /// When the client has too many open that come by way of a proxy.
    pub(crate) fn enter(&self, peer: IpAddr, headers: &HeaderMap) -> Result<Visit, Refusal> {
        let client = self.trusted.client(peer, headers).map(of_one_client);
        let is_proxied = client.is_some() && self.trusted.has(peer);
        let open = match client.filter(|_| is_proxied) {
            Some(client) => Some(self.connections.enter(client).ok_or_else(|| {
                Refusal::new(Code::Overloaded, "Too many requests of this address are open.")
                    .retry_after(RETRY_S)
            })?),
            None => None,
        };
        Ok(Visit { client, _open: open })
    }

    /// The answer that the visitor gets: who has shown too many keys that were none is told to wait instead.
    pub(crate) fn judge(&self, visit: &Visit, dialect: Dialect, answer: Response<Body>) -> Response<Body> {
        let Some(client) = visit
            .client
            .filter(|_| answer.status() == StatusCode::UNAUTHORIZED)
        else {
            return answer;
        };
        let Some(wait) = self.failures.note(client, Instant::now()) else {
            return answer;
        };
        let message = "Too many requests of this address had no valid gateway key.";
        let refusal = Refusal::new(Code::TooManyFailures, message).retry_after(wait.as_secs() + 1);
        let mut refused = answer::refusal(dialect, &refusal);
        if let Some(id) = answer.headers().get(REQUEST_ID) {
            refused.headers_mut().insert(REQUEST_ID, id.clone());
        }
        refused
    }
}

impl Failures {
    /// Counts one more; how long to wait, when that is too many.
    fn note(&self, client: IpAddr, now: Instant) -> Option<Duration> {
        let FailureLimit { failures_max, period } = self.limit;
        let is_over = |failed: &Failed| now.duration_since(failed.since) >= period;
        let mut by_address = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        if by_address.len() >= ADDRESSES_MAX {
            by_address.retain(|_, failed| !is_over(failed));
            if by_address.len() >= ADDRESSES_MAX {
                by_address.clear();
            }
        }
        let failed = by_address
            .entry(client)
            .or_insert(Failed { since: now, count: 0 });
        if is_over(failed) {
            *failed = Failed { since: now, count: 0 };
        }
        failed.count = failed.count.saturating_add(1);
        let left = period.saturating_sub(now.duration_since(failed.since));
        (failed.count > failures_max).then_some(left)
    }
}

/// Who gets IPv6 addresses gets a whole network of them.
fn of_one_client(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn client(trusted: &str, peer: &str, lines: &[&'static str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(FORWARDED_FOR, HeaderValue::from_static(line));
        }
        let trusted: TrustedProxies = trusted.parse().unwrap();
        let client = trusted.client(peer.parse().unwrap(), &headers);
        client.map(|client| client.to_string())
    }

    #[test]
    fn the_client_is_the_last_who_is_no_proxy_of_ours() {
        let ours = "10.0.0.0/8, 127.0.0.1";
        let table: [(&str, &[&'static str], Option<&str>); 9] = [
            ("192.0.2.1", &["198.51.100.7"], Some("192.0.2.1")),
            ("10.1.1.1", &["198.51.100.7"], Some("198.51.100.7")),
            ("10.1.1.1", &["1.1.1.1, 198.51.100.7"], Some("198.51.100.7")),
            ("10.1.1.1", &["198.51.100.7, 10.2.2.2"], Some("198.51.100.7")),
            (
                "10.1.1.1",
                &["1.1.1.1", "198.51.100.7, 10.2.2.2"],
                Some("198.51.100.7"),
            ),
            ("::ffff:10.1.1.1", &["2001:db8::1"], Some("2001:db8::1")),
            ("127.0.0.1", &[], None),
            ("127.0.0.1", &["10.2.2.2"], None),
            ("127.0.0.1", &["198.51.100.7, unknown"], None),
        ];
        for (peer, lines, expected) in table {
            assert_eq!(client(ours, peer, lines).as_deref(), expected, "{peer} {lines:?}");
        }
        assert_eq!(
            client("none", "127.0.0.1", &["1.1.1.1"]).as_deref(),
            Some("127.0.0.1")
        );
        assert!("10.0.0.0/33".parse::<TrustedProxies>().is_err());
    }

    #[test]
    fn failures_are_counted_for_each_client_and_forgotten_in_time() {
        let limit = FailureLimit {
            failures_max: 2,
            period: Duration::from_secs(10),
        };
        let failures = Failures {
            limit,
            by_address: Mutex::default(),
        };
        let [one, other] =
            ["2001:db8::1", "2001:db8:0:1::1"].map(|text| of_one_client(text.parse().unwrap()));
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(
            [failures.note(one, start), failures.note(one, after(1))],
            [None, None]
        );
        assert_eq!(failures.note(one, after(4)), Some(Duration::from_secs(6)));
        assert_eq!(failures.note(other, after(4)), None);
        assert_eq!(
            of_one_client("2001:db8::ffff:1".parse().unwrap()),
            one,
            "one network is one client"
        );
        assert_eq!(failures.note(one, after(10)), None);
    }
}
