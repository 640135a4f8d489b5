//! Projects and texts, through the C functions.

use clap_sys::ext::state::{CLAP_EXT_STATE, clap_plugin_state};
use clap_sys::stream::{clap_istream, clap_ostream};

use super::*;

unsafe extern "C" fn save(stream: *const clap_ostream, bytes: *const c_void, size: u64) -> i64 {
    let size = size.min(100);
    // SAFETY: the test put the buffer there, and the plugin's has as much in it as it says.
    unsafe {
        let bytes = std::slice::from_raw_parts(bytes.cast::<u8>(), size as usize);
        (*(*stream).ctx.cast::<Mutex<Vec<u8>>>()).lock().unwrap().extend_from_slice(bytes);
    }
    size as i64
}

unsafe extern "C" fn load(stream: *const clap_istream, bytes: *mut c_void, size: u64) -> i64 {
    // SAFETY: the test put the buffer there, and the plugin's has room for what it asks for.
    unsafe {
        let mut file = (*(*stream).ctx.cast::<Mutex<Vec<u8>>>()).lock().unwrap();
        // A little at once, as hosts may.
        let count = file.len().min(size as usize).min(100);
        std::ptr::copy_nonoverlapping(file.as_ptr(), bytes.cast(), count);
        file.drain(..count);
        count as i64
    }
}

#[test]
fn a_loaded_project_with_another_budget_asks_for_a_restart() {
    let file = Mutex::new(Vec::<u8>::new());
    let ctx = (&raw const file).cast_mut().cast::<c_void>();
    let saving = Desk::new();
    saving.object().shared.change_settings(|settings| settings.budget_millis = 100.0);
    let desk = Desk::new();
    desk.activate();
    // SAFETY: as a host calls it.
    unsafe {
        let out = clap_ostream { ctx, write: Some(save) };
        let state = saving.extension::<clap_plugin_state>(CLAP_EXT_STATE);
        assert!(state.save.unwrap()(saving.plugin, &out));
        let input = clap_istream { ctx, read: Some(load) };
        let state = desk.extension::<clap_plugin_state>(CLAP_EXT_STATE);
        assert!(state.load.unwrap()(desk.plugin, &input));
    }
    assert_eq!(desk.noticed.restarts.load(Ordering::Relaxed), 1);
    desk.deactivate();
    desk.activate();
    assert_eq!(desk.latency(), 4_410);
    desk.deactivate();
}

impl Desk {
    /// Opens these bytes as a project; whether it was one.
    fn open(&self, bytes: &[u8]) -> bool {
        let file = Mutex::new(bytes.to_vec());
        let input = clap_istream { ctx: (&raw const file).cast_mut().cast(), read: Some(load) };
        let state = self.extension::<clap_plugin_state>(CLAP_EXT_STATE);
        // SAFETY: as a host calls it.
        unsafe { state.load.unwrap()(self.plugin, &input) }
    }
}

#[test]
fn a_project_that_ends_too_early_or_is_longer_than_any_is_refused() {
    let desk = Desk::new();
    let project = crate::project::save(&desk.object().shared);
    let with_length = |length: u64| [&length.to_le_bytes(), project.as_slice()].concat();
    assert!(desk.open(&with_length(project.len() as u64)));
    for length in [0, project.len() as u64 + 1, 1 << 28, u64::MAX] {
        assert!(!desk.open(&with_length(length)), "{length}");
    }
    assert!(!desk.open(&[]) && !desk.open(&[1, 2, 3]));
}

#[test]
fn texts_are_read_as_people_type_them_and_numbers_that_are_none_have_no_text() {
    let desk = Desk::new();
    let params = desk.extension::<clap_plugin_params>(CLAP_EXT_PARAMS);
    let id = |index: usize| desk.object().after_init.get().unwrap().table.id(index).unwrap();
    let read = |index: usize, text: &CStr| {
        let mut value = f64::NAN;
        // SAFETY: as a host calls it.
        unsafe { params.text_to_value.unwrap()(desk.plugin, id(index), text.as_ptr(), &mut value) }
            .then_some(value)
    };
    assert_eq!(read(1, c"−36,0 DB"), Some(0.5));
    assert_eq!((read(0, c"yes"), read(0, c"perhaps"), read(1, c"\xff")), (Some(1.0), None, None));
    // The third of the parts, counted from 0.
    assert_eq!(read(27, c"only my part"), Some(2.0));
    let mut text = [0; 64];
    // SAFETY: as a careless host calls it.
    unsafe {
        let write = params.value_to_text.unwrap();
        assert!(write(desk.plugin, id(1), 0.5, text.as_mut_ptr(), 64));
        for odd in [f64::NAN, f64::INFINITY] {
            assert!(!write(desk.plugin, id(1), odd, text.as_mut_ptr(), 64));
        }
        let read = params.text_to_value.unwrap();
        assert!(!read(desk.plugin, id(1), std::ptr::null(), &mut 0.0));
        assert!(!read(desk.plugin, id(1), c"1".as_ptr(), std::ptr::null_mut()));
        assert!(!read(desk.plugin, 7, c"1".as_ptr(), &mut 0.0), "no such parameter");
    }
}
