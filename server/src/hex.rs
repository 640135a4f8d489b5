//! Hexadecimal digits, as they stand in files and headers. Must not know what they mean.

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// 32 bytes of 64 hexadecimal digits.
pub(crate) fn from_hex(text: &str) -> Option<[u8; 32]> {
    // What strangers send is not copied before it has the right length.
    if text.len() != 64 {
        return None;
    }
    let digits: Vec<u8> =
        text.chars().map(|c| c.to_digit(16).map(|digit| digit as u8)).collect::<Option<_>>()?;
    let bytes: Vec<u8> = digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect();
    bytes.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_there_and_back() {
        let bytes: [u8; 32] = std::array::from_fn(|i| (7 * i + 200) as u8);
        assert_eq!(from_hex(&hex(&bytes)), Some(bytes));
        for bad in
            ["", "0", &"0".repeat(63), &"0".repeat(65), &"0".repeat(66), &"g".repeat(64), &"é".repeat(32)]
        {
            assert_eq!(from_hex(bad), None, "{bad}");
        }
    }
}
