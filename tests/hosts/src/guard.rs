//! Looks over an audio thread's shoulder: whatever asks the kernel or the allocator for anything while it is
//! watched is counted, whichever library it is in. The call is let through, so that a fault is a failed assertion
//! and not a crash.
//!
//! System calls: Linux's syscall user dispatch (5.11, x86-64), a switch per thread that costs one store. The first
//! one of a watched stretch raises SIGSYS; the handler notes its number, turns the switch off and lets it happen.
//! Allocations: this program's `malloc` family stands before the C library's for every library in the process.
#![allow(unsafe_code)] // Signals, prctl and an allocator's functions are C's.

/// What happened in a watched stretch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Offences {
    /// The number of the first system call.
    pub system_call: Option<i64>,
    /// How often memory was asked for or given back.
    pub allocations: u64,
}

impl Offences {
    /// Whether there was none.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu"))]
pub use linux::{enrol, live_bytes, watch};

#[cfg(not(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu")))]
mod elsewhere {
    use super::Offences;

    /// Cannot be done on this system.
    pub fn enrol() -> bool {
        false
    }

    /// Not known on this system.
    pub fn live_bytes() -> Option<u64> {
        None
    }

    /// Only runs it.
    pub fn watch<R>(work: impl FnOnce() -> R) -> (R, Offences) {
        (work(), Offences::default())
    }
}
#[cfg(not(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu")))]
pub use elsewhere::{enrol, live_bytes, watch};

#[cfg(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu"))]
mod linux {
    use std::{
        cell::Cell,
        ffi::{c_int, c_void},
        sync::{
            Once,
            atomic::{AtomicU64, Ordering::Relaxed},
        },
    };

    use super::Offences;

    const PR_SET_SYSCALL_USER_DISPATCH: c_int = 59;
    const PR_SYS_DISPATCH_ON: c_int = 1;
    const PASS: u8 = 0;
    const BLOCK: u8 = 1;
    /// `syscall` is two bytes long.
    const SYSCALL_INSTRUCTION: i64 = 2;

    thread_local! {
        /// Read by the kernel at every system call of an enrolled thread.
        static SELECTOR: Cell<u8> = const { Cell::new(PASS) };
        static FIRST_CALL: Cell<i64> = const { Cell::new(-1) };
        static WATCHED: Cell<bool> = const { Cell::new(false) };
        static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
    }

    /// The head of `siginfo_t` for SIGSYS.
    #[repr(C)]
    struct SysInfo {
        signal: c_int,
        error: c_int,
        code: c_int,
        _padding: c_int,
        call_address: *mut c_void,
        system_call: c_int,
    }

    extern "C" fn on_system_call(_signal: c_int, info: *mut c_void, context: *mut c_void) {
        SELECTOR.set(PASS);
        // SAFETY: the kernel passes the structures that SA_SIGINFO promises, and they are this thread's.
        unsafe {
            FIRST_CALL.set(i64::from((*info.cast::<SysInfo>()).system_call));
            let registers = &mut (*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs;
            // The kernel has put the number back into its register; back to the instruction itself.
            registers[libc::REG_RIP as usize] -= SYSCALL_INSTRUCTION;
        }
    }

    /// Makes this thread one whose system calls can be watched. False where the kernel cannot.
    pub fn enrol() -> bool {
        static HANDLER: Once = Once::new();
        HANDLER.call_once(|| {
            // SAFETY: zero is a valid sigaction; the handler is async-signal-safe: it touches thread-locals
            // that need no initialisation, and its own arguments.
            unsafe {
                let mut action: libc::sigaction = std::mem::zeroed();
                action.sa_sigaction = on_system_call as *const () as usize;
                action.sa_flags = libc::SA_SIGINFO | libc::SA_NODEFER;
                libc::sigaction(libc::SIGSYS, &action, std::ptr::null_mut());
            }
        });
        let selector = SELECTOR.with(Cell::as_ptr);
        // SAFETY: the kernel reads this byte while the thread lives, and so long does the thread-local.
        unsafe { libc::prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, 0, 0, selector) == 0 }
    }

    /// Runs `work` and says what it did that an audio thread must not.
    pub fn watch<R>(work: impl FnOnce() -> R) -> (R, Offences) {
        FIRST_CALL.set(-1);
        ALLOCATIONS.set(0);
        WATCHED.set(true);
        SELECTOR.set(BLOCK);
        let result = work();
        SELECTOR.set(PASS);
        WATCHED.set(false);
        let call = FIRST_CALL.get();
        (result, Offences { system_call: (call >= 0).then_some(call), allocations: ALLOCATIONS.get() })
    }

    /// Bytes of the whole process that were allocated, and of these that were given back.
    static TAKEN: AtomicU64 = AtomicU64::new(0);
    static GIVEN: AtomicU64 = AtomicU64::new(0);

    /// Bytes that are allocated in this process, by whichever library, if that is known.
    pub fn live_bytes() -> Option<u64> {
        Some(TAKEN.load(Relaxed).saturating_sub(GIVEN.load(Relaxed)))
    }

    fn count() {
        if WATCHED.get() {
            ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        }
    }

    fn size(pointer: *mut c_void) -> u64 {
        // SAFETY: null, or what glibc's allocator has made and nobody has freed.
        unsafe { libc::malloc_usable_size(pointer) as u64 }
    }

    fn taken(pointer: *mut c_void) -> *mut c_void {
        TAKEN.fetch_add(size(pointer), Relaxed);
        pointer
    }

    // What glibc's own `malloc` is called beside that name.
    unsafe extern "C" {
        fn __libc_malloc(size: usize) -> *mut c_void;
        fn __libc_calloc(count: usize, size: usize) -> *mut c_void;
        fn __libc_realloc(pointer: *mut c_void, size: usize) -> *mut c_void;
        fn __libc_memalign(alignment: usize, size: usize) -> *mut c_void;
        fn __libc_free(pointer: *mut c_void);
    }

    /// C's, with C's contract.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn malloc(size: usize) -> *mut c_void {
        count();
        // SAFETY: the same contract.
        unsafe { taken(__libc_malloc(size)) }
    }

    /// C's, with C's contract.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn calloc(number: usize, size: usize) -> *mut c_void {
        count();
        // SAFETY: the same contract.
        unsafe { taken(__libc_calloc(number, size)) }
    }

    /// C's, with C's contract.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn realloc(pointer: *mut c_void, size: usize) -> *mut c_void {
        count();
        let before = self::size(pointer);
        // SAFETY: the same contract.
        let moved = unsafe { __libc_realloc(pointer, size) };
        if !moved.is_null() {
            GIVEN.fetch_add(before, Relaxed);
        }
        taken(moved)
    }

    /// C's, with C's contract.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn free(pointer: *mut c_void) {
        count();
        GIVEN.fetch_add(size(pointer), Relaxed);
        // SAFETY: the same contract.
        unsafe { __libc_free(pointer) }
    }

    /// C's, with C's contract.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn aligned_alloc(alignment: usize, size: usize) -> *mut c_void {
        count();
        // SAFETY: the same contract.
        unsafe { taken(__libc_memalign(alignment, size)) }
    }

    /// C's, with C's contract.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn posix_memalign(out: *mut *mut c_void, alignment: usize, size: usize) -> c_int {
        count();
        // SAFETY: the same contract; `out` is the caller's.
        unsafe {
            let memory = taken(__libc_memalign(alignment, size));
            if memory.is_null() {
                return libc::ENOMEM;
            }
            *out = memory;
        }
        0
    }
}

#[cfg(all(test, target_os = "linux", target_arch = "x86_64", target_env = "gnu"))]
mod tests {
    use super::*;

    #[test]
    fn what_an_audio_thread_must_not_do_is_seen_and_goes_on_working() {
        assert!(enrol(), "this kernel cannot watch system calls");
        let ((), nothing) = watch(|| ());
        assert!(nothing.is_empty(), "{nothing:?}");
        // SAFETY: asks for a number.
        let (parent, offences) = watch(|| unsafe { libc::getppid() });
        assert_eq!(offences, Offences { system_call: Some(libc::SYS_getppid), allocations: 0 });
        assert!(parent > 0, "the call was let through: {parent}");
        let before = live_bytes().unwrap_or_default();
        let kept = vec![1u8; 1 << 20];
        assert!(live_bytes().unwrap_or_default() >= before + (1 << 20));
        drop(kept);
        let (list, offences) = watch(|| std::hint::black_box(vec![1u8; 100]));
        assert_eq!((list.len(), offences.allocations), (100, 1));
        let lock = std::sync::Mutex::new(());
        let (_, offences) = watch(|| drop(lock.lock()));
        assert!(offences.is_empty(), "a lock that is free asks nobody: {offences:?}");
        let (_, offences) = watch(std::thread::yield_now);
        assert_eq!(offences.system_call, Some(libc::SYS_sched_yield));
    }
}
