//! A CLAP host's streams, which take and give as much at once as they like. What we write is the length of a project
//! (eight bytes, the smallest first) and the project, as nice-plug does: CLAP says nowhere how much there is.

use std::ffi::c_void;

use clap_sys::stream::{clap_istream, clap_ostream};

use crate::project::MOST_BYTES;

/// As much is asked for at once, so that memory is only taken for what is there.
const PART: usize = 64 << 10;

/// Writes one project; whether it is there as a whole.
///
/// # Safety
/// The stream is a host's, valid for this call.
pub(super) unsafe fn write(stream: &clap_ostream, project: &[u8]) -> bool {
    let Some(write) = stream.write else { return false };
    for part in [&(project.len() as u64).to_le_bytes()[..], project] {
        let mut rest = part;
        while !rest.is_empty() {
            // SAFETY: as much lies there as is said.
            let written = unsafe { write(stream, rest.as_ptr().cast::<c_void>(), rest.len() as u64) };
            match usize::try_from(written) {
                Ok(count @ 1..) if count <= rest.len() => rest = &rest[count..],
                _ => return false,
            }
        }
    }
    true
}

/// Reads one project; `None` where there is none, or one of an impossible length.
///
/// # Safety
/// The stream is a host's, valid for this call.
pub(super) unsafe fn read(stream: &clap_istream) -> Option<Vec<u8>> {
    // SAFETY: promised by the caller.
    unsafe {
        let length: [u8; 8] = take(stream, 8)?.try_into().ok()?;
        let length =
            usize::try_from(u64::from_le_bytes(length)).ok().filter(|length| *length <= MOST_BYTES)?;
        take(stream, length)
    }
}

unsafe fn take(stream: &clap_istream, count: usize) -> Option<Vec<u8>> {
    let (read, mut bytes) = (stream.read?, Vec::new());
    while bytes.len() < count {
        let part = PART.min(count - bytes.len());
        let at = bytes.len();
        bytes.resize(at + part, 0);
        // SAFETY: there is room for as much as is asked for.
        let came = unsafe { read(stream, bytes[at..].as_mut_ptr().cast::<c_void>(), part as u64) };
        match usize::try_from(came) {
            Ok(came @ 1..) if came <= part => bytes.truncate(at + came),
            _ => return None,
        }
    }
    Some(bytes)
}
