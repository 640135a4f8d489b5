//! Brings another engine to the audio thread while it plays, and the one before back to the main thread, which frees
//! it: the audio thread neither waits nor frees. Must not know what an engine is.

use std::sync::Arc;

use crossbeam_utils::atomic::AtomicCell;

/// More than can be on their way back at once: each one that is sent collects those before it.
const RETIRED: usize = 4;

/// A box that is on its way; a newer one takes its place.
type Incoming<T> = Arc<AtomicCell<Option<Box<T>>>>;

/// The main thread's end.
pub struct Sender<T> {
    incoming: Incoming<T>,
    retired: rtrb::Consumer<Box<T>>,
}

/// The audio thread's end, with what it uses now.
pub struct Holder<T> {
    current: Option<Box<T>>,
    incoming: Incoming<T>,
    retired: rtrb::Producer<Box<T>>,
}

/// Both ends.
pub fn handoff<T>() -> (Sender<T>, Holder<T>) {
    let incoming = Incoming::<T>::default();
    let (back, retired) = rtrb::RingBuffer::new(RETIRED);
    (Sender { incoming: Arc::clone(&incoming), retired }, Holder { current: None, incoming, retired: back })
}

impl<T> Sender<T> {
    /// The audio thread takes this one from its next block on.
    pub fn send(&mut self, newer: T) {
        self.collect();
        drop(self.incoming.swap(Some(Box::new(newer))));
    }

    /// Frees what the audio thread no longer uses.
    pub fn collect(&mut self) {
        while self.retired.pop().is_ok() {}
    }
}

impl<T> Holder<T> {
    /// Puts this one in place of all others. Not while audio runs.
    pub fn put(&mut self, newer: T) {
        drop(self.incoming.take());
        self.current = Some(Box::new(newer));
    }

    /// Frees all. Not while audio runs.
    pub fn clear(&mut self) {
        drop(self.incoming.take());
        self.current = None;
    }

    /// Audio thread: takes the one that was sent, if there is one; whether there was.
    pub fn receive(&mut self) -> bool {
        // What is replaced must have somewhere to go.
        if self.retired.is_full() {
            return false;
        }
        let Some(newer) = self.incoming.take() else { return false };
        if let Some(old) = self.current.replace(newer) {
            // There is room, and nobody else pushes.
            let _ = self.retired.push(old);
        }
        true
    }

    /// The one that is used.
    pub fn current(&mut self) -> Option<&mut T> {
        self.current.as_deref_mut()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    static DROPPED: AtomicUsize = AtomicUsize::new(0);

    struct Engine(u32);

    impl Drop for Engine {
        fn drop(&mut self) {
            DROPPED.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn the_newest_is_taken_and_the_audio_thread_frees_nothing() {
        assert!(AtomicCell::<Option<Box<Engine>>>::is_lock_free());
        let dropped = || DROPPED.load(Ordering::SeqCst);
        let (mut sender, mut holder) = handoff();
        assert!(!holder.receive() && holder.current().is_none());
        holder.put(Engine(1));
        sender.send(Engine(2));
        sender.send(Engine(3));
        assert_eq!(dropped(), 1, "the second was never heard");
        assert!(holder.receive() && !holder.receive());
        assert_eq!(holder.current().map(|engine| engine.0), Some(3));
        assert_eq!(dropped(), 1, "the first is on its way back");
        sender.collect();
        assert_eq!(dropped(), 2);
        // However often, as long as each is sent from the other side.
        for number in 4..40 {
            sender.send(Engine(number));
            assert!(holder.receive());
        }
        assert_eq!(dropped(), 37);
        sender.send(Engine(40));
        holder.clear();
        assert!(!holder.receive() && holder.current().is_none());
        drop((sender, holder));
        assert_eq!(dropped(), 40);
    }
}
