//! Named float32 tensors, and the file they are kept in.
//!
//! The file is in the safetensors format (a length, a JSON table, then the bytes), so that other tools can read
//! what the store holds. The tensors' bytes start at a multiple of 64, as ONNX Runtime likes them.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::ConvertError;

const MAX_TABLE_BYTES: usize = 1 << 20;
const ALIGNMENT: usize = 64;

/// A float32 tensor: its shape and its elements in C order, little-endian. Cloning shares the elements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// Size of each side, outermost first.
    pub shape: Vec<usize>,
    /// The elements' bytes, four each.
    pub data: Bytes,
}

impl Tensor {
    /// A tensor of `values` in C order.
    pub fn new(shape: &[usize], values: &[f32]) -> Self {
        debug_assert_eq!(shape.iter().product::<usize>(), values.len());
        let data: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        Self { shape: shape.to_vec(), data: data.into() }
    }

    /// The elements in C order.
    pub fn values(&self) -> impl Iterator<Item = f32> + '_ {
        self.data.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
    }
}

#[derive(Serialize, Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: [usize; 2],
}

/// Writes the tensors to a new file at `path` and waits until they are on the disk.
///
/// # Errors
/// When the file cannot be written.
pub fn write_weights(path: &Path, tensors: &BTreeMap<String, Tensor>) -> Result<(), ConvertError> {
    let mut table = BTreeMap::new();
    let mut at = 0;
    for (name, tensor) in tensors {
        let end = at + tensor.data.len();
        let entry = Entry { dtype: "F32".to_owned(), shape: tensor.shape.clone(), data_offsets: [at, end] };
        table.insert(name.clone(), entry);
        at = end;
    }
    let mut header = serde_json::to_vec(&table)
        .map_err(|e| ConvertError::Weights { reason: format!("its table cannot be written: {e}") })?;
    header.resize((header.len() + 8).next_multiple_of(ALIGNMENT) - 8, b' ');

    let write = || {
        let mut file = std::io::BufWriter::new(std::fs::File::create_new(path)?);
        file.write_all(&(header.len() as u64).to_le_bytes())?;
        file.write_all(&header)?;
        for tensor in tensors.values() {
            file.write_all(&tensor.data)?;
        }
        file.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()
    };
    write().map_err(ConvertError::io(path))
}

/// Reads the tensors of the file at `path`, by name.
///
/// # Errors
/// When the file cannot be read, or its table does not describe its bytes.
pub fn read_weights(path: &Path) -> Result<BTreeMap<String, Tensor>, ConvertError> {
    parse_weights(std::fs::read(path).map_err(ConvertError::io(path))?.into())
}

/// Reads the tensors of a weights file's content, by name.
///
/// # Errors
/// When its table does not describe its bytes.
pub fn parse_weights(file: Bytes) -> Result<BTreeMap<String, Tensor>, ConvertError> {
    let damaged = |reason: &str| ConvertError::Weights { reason: reason.to_owned() };
    let length = file.get(..8).and_then(|b| b.try_into().ok()).map(u64::from_le_bytes);
    let length = length.and_then(|l| usize::try_from(l).ok()).filter(|&l| l <= MAX_TABLE_BYTES);
    let length = length.ok_or_else(|| damaged("it has no table"))?;
    let table = file.get(8..8 + length).ok_or_else(|| damaged("its table is cut short"))?;
    let table: BTreeMap<String, serde_json::Value> =
        serde_json::from_slice(table).map_err(|e| damaged(&format!("its table is no JSON ({e})")))?;

    let mut tensors = BTreeMap::new();
    for (name, value) in table.into_iter().filter(|(name, _)| name != "__metadata__") {
        let entry: Entry =
            serde_json::from_value(value).map_err(|e| damaged(&format!("the entry of {name}: {e}")))?;
        let [start, end] = entry.data_offsets;
        let count = entry.shape.iter().try_fold(4usize, |n, &d| n.checked_mul(d));
        let range = (8 + length).checked_add(start).zip((8 + length).checked_add(end));
        let Some((start, end)) = range.filter(|&(s, e)| s <= e && e <= file.len() && count == Some(e - s))
        else {
            return Err(damaged(&format!("the bytes of {name} are not all there")));
        };
        if entry.dtype != "F32" {
            return Err(damaged(&format!("{name} is of type {}, not F32", entry.dtype)));
        }
        tensors.insert(name, Tensor { shape: entry.shape, data: file.slice(start..end) });
    }
    Ok(tensors)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_aligned_and_damage_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights");
        let tensors: BTreeMap<_, _> = [
            ("b".to_owned(), Tensor::new(&[2, 3], &[1.0, -2.0, 3.5, 0.0, 1e-30, 6.0])),
            ("a".to_owned(), Tensor::new(&[1], &[7.0])),
        ]
        .into();
        write_weights(&path, &tensors).unwrap();
        assert_eq!(read_weights(&path).unwrap(), tensors);

        let whole = std::fs::read(&path).unwrap();
        let table = u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
        assert_eq!((8 + table) % ALIGNMENT, 0);
        for cut in [0, 7, 20, whole.len() - 1] {
            assert!(parse_weights(Bytes::copy_from_slice(&whole[..cut])).is_err(), "cut at {cut}");
        }
        let mut endless = whole.clone();
        endless[..8].fill(0xff);
        assert!(parse_weights(endless.into()).is_err());
    }
}
