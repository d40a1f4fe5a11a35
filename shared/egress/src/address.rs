//! Addresses that are not on the public internet.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Returns why an address is refused, or `None` for an address on the public internet.
///
/// An IPv4-mapped IPv6 address (`::ffff:0:0/96`) is classified as its IPv4 address. All other embeddings of IPv4
/// addresses (6to4, NAT64, Teredo, IPv4-compatible) are refused, because public hosts do not need them.
///
/// ```
/// use quire_egress::forbidden;
///
/// assert_eq!(forbidden("169.254.169.254".parse()?), Some("a link-local address"));
/// assert_eq!(forbidden("93.184.215.14".parse()?), None);
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
pub fn forbidden(address: IpAddr) -> Option<&'static str> {
    match address.to_canonical() {
        IpAddr::V4(v4) => forbidden_v4(v4),
        IpAddr::V6(v6) => forbidden_v6(v6),
    }
}

fn forbidden_v4(address: Ipv4Addr) -> Option<&'static str> {
    let bits = address.to_bits();
    let within = |(network, prefix, why): &(Ipv4Addr, u32, &'static str)| {
        (bits ^ network.to_bits()).leading_zeros().ge(prefix).then_some(*why)
    };
    V4.iter().find_map(within)
}

fn forbidden_v6(address: Ipv6Addr) -> Option<&'static str> {
    let bits = address.to_bits();
    let within = |(network, prefix, why): &(Ipv6Addr, u32, &'static str)| {
        (bits ^ network.to_bits()).leading_zeros().ge(prefix).then_some(*why)
    };
    let global_unicast = bits >> 125 == 0b001;
    V6.iter().find_map(within).or((!global_unicast).then_some("not a global unicast address"))
}

/// IANA IPv4 Special-Purpose Address Registry. The first match is the reason.
const V4: [(Ipv4Addr, u32, &str); 17] = [
    (Ipv4Addr::UNSPECIFIED, 8, "an address of this network"),
    (Ipv4Addr::new(10, 0, 0, 0), 8, "a private address"),
    (Ipv4Addr::new(100, 64, 0, 0), 10, "an address shared behind carrier-grade NAT"),
    (Ipv4Addr::new(127, 0, 0, 0), 8, "a loopback address"),
    (Ipv4Addr::new(169, 254, 0, 0), 16, "a link-local address"),
    (Ipv4Addr::new(172, 16, 0, 0), 12, "a private address"),
    (Ipv4Addr::new(192, 0, 0, 0), 24, "an address for protocols"),
    (Ipv4Addr::new(192, 0, 2, 0), 24, "an address for documentation"),
    (Ipv4Addr::new(192, 88, 99, 0), 24, "an address of 6to4 relays"),
    (Ipv4Addr::new(192, 168, 0, 0), 16, "a private address"),
    (Ipv4Addr::new(198, 18, 0, 0), 15, "an address for benchmarks"),
    (Ipv4Addr::new(198, 51, 100, 0), 24, "an address for documentation"),
    (Ipv4Addr::new(203, 0, 113, 0), 24, "an address for documentation"),
    // Not in the registry: the address of the platform services of Azure, which are reachable only from inside it.
    (Ipv4Addr::new(168, 63, 129, 16), 32, "a metadata address"),
    (Ipv4Addr::new(224, 0, 0, 0), 4, "a multicast address"),
    (Ipv4Addr::BROADCAST, 32, "a broadcast address"),
    (Ipv4Addr::new(240, 0, 0, 0), 4, "a reserved address"),
];

/// IANA IPv6 Special-Purpose Address Registry. Addresses outside `2000::/3` are refused anyway; they are listed for
/// their reason.
const V6: [(Ipv6Addr, u32, &str); 16] = [
    (Ipv6Addr::LOCALHOST, 128, "a loopback address"),
    (Ipv6Addr::UNSPECIFIED, 128, "an address of this network"),
    (Ipv6Addr::UNSPECIFIED, 96, "an IPv4-compatible address"),
    (Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, 0, 0), 96, "a translated IPv4 address"),
    (Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96, "a NAT64 address"),
    (Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, 0, 0), 48, "a NAT64 address"),
    (Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 0), 64, "a discard address"),
    // Includes Teredo, ORCHID and benchmarking.
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23, "an address for protocols"),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32, "an address for documentation"),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16, "a 6to4 address"),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20, "an address for documentation"),
    (Ipv6Addr::new(0x5f00, 0, 0, 0, 0, 0, 0, 0), 16, "a segment routing address"),
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7, "a private address"),
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10, "a link-local address"),
    (Ipv6Addr::new(0xfec0, 0, 0, 0, 0, 0, 0, 0), 10, "a private address"),
    (Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8, "a multicast address"),
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    /// The first and last address of each refused range, and its public neighbors on both sides.
    const EDGES: [(&str, &str, Option<&str>, Option<&str>); 31] = [
        ("0.0.0.0", "0.255.255.255", None, Some("1.0.0.0")),
        ("10.0.0.0", "10.255.255.255", Some("9.255.255.255"), Some("11.0.0.0")),
        ("100.64.0.0", "100.127.255.255", Some("100.63.255.255"), Some("100.128.0.0")),
        ("127.0.0.0", "127.255.255.255", Some("126.255.255.255"), Some("128.0.0.0")),
        ("168.63.129.16", "168.63.129.16", Some("168.63.129.15"), Some("168.63.129.17")),
        ("169.254.0.0", "169.254.255.255", Some("169.253.255.255"), Some("169.255.0.0")),
        ("172.16.0.0", "172.31.255.255", Some("172.15.255.255"), Some("172.32.0.0")),
        ("192.0.0.0", "192.0.0.255", Some("191.255.255.255"), Some("192.0.1.0")),
        ("192.0.2.0", "192.0.2.255", Some("192.0.1.255"), Some("192.0.3.0")),
        ("192.88.99.0", "192.88.99.255", Some("192.88.98.255"), Some("192.88.100.0")),
        ("192.168.0.0", "192.168.255.255", Some("192.167.255.255"), Some("192.169.0.0")),
        ("198.18.0.0", "198.19.255.255", Some("198.17.255.255"), Some("198.20.0.0")),
        ("198.51.100.0", "198.51.100.255", Some("198.51.99.255"), Some("198.51.101.0")),
        ("203.0.113.0", "203.0.113.255", Some("203.0.112.255"), Some("203.0.114.0")),
        ("224.0.0.0", "239.255.255.255", Some("223.255.255.255"), None),
        ("240.0.0.0", "255.255.255.255", None, None),
        ("::", "::1", None, None),
        ("::2", "::ffff:ffff", None, None),
        ("::ffff:0:0:0", "::ffff:0:ffff:ffff", None, None),
        ("64:ff9b::", "64:ff9b::ffff:ffff", None, None),
        ("64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff", None, None),
        ("100::", "100::ffff:ffff:ffff:ffff", None, None),
        ("2001::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", None, Some("2001:200::")),
        ("2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", Some("2001:db7:ffff::"), Some("2001:db9::")),
        ("2002::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Some("2001:ffff::"), Some("2003::")),
        ("3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", Some("3ffe:ffff::"), Some("3fff:1000::")),
        ("5f00::", "5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff", None, None),
        ("fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", None, None),
        ("fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", None, None),
        ("fec0::", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", None, None),
        ("ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", None, None),
    ];

    #[test]
    fn every_range_is_refused_exactly_to_its_ends() {
        for (first, last, before, after) in EDGES {
            assert!(forbidden(address(first)).is_some(), "{first}");
            assert!(forbidden(address(last)).is_some(), "{last}");
            for public in [before, after].into_iter().flatten() {
                assert_eq!(forbidden(address(public)), None, "{public}");
            }
        }
    }

    #[test]
    fn the_reason_is_the_kind_of_address() {
        let reason = |text| forbidden(address(text));
        assert_eq!(reason("255.255.255.255"), Some("a broadcast address"));
        assert_eq!(reason("169.254.169.254"), Some("a link-local address"));
        assert_eq!(reason("fd00:ec2::254"), Some("a private address"));
        assert_eq!(reason("::1"), Some("a loopback address"));
        assert_eq!(reason("::7f00:1"), Some("an IPv4-compatible address"));
        assert_eq!(reason("4000::1"), Some("not a global unicast address"));
    }

    #[test]
    fn public_addresses_are_allowed() {
        for public in ["1.1.1.1", "8.8.8.8", "93.184.215.14", "2606:4700:4700::1111", "2a00:1450:4001:82a::200e"] {
            assert_eq!(forbidden(address(public)), None, "{public}");
        }
    }

    proptest! {
        #[test]
        fn a_mapped_ipv4_address_is_classified_like_the_ipv4_address(bits in any::<u32>()) {
            let v4 = Ipv4Addr::from_bits(bits);
            prop_assert_eq!(forbidden(v4.to_ipv6_mapped().into()), forbidden(v4.into()));
        }

        #[test]
        fn every_other_embedding_of_an_ipv4_address_is_refused(bits in any::<u32>()) {
            let (high, low) = ((bits >> 16) as u16, bits as u16);
            let embeddings = [
                Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1),
                Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
                Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, high, low),
                Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, !high, !low),
                Ipv6Addr::new(0, 0, 0, 0, 0, 0, high, low),
                Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, high, low),
            ];
            for embedding in embeddings {
                prop_assert!(forbidden(embedding.into()).is_some(), "{}", embedding);
            }
        }

        #[test]
        fn all_special_addresses_of_the_standard_library_are_refused(bits in any::<u32>()) {
            let v4 = Ipv4Addr::from_bits(bits);
            let special = v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_broadcast()
                || v4.is_multicast() || v4.is_documentation() || v4.is_unspecified();
            prop_assert!(!special || forbidden(v4.into()).is_some());
        }

        #[test]
        fn only_global_unicast_addresses_are_allowed(bits in any::<u128>()) {
            let v6 = Ipv6Addr::from_bits(bits);
            let passes = forbidden(v6.into()).is_none();
            prop_assert!(!passes || bits >> 125 == 1 || v6.to_ipv4_mapped().is_some());
        }
    }
}
