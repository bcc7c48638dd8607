//! Which addresses are somebody else's, on the public internet.
//!
//! Everything is refused that the registries of special addresses (IANA, RFC 6890) do not call globally reachable, and
//! whatever carries an IPv4 address inside an IPv6 one: the machine, or a translator near it, might take it out again.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// First address and length of the prefix.
type Net4 = (Ipv4Addr, u32);
type Net6 = (Ipv6Addr, u32);

const REFUSED_V4: [Net4; 15] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8),       // this network, "unspecified"
    (Ipv4Addr::new(10, 0, 0, 0), 8),      // private
    (Ipv4Addr::new(100, 64, 0, 0), 10),   // behind a carrier's translator
    (Ipv4Addr::new(127, 0, 0, 0), 8),     // loopback
    (Ipv4Addr::new(169, 254, 0, 0), 16),  // link-local, and the metadata of clouds
    (Ipv4Addr::new(172, 16, 0, 0), 12),   // private
    (Ipv4Addr::new(192, 0, 0, 0), 24),    // protocol assignments
    (Ipv4Addr::new(192, 0, 2, 0), 24),    // documentation
    (Ipv4Addr::new(192, 88, 99, 0), 24),  // 6to4 relays
    (Ipv4Addr::new(192, 168, 0, 0), 16),  // private
    (Ipv4Addr::new(198, 18, 0, 0), 15),   // benchmarking
    (Ipv4Addr::new(198, 51, 100, 0), 24), // documentation
    (Ipv4Addr::new(203, 0, 113, 0), 24),  // documentation
    (Ipv4Addr::new(224, 0, 0, 0), 4),     // multicast
    (Ipv4Addr::new(240, 0, 0, 0), 4),     // reserved, and broadcast
];

/// The only IPv6 addresses that are given out: loopback, mapped, compatible, NAT64, unique-local, link-local, site-local
/// and multicast ones are all outside.
const GLOBAL_V6: Net6 = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);
/// And what inside of it is nobody's.
const REFUSED_V6: [Net6; 4] = [
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23), // protocol assignments: Teredo, benchmarking, ORCHID
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32), // documentation
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16), // 6to4
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20), // documentation
];
/// The middle of an ISATAP address, before an IPv4 address: with and without the bit that says it is unique.
const ISATAP: [u32; 2] = [0x0000_5efe, 0x0200_5efe];

/// Whether a request that a stranger had a hand in may go to that address.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => !REFUSED_V4.iter().any(|net| within_v4(v4, *net)),
        IpAddr::V6(v6) => {
            let middle = (v6.to_bits() >> 32) as u32;
            within_v6(v6, GLOBAL_V6)
                && !REFUSED_V6.iter().any(|net| within_v6(v6, *net))
                && !ISATAP.contains(&middle)
        }
    }
}

fn within_v4(address: Ipv4Addr, (first, length): Net4) -> bool {
    (address.to_bits() ^ first.to_bits()).leading_zeros() >= length
}

fn within_v6(address: Ipv6Addr, (first, length): Net6) -> bool {
    (address.to_bits() ^ first.to_bits()).leading_zeros() >= length
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_and_last_address_of_every_refused_net_are_refused_and_their_neighbours_are_not() {
        // First, last, and whether the one before and the one after are public.
        let nets = [
            ("0.0.0.0", "0.255.255.255", false, true),
            ("10.0.0.0", "10.255.255.255", true, true),
            ("100.64.0.0", "100.127.255.255", true, true),
            ("127.0.0.0", "127.255.255.255", true, true),
            ("169.254.0.0", "169.254.255.255", true, true),
            ("172.16.0.0", "172.31.255.255", true, true),
            ("192.0.0.0", "192.0.0.255", true, true),
            ("192.0.2.0", "192.0.2.255", true, true),
            ("192.88.99.0", "192.88.99.255", true, true),
            ("192.168.0.0", "192.168.255.255", true, true),
            ("198.18.0.0", "198.19.255.255", true, true),
            ("198.51.100.0", "198.51.100.255", true, true),
            ("203.0.113.0", "203.0.113.255", true, true),
            ("224.0.0.0", "255.255.255.255", true, false),
        ];
        for (first, last, before, after) in nets {
            let [first, last]: [Ipv4Addr; 2] = [first.parse().unwrap(), last.parse().unwrap()];
            let public = |bits: u32| is_public(Ipv4Addr::from_bits(bits).into());
            assert!(!public(first.to_bits()) && !public(last.to_bits()), "{first}");
            assert_eq!(public(first.to_bits().wrapping_sub(1)), before, "before {first}");
            assert_eq!(public(last.to_bits().wrapping_add(1)), after, "after {last}");
        }
        for public in ["1.1.1.1", "8.8.8.8", "100.63.255.255", "172.32.0.1", "223.255.255.255"] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
    }

    #[test]
    fn of_ipv6_only_what_is_given_out_is_public() {
        let refused = [
            "::",
            "::1",
            "::127.0.0.1",
            "::8.8.8.8",
            "::ffff:127.0.0.1",
            "::ffff:8.8.8.8",
            "::ffff:0:8.8.8.8",
            "64:ff9b::7f00:1",
            "64:ff9b::808:808",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:0:4136:e378:8000:63bf:3fff:fdd2",
            "2001:2::1",
            "2001:10::1",
            "2001:20::1",
            "2001:1ff:ffff::",
            "2001:db8::1",
            "2002:7f00:1::",
            "2002:808:808::1",
            "3fff::1",
            "3fff:fff:ffff::",
            "4000::1",
            "5f00::1",
            "fc00::1",
            "fd12:3456::1",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "ff02::1",
            "ff0e::1",
            "2a00:1450::5efe:7f00:1",
            "2a00:1450::200:5efe:a00:1",
        ];
        for address in refused {
            assert!(!is_public(IpAddr::V6(address.parse().unwrap())), "{address}");
        }
        for address in
            ["2606:4700::1111", "2001:200::1", "2001:4860:4860::8888", "2a00:1450:4001::200e", "2003::1"]
        {
            assert!(is_public(IpAddr::V6(address.parse().unwrap())), "{address}");
        }
    }
}
