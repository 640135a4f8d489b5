//! Pickles built by hand, instruction by instruction, sound and broken.

use super::*;

/// A pickle of `{name: array([values])}` as NumPy under Python 2's protocol writes it.
fn pickled(name: &str, values: &[f32], shape: &[u8]) -> Vec<u8> {
    let text: String = values.iter().flat_map(|v| v.to_le_bytes()).map(char::from).collect();
    let mut p = b"\x80\x02}q\x00(".to_vec();
    let push_text = |p: &mut Vec<u8>, text: &str| {
        p.push(b'X');
        p.extend((text.len() as u32).to_le_bytes());
        p.extend(text.as_bytes());
    };
    push_text(&mut p, name);
    p.extend(b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85c_codecs\nencode\n");
    push_text(&mut p, "b");
    push_text(&mut p, "latin1");
    p.extend(b"q\x01\x86R\x87R(K\x01(");
    for &side in shape {
        p.extend([b'K', side]);
    }
    p.extend(b"tcnumpy\ndtype\n");
    push_text(&mut p, "f4");
    p.extend(b"\x89\x88\x87R(K\x03");
    push_text(&mut p, "<");
    p.extend(b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89c_codecs\nencode\n");
    push_text(&mut p, &text);
    p.extend(b"h\x01\x86Rtbu.");
    p
}

#[test]
fn an_array_kept_as_latin_1_in_utf_8_is_read() {
    let values = [1.0, -0.5, f32::MIN_POSITIVE, 3.0e38, -0.0, 255.0];
    let tensors = read_tensors(&pickled("conv.weight", &values, &[2, 3])).unwrap();
    assert_eq!(tensors.len(), 1);
    assert_eq!(tensors["conv.weight"], Tensor::new(&[2, 3], &values));
}

#[test]
fn a_shape_that_does_not_fit_its_bytes_is_refused() {
    let error = read_tensors(&pickled("w", &[1.0, 2.0], &[3])).unwrap_err().to_string();
    assert!(error.contains("8 bytes for an array of shape [3]"), "{error}");
}

#[test]
fn every_cut_and_every_changed_byte_ends_in_an_answer() {
    let whole = pickled("w", &[1.0, 2.0], &[2]);
    for cut in 0..whole.len() {
        assert!(read_tensors(&whole[..cut]).is_err(), "cut at {cut}");
    }
    for at in 0..whole.len() {
        for value in 0..=255 {
            let mut changed = whole.clone();
            changed[at] = value;
            // Some changes are harmless (a value's bits); none may panic or hang.
            if let Ok(tensors) = read_tensors(&changed) {
                assert!(tensors.len() <= 1);
            }
        }
    }
}

#[test]
fn code_is_named_and_refused() {
    let error = read_tensors(b"\x80\x02cos\nsystem\n.").unwrap_err().to_string();
    assert!(error.contains("os.system"), "{error}");
}

#[test]
fn multiplication_and_endlessness_are_refused() {
    assert!(
        read_tensors(&vec![b'N'; MAX_INSTRUCTIONS + 10]).unwrap_err().to_string().contains("instructions")
    );
    let text = "x".repeat(1000);
    let mut bomb = b"\x80\x02c_codecs\nencode\nq\x00X".to_vec();
    bomb.extend((text.len() as u32).to_le_bytes());
    bomb.extend(text.as_bytes());
    bomb.extend(b"q\x01X\x06\x00\x00\x00latin1q\x02");
    for _ in 0..100 {
        bomb.extend(b"h\x00h\x01h\x02\x86R");
    }
    bomb.push(b'.');
    assert!(read_tensors(&bomb).unwrap_err().to_string().contains("more than once"));
}

#[test]
fn what_is_not_a_checkpoint_is_told_by_its_path() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("song.ckpt");
    std::fs::write(&path, b"not a zip").unwrap();
    let error = read_checkpoint(&path).unwrap_err().to_string();
    assert!(error.contains("song.ckpt is not a PyTorch checkpoint"), "{error}");
}
