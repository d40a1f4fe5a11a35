//! The operator's list of private addresses and hosts that may be called.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use ipnet::IpNet;
use url::{Host, Url};

/// The most entries of a list.
const MAX_ENTRIES: usize = 256;

/// An invalid entry of an [`AllowList`]. Decision: refuse to start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAllowList {
    /// An entry is neither a network in CIDR notation nor a host.
    #[error("{0:?} is neither a network such as 10.0.0.0/8 nor a host such as minio or minio:9000")]
    Entry(String),
    /// An entry is a metadata service, which hands out credentials.
    #[error("{0:?} is a metadata service, which is never allowed")]
    Metadata(String),
    /// The list is too long.
    #[error("more than {MAX_ENTRIES} entries")]
    TooLong,
}

/// Private networks, and hosts with an optional port, that may be called in addition to the public internet. Default:
/// none. Metadata, link-local, multicast and embedded addresses are refused even if a listed network contains them.
///
/// ```
/// use quire_egress::AllowList;
///
/// let allow: AllowList = "10.0.0.0/8, minio:9000, fd12::/16".parse()?;
/// assert!("169.254.169.254".parse::<AllowList>().is_err());
/// # Ok::<(), quire_egress::InvalidAllowList>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowList {
    networks: Vec<IpNet>,
    hosts: Vec<(Host, Option<u16>)>,
}

/// What the list says about the host of a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listed {
    /// The host and its port are listed, or its address is in a listed network.
    Allowed,
    /// The host is listed with other ports only.
    OtherPort,
    /// It is not listed.
    No,
}

impl FromStr for AllowList {
    type Err = InvalidAllowList;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut list = Self::default();
        for entry in text.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            list.add(entry)?;
        }
        if list.networks.len() + list.hosts.len() > MAX_ENTRIES { Err(InvalidAllowList::TooLong) } else { Ok(list) }
    }
}

impl AllowList {
    fn add(&mut self, entry: &str) -> Result<(), InvalidAllowList> {
        let invalid = || InvalidAllowList::Entry(entry.to_owned());
        if let Some(network) = parse_network(entry) {
            if network.prefix_len() == network.max_prefix_len() && is_never_allowed(network.addr()) {
                return Err(InvalidAllowList::Metadata(entry.to_owned()));
            }
            self.networks.push(network.trunc());
            return Ok(());
        }
        let (host, port) = parse_host(entry).ok_or_else(invalid)?;
        let is_metadata = match &host {
            Host::Domain(name) => is_metadata_name(name),
            Host::Ipv4(address) => is_never_allowed((*address).into()),
            Host::Ipv6(address) => is_never_allowed((*address).into()),
        };
        if is_metadata {
            return Err(InvalidAllowList::Metadata(entry.to_owned()));
        }
        self.hosts.push((host, port));
        Ok(())
    }

    /// Returns whether the host and port of a URL are listed.
    pub(crate) fn lists_url(&self, url: &Url) -> Listed {
        let Some(host) = url.host().map(|host| canonical(host.to_owned())) else { return Listed::No };
        let in_network = match &host {
            Host::Ipv4(address) => self.lists_address((*address).into()),
            Host::Ipv6(address) => self.lists_address((*address).into()),
            Host::Domain(_) => false,
        };
        let mut ports = self.hosts.iter().filter(|(listed, _)| *listed == host).map(|(_, port)| *port).peekable();
        let is_listed = ports.peek().is_some();
        if in_network || ports.any(|port| port.is_none() || port == url.port_or_known_default()) {
            Listed::Allowed
        } else if is_listed {
            Listed::OtherPort
        } else {
            Listed::No
        }
    }

    /// Returns whether `address`, of the host name `host`, may be called although it is private. The port of the URL
    /// was checked before the name was resolved.
    pub(crate) fn allows(&self, host: &str, address: IpAddr) -> bool {
        !is_never_allowed(address) && (self.lists_address(address) || self.lists_name(host))
    }

    fn lists_address(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.networks.iter().any(|network| network.contains(&address))
    }

    fn lists_name(&self, host: &str) -> bool {
        // The text of a URL is parsed the same way, so that both have the same form.
        Host::parse(host).is_ok_and(|host| {
            let host = canonical(host);
            self.hosts.iter().any(|(listed, _)| *listed == host)
        })
    }
}

/// Returns the network, or the single address, of an entry.
fn parse_network(entry: &str) -> Option<IpNet> {
    if let Ok(network) = entry.parse() {
        return Some(network);
    }
    let bare = entry.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(entry);
    bare.parse::<IpAddr>().ok().map(|address| IpNet::from(address.to_canonical()))
}

fn parse_host(entry: &str) -> Option<(Host, Option<u16>)> {
    // An IPv6 address is in brackets, so that the last colon is that of the port.
    let (host, port) = match entry.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port.parse().ok().filter(|port| *port > 0)?)),
        _ => (entry, None),
    };
    let is_plain = !host.is_empty() && !host.contains(['/', '@', '?', '#', '*', ' ']);
    is_plain.then(|| Host::parse(host).ok()).flatten().map(|host| (canonical(host), port))
}

/// Returns the host without the dot at the end of a name, and with an IPv4-mapped address as IPv4.
fn canonical(host: Host) -> Host {
    match host {
        Host::Domain(name) => Host::Domain(name.trim_end_matches('.').to_ascii_lowercase()),
        Host::Ipv6(address) => match address.to_ipv4_mapped() {
            Some(address) => Host::Ipv4(address),
            None => Host::Ipv6(address),
        },
        Host::Ipv4(address) => Host::Ipv4(address),
    }
}

/// Names of the metadata services of clouds, which hand out credentials to everyone on the machine.
const METADATA_NAMES: [&str; 7] = [
    "metadata",
    "metadata.google.internal",
    "metadata.goog",
    "metadata.azure.internal",
    "metadata.tencentyun.com",
    "instance-data",
    "instance-data.ec2.internal",
];

/// Returns whether a host name is that of a metadata service.
pub(crate) fn is_metadata_name(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    METADATA_NAMES.contains(&name.as_str()) || name.ends_with(".metadata.google.internal")
}

/// Addresses of metadata services outside the link-local ranges: Azure, Alibaba, Oracle.
const METADATA_V4: [Ipv4Addr; 3] =
    [Ipv4Addr::new(168, 63, 129, 16), Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(192, 0, 0, 192)];
/// As [`METADATA_V4`]: Google, Scaleway.
const METADATA_V6: [Ipv6Addr; 2] =
    [Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254), Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42)];

/// Returns whether no list may allow an address: metadata services, and addresses that no private host has.
pub(crate) fn is_never_allowed(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            METADATA_V4.contains(&address)
                || address.is_link_local()
                || address.is_multicast()
                || address.octets()[0] == 0
                || address.octets()[0] >= 240
        }
        IpAddr::V6(address) => {
            let segments = address.segments();
            // Amazon's services: fd00:ec2::/32. Only global unicast, private and loopback addresses are hosts; others,
            // as well as 2001::/23 and 2002::/16, embed an IPv4 address, or are not hosts.
            let is_amazon = segments[0] == 0xfd00 && segments[1] == 0xec2;
            let is_embedding = segments[0] == 0x2002 || (segments[0] == 0x2001 && segments[1] < 0x200);
            let is_host = address.is_loopback() || segments[0] & 0xe000 == 0x2000 || segments[0] & 0xfe00 == 0xfc00;
            METADATA_V6.contains(&address) || is_amazon || is_embedding || !is_host
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> AllowList {
        text.parse().expect("a valid list")
    }

    fn url(text: &str) -> Url {
        Url::parse(text).expect("a valid URL")
    }

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn networks_and_hosts_are_allowed_and_their_neighbors_are_not() {
        let list = list(" 10.0.0.0/8,minio:9000 ,Storage.Internal.,fd12::/16, 192.168.7.9:8080,,::ffff:172.16.0.1");
        for (text, expected) in [
            ("http://10.255.0.1:99/", Listed::Allowed),
            ("http://11.0.0.1/", Listed::No),
            ("http://minio:9000/a", Listed::Allowed),
            ("http://MINIO.:9000/a", Listed::Allowed),
            ("https://minio/a", Listed::OtherPort),
            ("https://storage.internal/", Listed::Allowed),
            ("https://a.storage.internal/", Listed::No),
            ("http://192.168.7.9:8080/", Listed::Allowed),
            ("http://192.168.7.9/", Listed::OtherPort),
            ("http://172.16.0.1/", Listed::Allowed),
        ] {
            assert_eq!(list.lists_url(&url(text)), expected, "{text}");
        }
        assert!(list.allows("anything.example.com", address("10.1.2.3")));
        assert!(list.allows("minio", address("172.20.0.5")) && !list.allows("other", address("172.20.0.5")));
    }

    #[test]
    fn metadata_services_are_never_allowed() {
        let everything = list("0.0.0.0/0,::/0,innocent");
        for never in [
            "169.254.169.254",
            "169.254.170.2",
            "169.254.170.23",
            "100.100.100.200",
            "168.63.129.16",
            "192.0.0.192",
            "fd00:ec2::254",
            "fd00:ec2::23",
            "fd20:ce::254",
            "fe80::a9fe:a9fe",
            "::ffff:169.254.169.254",
            "::a9fe:a9fe",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
            "2001::5601:5601",
            "224.0.0.1",
            "0.0.0.0",
            "::",
            "ff02::1",
        ] {
            assert!(!everything.allows("innocent", address(never)), "{never}");
        }
        for allowed in ["10.0.0.1", "127.0.0.1", "::1", "fd12::1", "192.168.0.1", "100.64.0.1"] {
            assert!(everything.allows("innocent", address(allowed)), "{allowed}");
        }
        for entry in
            ["169.254.169.254", "[fd00:ec2::254]:80", "metadata.google.internal", "METADATA.:80", "fe80::1/128"]
        {
            assert_eq!(entry.parse::<AllowList>(), Err(InvalidAllowList::Metadata(entry.to_owned())));
        }
    }

    #[test]
    fn an_entry_that_is_no_network_and_no_host_is_an_error() {
        for entry in ["10.0.0.0/33", "http://minio", "minio:0", "minio:65536", ":9000", "*.internal", "a b", "u@h", "/"]
        {
            assert_eq!(entry.parse::<AllowList>(), Err(InvalidAllowList::Entry(entry.to_owned())), "{entry}");
        }
        assert_eq!("a,".repeat(300).parse::<AllowList>(), Err(InvalidAllowList::TooLong));
        assert_eq!(" , ".parse::<AllowList>(), Ok(AllowList::default()));
    }
}
