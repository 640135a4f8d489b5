//! A VST3 host's streams. They are read from where they stand to their end, since some hosts have a head of their own
//! in front, and give as much at once as they like.

use std::ffi::c_void;

use vst3::ComRef;
use vst3::Steinberg::{IBStream, IBStreamTrait};

use crate::project::MOST_BYTES;

/// As much is asked for at once, so that memory is only taken for what is there.
const PART: usize = 64 << 10;

/// Writes all of `bytes`; whether they are there.
///
/// # Safety
/// The stream is null or a host's, valid for this call.
pub(super) unsafe fn write(stream: *mut IBStream, bytes: &[u8]) -> bool {
    // SAFETY: promised by the caller.
    let Some(stream) = (unsafe { ComRef::from_raw(stream) }) else { return false };
    let mut rest = bytes;
    while !rest.is_empty() {
        let (part, mut written) = (rest.len().min(MOST_BYTES), 0);
        // SAFETY: the host only reads what is said to lie there, and `written` is ours.
        unsafe { stream.write(rest.as_ptr().cast_mut().cast::<c_void>(), part as i32, &mut written) };
        match usize::try_from(written) {
            Ok(count @ 1..) if count <= part => rest = &rest[count..],
            _ => return false,
        }
    }
    true
}

/// Reads to the end; `None` where there is no stream, or one that is longer than any project.
///
/// # Safety
/// The stream is null or a host's, valid for this call.
pub(super) unsafe fn read(stream: *mut IBStream) -> Option<Vec<u8>> {
    // SAFETY: promised by the caller.
    let stream = unsafe { ComRef::from_raw(stream) }?;
    let mut bytes = Vec::new();
    while bytes.len() <= MOST_BYTES {
        let (at, mut came) = (bytes.len(), 0);
        bytes.resize(at + PART, 0);
        // What it returns is no answer: at their end some hosts say that they failed.
        // SAFETY: there is room for as much as is asked for, and `came` is ours.
        unsafe { stream.read(bytes[at..].as_mut_ptr().cast::<c_void>(), PART as i32, &mut came) };
        let came = usize::try_from(came).ok().filter(|came| *came <= PART)?;
        bytes.truncate(at + came);
        if came == 0 {
            return Some(bytes);
        }
    }
    None
}
