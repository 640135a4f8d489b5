//! Events of multicast DNS in, servers out, without a network.

use std::net::Ipv4Addr;

use mdns_sd::{InterfaceId, ScopedIpV4, ServiceInfo, TxtProperty};

use super::*;
use crate::{SERVICE_TYPE, announcement::tests::closet};

const NOW: fn() -> Instant = Instant::now;

/// What the library reports when it has resolved `announcement` at `addresses`.
fn resolved(announcement: &Announcement, addresses: &str) -> ServiceEvent {
    let properties: Vec<TxtProperty> = announcement.to_properties().iter().map(TxtProperty::from).collect();
    let (name, host) = (announcement.instance(), announcement.host());
    let info = ServiceInfo::new(SERVICE_TYPE, &name, &host, addresses, announcement.quic_port, properties);
    ServiceEvent::ServiceResolved(Box::new(info.unwrap().as_resolved_service()))
}

fn fullname(event: &ServiceEvent) -> String {
    let ServiceEvent::ServiceResolved(service) = event else { panic!("{event:?}") };
    service.fullname.clone()
}

fn texts(server: &SeenServer) -> Vec<String> {
    server.addresses.iter().map(SocketAddr::to_string).collect()
}

#[test]
fn a_server_is_there_once_with_its_best_address_first_until_it_says_goodbye() {
    let mut list = List::default();
    let event = resolved(&closet(), "fe80::1,2001:db8::5,169.254.3.4,192.168.1.9,10.0.0.2,0.0.0.0,224.0.0.1");
    let name = fullname(&event);
    list.take(event, NOW());
    let servers = list.servers();
    assert_eq!(servers.len(), 1);
    assert_eq!(servers[0].announcement, closet());
    let best_first =
        ["10.0.0.2:7433", "192.168.1.9:7433", "[2001:db8::5]:7433", "169.254.3.4:7433", "[fe80::1]:7433"];
    assert_eq!(texts(&servers[0]), best_first);
    list.take(ServiceEvent::ServiceRemoved(SERVICE_TYPE.to_owned(), name), NOW());
    assert!(list.servers().is_empty() && list.is_empty());
}

#[test]
fn who_answers_the_roll_call_is_there_until_it_says_goodbye_or_misses_too_many() {
    let mut list = List::default();
    let address: SocketAddr = "10.0.0.2:7433".parse().unwrap();
    list.take_answer(closet(), address, NOW());
    assert_eq!(list.servers().iter().map(texts).collect::<Vec<_>>(), [["10.0.0.2:7433"]]);
    // Heard both ways it is one server still, and its goodbye counts for both.
    let event = resolved(&closet(), "10.0.0.2,10.0.0.3");
    let name = fullname(&event);
    list.take(event, NOW());
    assert_eq!(list.servers().iter().map(texts).collect::<Vec<_>>(), [["10.0.0.2:7433", "10.0.0.3:7433"]]);
    list.take(ServiceEvent::ServiceRemoved(SERVICE_TYPE.to_owned(), name), NOW());
    assert!(list.is_empty());
    list.take_answer(closet(), address, NOW());
    for _ in 0..MOST_UNANSWERED {
        list.call();
    }
    assert!(!list.is_empty(), "a network may lose some packets");
    list.take_answer(closet(), address, NOW());
    for _ in 0..=MOST_UNANSWERED {
        list.call();
    }
    assert!(list.is_empty());
    for number in 0..200u8 {
        list.take_answer(Announcement { fingerprint: [number; 32], ..closet() }, address, NOW());
    }
    assert_eq!(list.servers().len(), MAX_ENTRIES);
}

#[test]
fn who_moved_is_found_at_the_new_address() {
    let mut list = List::default();
    list.take(resolved(&closet(), "10.0.0.2"), NOW());
    list.take(resolved(&closet(), "10.0.0.77"), NOW());
    assert_eq!(list.servers().iter().map(texts).collect::<Vec<_>>(), [["10.0.0.77:7433"]]);
}

#[test]
fn one_fingerprint_is_one_server_and_one_name_may_be_two() {
    let mut list = List::default();
    list.take(resolved(&closet(), "10.0.0.2"), NOW());
    list.take(resolved(&Announcement { name: "attic".to_owned(), ..closet() }, "10.0.0.3"), NOW());
    let servers = list.servers();
    assert_eq!(servers.len(), 1, "the same fingerprint under two names");
    assert_eq!(texts(&servers[0]), ["10.0.0.2:7433", "10.0.0.3:7433"]);
    list.take(resolved(&Announcement { fingerprint: [9; 32], ..closet() }, "10.0.0.4"), NOW());
    let names: Vec<String> = list.servers().into_iter().map(|s| s.announcement.name).collect();
    assert_eq!(names, ["attic", "closet"]);
}

#[test]
fn nobody_sends_us_to_our_own_machine_and_nobody_fills_the_list() {
    let mut list = List::default();
    list.take(resolved(&closet(), "127.0.0.1"), NOW());
    assert!(list.is_empty(), "loopback that was not heard on loopback");
    let elsewhere = InterfaceId { name: "none".to_owned(), index: u32::MAX };
    assert!(!believable(&ScopedIp::V4(ScopedIpV4::new(Ipv4Addr::LOCALHOST, elsewhere))));
    for number in 0..200u8 {
        let flood = Announcement { fingerprint: [number; 32], ..closet() };
        list.take(resolved(&flood, "10.0.0.2"), NOW());
    }
    assert_eq!(list.servers().len(), MAX_ENTRIES);
    let many: Vec<String> = (1..60).map(|n| format!("10.0.1.{n}")).collect();
    list.take(resolved(&Announcement { fingerprint: [3; 32], ..closet() }, &many.join(",")), NOW());
    assert!(list.servers().iter().all(|s| s.addresses.len() <= MAX_ADDRESSES));
}

#[test]
fn what_becomes_nonsense_leaves_the_list() {
    let mut list = List::default();
    list.take(resolved(&closet(), "10.0.0.2"), NOW());
    let ServiceEvent::ServiceResolved(mut service) = resolved(&closet(), "10.0.0.2") else { panic!() };
    service.txt_properties = [("name", "closet")].as_slice().into_txt();
    list.take(ServiceEvent::ServiceResolved(service), NOW());
    assert!(list.is_empty());
}

trait IntoTxt {
    fn into_txt(self) -> mdns_sd::TxtProperties;
}

impl IntoTxt for &[(&str, &str)] {
    fn into_txt(self) -> mdns_sd::TxtProperties {
        mdns_sd::IntoTxtProperties::into_txt_properties(self)
    }
}

#[test]
fn who_was_not_heard_for_long_is_asked_after_while_somebody_looks() {
    let mut list = List::default();
    let start = NOW();
    let later = |seconds| start + Duration::from_secs(seconds);
    list.take(resolved(&closet(), "10.0.0.2"), start);
    assert!(list.due(later(5), true).is_empty());
    assert!(list.due(later(7), false).is_empty(), "nobody looks");
    assert_eq!(list.due(later(11), true).len(), 1);
    assert!(list.due(later(12), true).is_empty(), "it has been asked already");
    assert!(list.due(later(17), true).is_empty());
    assert_eq!(list.servers()[0].last_seen, later(17), "it answered, or it would have left");
    list.forget_before(later(17));
    assert!(!list.is_empty());
    list.forget_before(later(18));
    assert!(list.is_empty(), "a new search has not found it");
    list.take(resolved(&closet(), "10.0.0.2"), later(18));
    list.doubt(&closet().fingerprint);
    assert_eq!(list.due(later(18), false).len(), 1);
}
