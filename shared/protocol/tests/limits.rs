//! Nothing is allocated on the word of the other end: an allocator that counts bytes, and hostile lengths.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod common;

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

use common::*;
use proptest::prelude::*;
use rehearsekit_protocol::*;

thread_local! {
    static ALLOCATED: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

#[allow(unsafe_code, reason = "an allocator is an unsafe trait; this one only counts and passes on")]
// SAFETY: every call goes unchanged to the system's allocator, which keeps the trait's contract; counting
// touches nothing but a thread-local number that needs neither memory nor a destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.set(ALLOCATED.get() + layout.size());
        // SAFETY: the caller's promise about `layout` is the one `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: `pointer` came from `System` with this `layout`, through `alloc` above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Bytes allocated on this thread while `f` runs.
fn allocated_by<T>(f: impl FnOnce() -> T) -> (usize, T) {
    let before = ALLOCATED.get();
    let result = f();
    (ALLOCATED.get() - before, result)
}

#[test]
fn hostile_lengths_are_refused_before_anything_is_allocated() {
    assert!(allocated_by(|| vec![0u8; 1_000]).0 >= 1_000, "the counter counts");

    let long_name = hex("01 5248534b 0100 0100 ffff 6162");
    let (bytes, result) = allocated_by(|| ClientMessage::decode(&long_name));
    assert_eq!(result, Err(MessageError::TooLong { field: "client_name", got: 65_535, limit: 64 }));
    assert_eq!(bytes, 0);

    let many_models = hex("81 0100 0000 ff");
    let (bytes, result) = allocated_by(|| ServerMessage::decode(&many_models));
    assert_eq!(result, Err(MessageError::TooLong { field: "models", got: 255, limit: 16 }));
    assert_eq!(bytes, 0);

    let many_wanted = hex("02 0000 80bb0000 e02e0000 00020000 204e0000 00 11");
    let (bytes, result) = allocated_by(|| ClientMessage::decode(&many_wanted));
    assert_eq!(result, Err(MessageError::TooLong { field: "wanted_offers", got: 17, limit: 16 }));
    assert_eq!(bytes, 0);

    // The largest packet there can be, without its 12 MB.
    let header = PacketHeader {
        kind: PacketKind::Stems,
        channels: 12,
        frames: MAX_PACKET_FRAMES,
        ..PacketHeader::mix(0, 0, 0, 0)
    };
    let mut claim = Vec::new();
    let silence = vec![vec![0.0f32; MAX_PACKET_FRAMES as usize]; 12];
    encode_packet(&header, &silence, &mut claim).unwrap();
    assert_eq!(claim.len(), MAX_PACKET_BYTES);
    let (bytes, result) = allocated_by(|| Packet::decode(&claim[..100]));
    assert_eq!(result, Err(PacketError::Length { got: 60, expected: MAX_PACKET_BYTES - 40 }));
    assert_eq!(bytes, 0);

    // A frame too long by one, or of nothing, is refused by its two bytes alone.
    for (bytes, got) in [([0x01, 0x10], 4_097), ([0xff, 0xff], 65_535), ([0, 0], 0)] {
        let mut reader = FrameReader::new();
        reader.push(&bytes);
        assert_eq!(reader.next_frame(), Err(MessageError::FrameLength { got }));
    }
    let mut reader = FrameReader::new();
    reader.push(&[0x00, 0x10]);
    assert_eq!(reader.next_frame(), Ok(None));
}

#[test]
fn a_reader_holds_no_more_than_one_unfinished_frame() {
    let mut reader = FrameReader::new();
    let beats: Vec<u8> =
        (0..100).flat_map(|sequence| bytes_of(&ClientMessage::Heartbeat { sequence })).collect();
    let feed = |reader: &mut FrameReader| {
        let mut frames = 0;
        for piece in beats.chunks(13) {
            reader.push(piece);
            while reader.next_frame().unwrap().is_some() {
                frames += 1;
            }
        }
        frames
    };
    assert_eq!(feed(&mut reader), 100);
    let (bytes, frames) = allocated_by(|| (0..50).map(|_| feed(&mut reader)).sum::<usize>());
    assert_eq!((bytes, frames), (0, 5_000), "a reader that has run for a while does not grow");
}

proptest! {
    #[test]
    fn decoding_allocates_in_proportion_to_what_arrived(
        client in client_message(), server in server_message(), packet in packet(), damage in mutations(),
    ) {
        // A list's vector may hold up to 16 empty texts of 24 bytes, whatever few bytes they took.
        const SMALL: usize = 1_024;
        let bytes = mutated(bytes_of(&client)[2..].to_vec(), &damage);
        prop_assert!(allocated_by(|| ClientMessage::decode(&bytes)).0 <= SMALL + 4 * bytes.len());
        let bytes = mutated(server_bytes_of(&server)[2..].to_vec(), &damage);
        prop_assert!(allocated_by(|| ServerMessage::decode(&bytes)).0 <= 2 * SMALL + 4 * bytes.len());
        let bytes = mutated(packet.encode().unwrap(), &damage);
        prop_assert!(allocated_by(|| Packet::decode(&bytes)).0 <= SMALL + 4 * bytes.len());
    }
}
