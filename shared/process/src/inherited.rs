//! Signals that whoever started the program has it ignore, as `nohup` does with SIGHUP and a shell with SIGINT for what
//! runs in the background. They stay ignored. Must not handle any signal itself. (xtask includes this file.)
#![cfg_attr(unix, allow(unsafe_code, reason = "dispositions and masks of signals are the C library's"))]

#[cfg(unix)]
pub use unix::{Ignored, ignored};

#[cfg(unix)]
mod unix {
    use std::{mem::MaybeUninit, ptr};

    /// The signals by which somebody asks a program to end.
    const ENDING: [libc::c_int; 3] = [libc::SIGHUP, libc::SIGINT, libc::SIGTERM];

    /// Signals that were ignored when this was asked for.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Ignored(Vec<libc::c_int>);

    /// Which of SIGHUP, SIGINT and SIGTERM are ignored now. To be asked before any handler is installed.
    pub fn ignored() -> Ignored {
        Ignored(ENDING.into_iter().filter(|signal| is_ignored(*signal)).collect())
    }

    fn is_ignored(signal: libc::c_int) -> bool {
        let mut action = MaybeUninit::<libc::sigaction>::uninit();
        // SAFETY: without a new action nothing is changed, and the old one is written to a place of its size.
        let known = unsafe { libc::sigaction(signal, ptr::null(), action.as_mut_ptr()) } == 0;
        // SAFETY: it was written, as the system says.
        known && unsafe { action.assume_init() }.sa_sigaction == libc::SIG_IGN
    }

    impl Ignored {
        /// Ignores them again, after a library has put its handler in their place; what is started from here on
        /// inherits that. Whether the system did it.
        pub fn restore(&self) -> bool {
            // SAFETY: the signals are ordinary ones, and to ignore them runs no code of ours.
            self.0.iter().all(|signal| unsafe { libc::signal(*signal, libc::SIG_IGN) } != libc::SIG_ERR)
        }

        /// Keeps them from every thread that is started from here on by this one, so that a handler which a library
        /// will put in their place later is never called. Whether the system did it.
        pub fn block(&self) -> bool {
            let mut set = MaybeUninit::<libc::sigset_t>::uninit();
            // SAFETY: the set is made empty before anything is put into it, and is only read afterwards.
            unsafe {
                libc::sigemptyset(set.as_mut_ptr());
                for signal in &self.0 {
                    libc::sigaddset(set.as_mut_ptr(), *signal);
                }
                libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), ptr::null_mut()) == 0
            }
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        /// What the whole process ignores is one thing, so all of it is one test.
        #[test]
        fn what_is_ignored_is_seen_and_ignored_again() {
            // The test itself may run in the background, or under nohup.
            // SAFETY: the default action runs no code of ours.
            let inherited = unsafe { libc::signal(libc::SIGHUP, libc::SIG_DFL) };
            assert!(!ignored().0.contains(&libc::SIGHUP));
            let hup = Ignored(vec![libc::SIGHUP]);
            assert!(hup.restore());
            assert!(ignored().0.contains(&libc::SIGHUP));
            // SAFETY: as above.
            unsafe { libc::signal(libc::SIGHUP, libc::SIG_DFL) };
            assert!(!ignored().0.contains(&libc::SIGHUP));

            // Blocked, its default action does not end this process either.
            assert!(hup.block());
            // SAFETY: sends a signal to this thread.
            assert_eq!(unsafe { libc::raise(libc::SIGHUP) }, 0);
            // SAFETY: to ignore it drops what waits; then it is as it was found.
            unsafe {
                libc::signal(libc::SIGHUP, libc::SIG_IGN);
                libc::signal(libc::SIGHUP, inherited);
            }
        }
    }
}
