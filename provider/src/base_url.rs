//! Where a provider's API begins.

use std::net::IpAddr;

use http::uri::{PathAndQuery, Scheme};
use http::{HeaderValue, Uri};

use crate::address;

/// An `http` or `https` URL to which API paths are added: no user, no fragment, no slash at its end, and no query but one
/// that names the version of the API (Azure).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl {
    text: String,
    uri: Uri,
    host: String,
    /// The value of the header `host`.
    host_header: HeaderValue,
    api_version: Option<String>,
    trust: Trust,
}

/// On whose word the gateway connects to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// The operator's, or the catalogue's: anything reachable will do, a server on loopback too.
    Operator,
    /// A tenant's: `https` to a public address only.
    Tenant,
}

/// A text that is no base URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BaseUrlError {
    #[error("a base URL looks like https://host/v1")]
    Malformed,
    #[error("a base URL begins with http:// or https://")]
    Scheme,
    #[error("a base URL cannot hold a user name, a fragment, or a query other than ?api-version=…")]
    Extra,
    #[error("a base URL given by a tenant begins with https://")]
    NotHttps,
    #[error("a base URL given by a tenant cannot lead into a private network")]
    PrivateHost,
}

impl BaseUrl {
    /// Reads a base URL. An address in it is judged here; a name can only be judged when it is resolved.
    ///
    /// # Errors
    /// When the text is no URL, holds more than scheme, host, port and path, or leads where a tenant may not send us.
    pub fn parse(text: &str, trust: Trust) -> Result<Self, BaseUrlError> {
        if text.contains('#') {
            return Err(BaseUrlError::Extra);
        }
        let uri: Uri = text.parse().map_err(|_| BaseUrlError::Malformed)?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(BaseUrlError::Malformed);
        };
        if scheme != "http" && scheme != "https" {
            return Err(BaseUrlError::Scheme);
        }
        if authority.as_str().contains('@') {
            return Err(BaseUrlError::Extra);
        }
        let api_version = uri.query().map(api_version).transpose()?;
        let port_is_odd = authority.as_str().ends_with(':') || authority.port_u16() == Some(0);
        if authority.host().is_empty() || port_is_odd {
            return Err(BaseUrlError::Malformed);
        }
        if trust == Trust::Tenant {
            may_a_tenant_name(scheme, authority.host())?;
        }
        let text = text.split('?').next().unwrap_or(text);
        let text = text.trim_end_matches('/').to_owned();
        let host_header = host_header(&uri).ok_or(BaseUrlError::Malformed)?;
        Ok(Self {
            text,
            host: authority.host().to_ascii_lowercase(),
            host_header,
            api_version,
            uri,
            trust,
        })
    }

    pub(crate) fn uri(&self) -> &Uri {
        &self.uri
    }

    /// What a request names as its host in HTTP/1.1.
    pub(crate) fn host_header(&self) -> &HeaderValue {
        &self.host_header
    }

    /// The target of a request in HTTP/1.1 for what follows the base URL; `None` when that is no path.
    pub(crate) fn target(&self, path: &str) -> Option<Uri> {
        let target = PathAndQuery::try_from([self.path(), path].concat()).ok()?;
        Some(Uri::from(target))
    }

    /// The same target as HTTP/2 names it, with scheme and host.
    pub(crate) fn with_path_of(&self, target: &Uri) -> Uri {
        let mut parts = self.uri.clone().into_parts();
        parts.path_and_query = target.path_and_query().cloned();
        // Parts that were taken from two URIs are those of one.
        Uri::from_parts(parts).unwrap_or_else(|_| self.uri.clone())
    }

    /// Its own path, without a slash at the end.
    pub(crate) fn path(&self) -> &str {
        self.uri.path().trim_end_matches('/')
    }

    /// The version of the API that each request is to name.
    pub(crate) fn api_version(&self) -> Option<&str> {
        self.api_version.as_deref()
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The host, in lower case; an IPv6 address stands in brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    pub fn trust(&self) -> Trust {
        self.trust
    }
}

/// The version in a query that holds nothing else.
fn api_version(query: &str) -> Result<String, BaseUrlError> {
    let version = query.strip_prefix("api-version=").unwrap_or_default();
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '-' || letter == '.';
    if version.is_empty() || !version.chars().all(is_plain) {
        return Err(BaseUrlError::Extra);
    }
    Ok(version.to_owned())
}

/// The host, with its port where it is not the scheme's own (RFC 9110, section 7.2).
fn host_header(uri: &Uri) -> Option<HeaderValue> {
    let authority = uri.authority()?;
    let usual = if uri.scheme() == Some(&Scheme::HTTPS) {
        443
    } else {
        80
    };
    let text = match authority.port_u16() {
        Some(port) if port == usual => authority.host(),
        _ => authority.as_str(),
    };
    HeaderValue::from_str(text).ok()
}

fn may_a_tenant_name(scheme: &str, host: &str) -> Result<(), BaseUrlError> {
    if scheme != "https" {
        return Err(BaseUrlError::NotHttps);
    }
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let address = host
        .trim_start_matches('[')
        .trim_end_matches(']')
        .parse::<IpAddr>();
    let private = match address {
        Ok(address) => !address::is_public(address),
        Err(_) => {
            host == "localhost"
                || host.ends_with(".localhost")
                || host.ends_with(".internal")
                || is_a_number(&host)
        }
    };
    if private {
        Err(BaseUrlError::PrivateHost)
    } else {
        Ok(())
    }
}

/// Whether resolvers may take the host for an IPv4 address in an unusual spelling (`2130706433`, `0x7f.1`, `127.1`):
/// its last label is a number. No public name ends so.
fn is_a_number(host: &str) -> bool {
    let last = host.rsplit('.').next().unwrap_or(host);
    let hex = last
        .strip_prefix("0x")
        .is_some_and(|digits| digits.chars().all(|digit| digit.is_ascii_hexdigit()));
    hex || (!last.is_empty() && last.chars().all(|digit| digit.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operator_may_name_any_server() {
        for text in [
            "https://api.openai.com/v1",
            "http://127.0.0.1:11434/v1",
            "http://[::1]:8000",
            "http://gpu-box:8000/v1",
        ] {
            let base_url = BaseUrl::parse(&format!("{text}/"), Trust::Operator).unwrap();
            assert_eq!(base_url.as_str(), text);
        }
        assert_eq!(
            BaseUrl::parse("https://API.Example.com/v1", Trust::Operator)
                .unwrap()
                .host(),
            "api.example.com"
        );
    }

    #[test]
    fn paths_follow_the_base_and_the_host_stands_without_its_usual_port() {
        let table = [
            (
                "https://api.example.com/v1/",
                "api.example.com",
                "https://api.example.com/v1/models",
            ),
            (
                "https://api.example.com:443",
                "api.example.com",
                "https://api.example.com:443/models",
            ),
            (
                "http://[::1]:8000/a/b",
                "[::1]:8000",
                "http://[::1]:8000/a/b/models",
            ),
            ("http://box:80", "box", "http://box:80/models"),
        ];
        for (text, host, expected) in table {
            let base_url = BaseUrl::parse(text, Trust::Operator).unwrap();
            assert_eq!(base_url.host_header(), host);
            let target = base_url.target("/models").unwrap();
            assert!(target.scheme().is_none() && target.authority().is_none());
            assert_eq!(base_url.with_path_of(&target).to_string(), expected);
        }
    }

    #[test]
    fn a_query_may_name_a_version_and_nothing_else() {
        let base_url = BaseUrl::parse("https://h/openai/?api-version=2024-10-21", Trust::Tenant).unwrap();
        assert_eq!(base_url.api_version(), Some("2024-10-21"));
        assert_eq!(base_url.as_str(), "https://h/openai");
        assert_eq!(base_url.target("/x").unwrap(), "/openai/x");
        let none = BaseUrl::parse("https://h/v1", Trust::Tenant).unwrap();
        assert_eq!(none.api_version(), None);
        for query in [
            "",
            "api-version=",
            "api-version=1&x=2",
            "api-version=a%26b",
            "x=1",
            "api-version",
        ] {
            let parsed = BaseUrl::parse(&format!("https://h/v1?{query}"), Trust::Operator);
            assert_eq!(parsed, Err(BaseUrlError::Extra), "{query}");
        }
    }

    #[test]
    fn what_is_no_base_url_is_refused() {
        let table = [
            ("", BaseUrlError::Malformed),
            ("api.openai.com/v1", BaseUrlError::Malformed),
            ("/v1", BaseUrlError::Malformed),
            ("https://", BaseUrlError::Malformed),
            ("https://host:0/v1", BaseUrlError::Malformed),
            ("https://ho st/v1", BaseUrlError::Malformed),
            ("ftp://host/v1", BaseUrlError::Scheme),
            ("file://host/etc/passwd", BaseUrlError::Scheme),
            ("https://user:pass@host/v1", BaseUrlError::Extra),
            ("https://host/v1?key=1", BaseUrlError::Extra),
            ("https://host/v1#part", BaseUrlError::Extra),
        ];
        for (text, expected) in table {
            assert_eq!(BaseUrl::parse(text, Trust::Operator), Err(expected), "{text}");
        }
    }

    #[test]
    fn a_tenant_cannot_send_us_into_our_own_network() {
        let hosts = "127.0.0.1 localhost LOCALHOST localhost. a.localhost metadata.google.internal 169.254.169.254 10.0.0.1 \
                     [::1] [::ffff:127.0.0.1] [fd00::1] 2130706433 0x7f000001 0x7f.1 127.1 0177.0.0.1 127.0.0.1. \
                     0 0.0.0.0 0x0 127.0.1 017700000001 0X7F.0.0.1 0x7f.0x0.0x0.0x1 127.0.0.1:8443 192.168.1.1 172.16.0.1 \
                     100.64.0.1 100.100.100.200 198.18.0.1 224.0.0.1 240.0.0.1 255.255.255.255 [::] [::ffff:7f00:1] \
                     [::ffff:169.254.169.254] [64:ff9b::7f00:1] [64:ff9b:1::1] [2002:7f00:1::] [2001:db8::1] [fe80::1] [ff02::1] \
                     [::127.0.0.1] LocalHost. a.b.internal. x.LOCALHOST 169.254.169.254.";
        for host in hosts.split_whitespace() {
            let parsed = BaseUrl::parse(&format!("https://{host}/v1"), Trust::Tenant);
            assert_eq!(parsed, Err(BaseUrlError::PrivateHost), "{host}");
        }
        assert_eq!(
            BaseUrl::parse("http://example.com/v1", Trust::Tenant),
            Err(BaseUrlError::NotHttps)
        );
        assert!(BaseUrl::parse("https://llm.example.com/v1", Trust::Tenant).is_ok());
        assert!(BaseUrl::parse("https://8.8.8.8/v1", Trust::Tenant).is_ok());
    }
}
