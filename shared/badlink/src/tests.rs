//! What goes wrong goes wrong as ordered: decisions in virtual time, the rest over sockets without a limit on time.

use super::*;
use std::collections::BTreeSet;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn fates(of: &Impairments, every: Duration, count: u32) -> Vec<Option<Duration>> {
    let mut luck = Luck::new(of.seed);
    (0..count).map(|n| luck.fate(of, every * n).map(|leaves| leaves.saturating_sub(every * n))).collect()
}

#[test]
fn loss_is_as_frequent_as_ordered_and_the_same_for_a_seed() {
    let lossy = |seed| Impairments { seed, loss: 0.05, ..Impairments::default() };
    let lost = |seed| fates(&lossy(seed), ms(1), 20_000).iter().filter(|fate| fate.is_none()).count();
    assert!((850..1_150).contains(&lost(1)), "{}", lost(1));
    assert_eq!(fates(&lossy(1), ms(1), 1_000), fates(&lossy(1), ms(1), 1_000));
    assert_ne!(fates(&lossy(1), ms(1), 1_000), fates(&lossy(2), ms(1), 1_000));
    assert!(fates(&Impairments::default(), ms(1), 1_000).iter().all(|fate| *fate == Some(Duration::ZERO)));
}

#[test]
fn delay_spreads_as_far_as_the_jitter_and_no_further() {
    let far = Impairments { delay: ms(20), jitter: ms(15), ..Impairments::default() };
    let delays: Vec<Duration> = fates(&far, ms(1), 20_000).into_iter().flatten().collect();
    let (least, most) = (delays.iter().min().unwrap(), delays.iter().max().unwrap());
    assert!(*least >= ms(5) && *least < ms(6) && *most <= ms(35) && *most > ms(34), "{least:?} {most:?}");
    // Sent each millisecond, some overtake.
    assert!(delays.windows(2).any(|pair| pair[0] > pair[1] + ms(1)));
}

#[test]
fn a_stall_holds_and_an_outage_swallows() {
    let stalling = Impairments { stall_every: Some(ms(1_000)), stall: ms(200), ..Impairments::default() };
    let delays = fates(&stalling, ms(10), 300);
    for (n, delay) in delays.iter().enumerate() {
        let into = 10 * n as u64 % 1_000;
        let expected = if n >= 100 && into < 200 { 200 - into } else { 0 };
        assert_eq!(*delay, Some(ms(expected)), "at {} ms", 10 * n);
    }
    let out = Impairments { outage_at: Some(ms(500)), outage: ms(300), ..Impairments::default() };
    for (n, delay) in fates(&out, ms(10), 200).iter().enumerate() {
        assert_eq!(delay.is_none(), (50..80).contains(&n), "at {} ms", 10 * n);
    }
}

/// A server that sends back what it gets, with the port it came from in front.
fn echo() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    // Ends with the process.
    std::thread::spawn(move || {
        let mut buffer = [0; 2_048];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            let answer = [&from.port().to_be_bytes()[..], &buffer[..length]].concat();
            let _ = socket.send_to(&answer, from);
        }
    });
    address
}

fn client(proxy: &UdpProxy) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(proxy.address).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    socket
}

/// Sends and waits for the answer: the port the server saw, and what it said.
fn ask(socket: &UdpSocket, text: &[u8]) -> (u16, Vec<u8>) {
    socket.send(text).unwrap();
    let mut buffer = [0; 2_048];
    let length = socket.recv(&mut buffer).unwrap();
    (u16::from_be_bytes([buffer[0], buffer[1]]), buffer[2..length].to_vec())
}

#[test]
fn clients_are_told_apart_and_keep_their_address_until_it_changes() {
    let proxy = UdpProxy::start(echo(), Impairments::default()).unwrap();
    let (one, two) = (client(&proxy), client(&proxy));
    let (port_one, said) = ask(&one, b"one");
    assert_eq!(said, b"one");
    let (port_two, said) = ask(&two, b"two");
    assert_eq!(said, b"two");
    assert_ne!(port_one, port_two);
    assert_eq!(ask(&one, b"again"), (port_one, b"again".to_vec()));
    proxy.rebind();
    let (moved, said) = ask(&one, b"moved");
    assert_eq!(said, b"moved");
    assert!(![port_one, port_two].contains(&moved));
    // The last is counted a moment after it is sent.
    while proxy.traffic().passed < 8 {
        std::thread::yield_now();
    }
    assert_eq!(proxy.traffic(), Traffic { passed: 8, rebound: 2, ..Traffic::default() });
}

#[test]
fn what_is_delayed_arrives_whole_and_later() {
    let slow = Impairments { seed: 3, delay: ms(20), jitter: ms(15), ..Impairments::default() };
    let proxy = UdpProxy::start(echo(), slow).unwrap();
    let socket = client(&proxy);
    let began = Instant::now();
    let mut buffer = [0; 2_048];
    // No more at once than a socket holds.
    for batch in 0..10_u8 {
        let mut seen = BTreeSet::new();
        (0..10).for_each(|n| assert_eq!(socket.send(&[10 * batch + n; 1_200]).unwrap(), 1_200));
        while seen.len() < 10 {
            assert_eq!(socket.recv(&mut buffer).unwrap(), 1_202);
            assert!(buffer[2..1_202].iter().all(|byte| *byte == buffer[2]));
            seen.insert(buffer[2]);
        }
    }
    // There and back at the least.
    assert!(began.elapsed() >= ms(100));
}

#[test]
fn strangers_beyond_the_limit_and_floods_are_dropped_and_counted() {
    let proxy = UdpProxy::start(echo(), Impairments::default()).unwrap();
    let sockets: Vec<UdpSocket> = (0..64).map(|_| client(&proxy)).collect();
    for socket in &sockets {
        ask(socket, b"hello");
    }
    let late = client(&proxy);
    late.send(b"hello").unwrap();
    // Comes back through the same thread, so the late one has been seen by then.
    ask(&sockets[0], b"hello");
    assert_eq!(proxy.traffic().overflowed, 1);

    let queue = queue::Queue::default();
    let far = Instant::now() + Duration::from_secs(3_600);
    let datagram =
        || queue::Datagram { way: Way::ToServer, bytes: Vec::new(), client: proxy.address, back: None };
    assert!((0..16_384).all(|_| queue.push(far, datagram())));
    assert!(!queue.push(far, datagram()));
    assert!(queue.next(Duration::ZERO).is_none());
}
