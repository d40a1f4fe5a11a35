//! Protects a server without API keys from web pages that a user of this machine visits.
//!
//! Such a server trusts everyone who reaches the loopback interface, and a browser reaches it for any web page:
//!
//! - **DNS rebinding**: the page's own host name resolves to 127.0.0.1, so that the browser lets the page read the
//!   responses. Its requests have that name in `Host`, which is refused.
//! - **Cross-site request forgery**: a form or a `fetch` without preflight changes state, although its response cannot
//!   be read. Its requests have a foreign `Origin`, or `Sec-Fetch-Site`, which is refused unless the method is safe.
//!
//! Both are irrelevant with API keys, which no browser sends by itself.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, HeaderName, Method, Uri, header};
use url::{Host, Origin, Url};

use crate::http::problem::Problem;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Which requests may be served without API keys.
#[derive(Debug, Clone)]
pub(crate) struct LocalGuard {
    listen: IpAddr,
    public: Option<Url>,
}

impl LocalGuard {
    /// Accepts requests to the loopback interface, to the address that the server listens on, and to its public URL.
    pub(crate) fn new(listen: SocketAddr, public: Option<Url>) -> Self {
        Self { listen: listen.ip().to_canonical(), public }
    }

    /// Returns why a request is refused, if it is.
    pub(crate) fn check(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Option<Problem> {
        if !self.is_addressed(uri, headers) {
            return Some(Problem::misdirected_request());
        }
        let is_safe = [Method::GET, Method::HEAD, Method::OPTIONS].contains(method);
        (!is_safe && !self.is_same_origin(headers)).then(Problem::cross_site_request)
    }

    /// Whether every name under which the client addresses the server is one of its own.
    fn is_addressed(&self, uri: &Uri, headers: &HeaderMap) -> bool {
        let mut hosts = headers.get_all(header::HOST).iter();
        let (Some(host), None) = (hosts.next(), hosts.next()) else { return false };
        let Ok(host) = host.to_str() else { return false };
        // The target of a request to a proxy has an authority, too.
        self.is_own_host(host) && uri.authority().is_none_or(|authority| self.is_own_host(authority.as_str()))
    }

    fn is_own_host(&self, authority: &str) -> bool {
        let Some(host) = host_of(authority) else { return false };
        let public = self.public.as_ref().and_then(Url::host).map(|host| host.to_owned());
        match &host {
            Host::Domain(name) if name.trim_end_matches('.') == "localhost" => true,
            Host::Domain(_) => Some(host) == public,
            Host::Ipv4(address) => self.is_own_address((*address).into()) || Some(host) == public,
            Host::Ipv6(address) => self.is_own_address((*address).into()) || Some(host) == public,
        }
    }

    fn is_own_address(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_loopback() || (address == self.listen && !address.is_unspecified())
    }

    /// Whether the request comes from a page of this server, or from no page at all.
    fn is_same_origin(&self, headers: &HeaderMap) -> bool {
        let site = headers.get(SEC_FETCH_SITE);
        if site.is_some_and(|site| site != "same-origin" && site != "none") {
            return false;
        }
        // Browsers that predate `Origin` in forms send `Referer`.
        let sources = if headers.contains_key(header::ORIGIN) { header::ORIGIN } else { header::REFERER };
        let mut sources = headers.get_all(sources).iter();
        sources.all(|source| source.to_str().is_ok_and(|source| self.is_own_origin(source, headers)))
    }

    fn is_own_origin(&self, source: &str, headers: &HeaderMap) -> bool {
        let Ok(source) = Url::parse(source) else { return false };
        let origin = source.origin();
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let own = Url::parse(&format!("http://{host}/")).map(|url| url.origin());
        let public = self.public.as_ref().map(Url::origin);
        // Two opaque origins, e.g. of `data:` URLs, are never equal.
        matches!(origin, Origin::Tuple(..)) && (own.is_ok_and(|own| own == origin) || public == Some(origin))
    }
}

/// Returns the host of an authority without credentials. Numeric forms of an address, e.g. `127.1`, are that address.
fn host_of(authority: &str) -> Option<Host<String>> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
    if !authority.bytes().all(is_plain) {
        return None;
    }
    let host = match authority.rfind(':') {
        // A colon in brackets belongs to an IPv6 address.
        Some(colon) if !authority[colon..].contains(']') => {
            let port = &authority[colon + 1..];
            if !port.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            &authority[..colon]
        }
        _ => authority,
    };
    Host::parse(host).ok()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn guard(listen: &str, public: Option<&str>) -> LocalGuard {
        let public = public.map(|url| url.parse().expect("a URL"));
        LocalGuard::new(listen.parse().expect("an address"), public)
    }

    fn code(guard: &LocalGuard, method: &Method, target: &str, headers: &[(&'static str, &str)]) -> &'static str {
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).expect("a value")))
            .collect();
        let refused = guard.check(method, &target.parse().expect("a URI"), &headers);
        refused.map_or("served", |problem| problem.code().as_str())
    }

    #[test]
    fn only_own_names_are_served() {
        let guard = guard("127.0.0.1:8000", Some("https://ocr.example.com/base"));
        let own = [
            "localhost",
            "LOCALHOST:8000",
            "localhost.:8000",
            "localhost:9999",
            "127.0.0.1",
            "127.0.0.1:8000",
            "127.9.8.7:1",
            "127.1",
            "2130706433",
            "[::1]:8000",
            "[::ffff:127.0.0.1]",
            "ocr.example.com",
            "OCR.example.com:443",
        ];
        let foreign = [
            "",
            "evil.example",
            "evil.example:8000",
            "localhost.evil.example",
            "evil-localhost",
            "127.0.0.1.evil.example",
            "127.0.0.1@evil.example",
            "evil.example@127.0.0.1",
            "10.0.0.1:8000",
            "0.0.0.0:8000",
            "[::]:8000",
            "[::1",
            "localhost:80:80",
            "localhost:a",
            "ocr.example.com.evil.example",
            "%6cocalhost",
            "localhost,evil.example",
            "www.ocr.example.com",
            "[2001:db8::1]",
        ];
        for host in own {
            assert_eq!(code(&guard, &Method::GET, "/task", &[("host", host)]), "served", "{host}");
        }
        for host in foreign {
            assert_eq!(code(&guard, &Method::GET, "/task", &[("host", host)]), "misdirected_request", "{host}");
        }
    }

    #[test]
    fn a_request_names_one_host_and_its_target_names_no_other() {
        let guard = guard("127.0.0.1:8000", None);
        assert_eq!(code(&guard, &Method::GET, "/task", &[]), "misdirected_request");
        let two = [("host", "localhost"), ("host", "evil.example")];
        assert_eq!(code(&guard, &Method::GET, "/task", &two), "misdirected_request");
        let host = [("host", "localhost")];
        assert_eq!(code(&guard, &Method::GET, "http://localhost:8000/task", &host), "served");
        assert_eq!(code(&guard, &Method::GET, "http://evil.example/task", &host), "misdirected_request");
    }

    #[test]
    fn the_address_that_the_server_listens_on_is_an_own_name() {
        let guard = guard("192.0.2.7:8000", None);
        assert_eq!(code(&guard, &Method::GET, "/task", &[("host", "192.0.2.7:8000")]), "served");
        assert_eq!(code(&guard, &Method::GET, "/task", &[("host", "192.0.2.8:8000")]), "misdirected_request");
    }

    #[test]
    fn other_pages_cannot_change_state() {
        let guard = guard("127.0.0.1:8000", Some("https://ocr.example.com"));
        let post = |headers: &[(&'static str, &str)]| {
            let headers: Vec<_> = [("host", "localhost:8000")].into_iter().chain(headers.iter().copied()).collect();
            code(&guard, &Method::POST, "/webhooks/secret/rotate", &headers)
        };
        let own: [&[(&str, &str)]; 7] = [
            &[],
            &[("origin", "http://localhost:8000")],
            &[("origin", "https://ocr.example.com")],
            &[("sec-fetch-site", "same-origin"), ("origin", "http://localhost:8000")],
            &[("sec-fetch-site", "none")],
            &[("referer", "http://localhost:8000/page")],
            &[("origin", "http://localhost:8000"), ("referer", "https://evil.example/")],
        ];
        for headers in own {
            assert_eq!(post(headers), "served", "{headers:?}");
        }
        let foreign: [&[(&str, &str)]; 13] = [
            &[("origin", "https://evil.example")],
            &[("origin", "http://localhost:3000")],
            &[("origin", "https://localhost:8000")],
            &[("origin", "http://127.0.0.1:8000")],
            &[("origin", "http://localhost:8000.evil.example")],
            &[("origin", "null")],
            &[("origin", "")],
            &[("origin", "data:text/html,x")],
            &[("origin", "http://localhost:8000"), ("origin", "https://evil.example")],
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-site")],
            &[("sec-fetch-site", "cross-site"), ("origin", "http://localhost:8000")],
            &[("referer", "https://evil.example/page")],
        ];
        for headers in foreign {
            assert_eq!(post(headers), "cross_site_request", "{headers:?}");
        }
    }

    #[test]
    fn other_pages_may_link_to_a_task() {
        let guard = guard("127.0.0.1:8000", None);
        let link = [("host", "localhost:8000"), ("sec-fetch-site", "cross-site"), ("referer", "https://chat.example/")];
        assert_eq!(code(&guard, &Method::GET, "/task/1", &link), "served");
        for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
            assert_eq!(code(&guard, &method, "/task/1", &link), "cross_site_request", "{method}");
        }
    }
}
