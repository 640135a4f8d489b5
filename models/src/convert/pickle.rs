//! Reads the tensors out of a PyTorch checkpoint whose arrays were pickled by NumPy.
//!
//! Such a `.ckpt` is a zip archive with one `data.pkl`: a dictionary from names to float32 arrays, the arrays'
//! bytes kept as Latin-1 text encoded in UTF-8 (what Python 2's pickle protocol does to `bytes`).
//!
//! A pickle is a program for a little stack machine. Only the instructions that such a dictionary needs are
//! known here and only a handful of constructors, none of which do anything; everything else is refused by
//! name. All values live in arenas, so nothing recurses, and the number of instructions and of decoded bytes is
//! bounded, so nonsense ends in an error and not in a full memory.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::{ConvertError, Tensor};

/// The largest `data.pkl` that is read; Spleeter's have 59 MB.
const MAX_PICKLE_BYTES: u64 = 1 << 30;
/// Far above the 2,000 of a real checkpoint, and a bound on what a hostile one can allocate.
const MAX_INSTRUCTIONS: usize = 1 << 20;

/// Reads every tensor of the checkpoint at `path`, by name.
///
/// # Errors
/// When the file cannot be read, is no zip archive with a `data.pkl`, or holds anything but float32 arrays.
pub fn read_checkpoint(path: &Path) -> Result<BTreeMap<String, Tensor>, ConvertError> {
    let not = |reason: String| ConvertError::NotACheckpoint { path: path.to_owned(), reason };
    let file = File::open(path).map_err(ConvertError::io(path))?;
    let mut archive = zip::ZipArchive::new(std::io::BufReader::new(file)).map_err(|e| not(e.to_string()))?;
    let name = archive
        .file_names()
        .filter_map(Result::ok)
        .find(|name| name == "data.pkl" || name.ends_with("/data.pkl"))
        .map(std::borrow::Cow::into_owned)
        .ok_or_else(|| not("it holds no data.pkl".to_owned()))?;
    let entry = archive.by_name(&name).map_err(|e| not(e.to_string()))?;
    let mut pickle = Vec::new();
    entry.take(MAX_PICKLE_BYTES + 1).read_to_end(&mut pickle).map_err(|e| not(e.to_string()))?;
    if pickle.len() as u64 > MAX_PICKLE_BYTES {
        return Err(not(format!("data.pkl has more than {MAX_PICKLE_BYTES} bytes")));
    }
    read_tensors(&pickle)
}

/// Reads every tensor of the pickled dictionary in `pickle`, by name.
///
/// # Errors
/// When the pickle is damaged, or is anything but a dictionary from names to float32 arrays.
pub fn read_tensors(pickle: &[u8]) -> Result<BTreeMap<String, Tensor>, ConvertError> {
    let mut machine = Machine::new(pickle);
    machine.run().map_err(|reason| ConvertError::Pickle { offset: machine.at, reason })
}

#[derive(Clone, Copy, Debug)]
enum Value<'a> {
    Mark,
    None,
    Bool(bool),
    Int(i64),
    Str(&'a str),
    Global(Global),
    FloatType,
    /// Indices into the machine's arenas.
    Bytes(usize),
    Tuple(usize),
    Dict(usize),
    Array(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Global {
    Reconstruct,
    NdArray,
    Encode,
    DType,
    OrderedDict,
}

struct Machine<'a> {
    input: &'a [u8],
    at: usize,
    stack: Vec<Value<'a>>,
    memo: BTreeMap<usize, Value<'a>>,
    bytes: Vec<Vec<u8>>,
    tuples: Vec<Vec<Value<'a>>>,
    dicts: Vec<Vec<(Value<'a>, Value<'a>)>>,
    arrays: Vec<Option<Tensor>>,
    decoded: usize,
}

type Step<T> = Result<T, String>;

impl<'a> Machine<'a> {
    fn new(input: &'a [u8]) -> Self {
        Self {
            input,
            at: 0,
            stack: Vec::new(),
            memo: BTreeMap::new(),
            bytes: Vec::new(),
            tuples: Vec::new(),
            dicts: Vec::new(),
            arrays: Vec::new(),
            decoded: 0,
        }
    }

    fn run(&mut self) -> Step<BTreeMap<String, Tensor>> {
        for _ in 0..MAX_INSTRUCTIONS {
            if let Some(done) = self.step()? {
                return self.tensors_of(done);
            }
        }
        Err(format!("more than {MAX_INSTRUCTIONS} instructions"))
    }

    /// One instruction; the pickle's value when it was the last.
    fn step(&mut self) -> Step<Option<Value<'a>>> {
        match self.byte()? {
            0x80 => drop(self.byte()?),  // PROTO
            0x95 => drop(self.take(8)?), // FRAME
            b'.' => return self.pop().map(Some),
            b'(' => self.stack.push(Value::Mark),
            b'N' => self.stack.push(Value::None),
            0x88 => self.stack.push(Value::Bool(true)),
            0x89 => self.stack.push(Value::Bool(false)),
            b'K' => self.push_int(1)?,
            b'M' => self.push_int(2)?,
            b'J' => {
                let value = self.number(4)? as u32 as i32;
                self.stack.push(Value::Int(value.into()));
            }
            0x8c => self.push_text(1)?,
            b'X' => self.push_text(4)?,
            0x8d => self.push_text(8)?,
            b'C' => self.push_bytes(1)?,
            b'B' => self.push_bytes(4)?,
            0x8e => self.push_bytes(8)?,
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.push_global(module, name)?;
            }
            0x93 => {
                let (Value::Str(name), Value::Str(module)) = (self.pop()?, self.pop()?) else {
                    return Err("a constructor without a name".to_owned());
                };
                self.push_global(module, name)?;
            }
            b'q' => self.store(1)?,
            b'r' => self.store(4)?,
            0x94 => {
                let key = self.memo.len();
                let top = self.top()?;
                self.memo.insert(key, top);
            }
            b'h' => self.recall(1)?,
            b'j' => self.recall(4)?,
            b')' => self.push_tuple(Vec::new()),
            0x85 => self.tuple_of(1)?,
            0x86 => self.tuple_of(2)?,
            0x87 => self.tuple_of(3)?,
            b't' => {
                let items = self.pop_to_mark()?;
                self.push_tuple(items);
            }
            b'}' => self.push_dict(),
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.insert(vec![key, value])?;
            }
            b'u' => {
                let items = self.pop_to_mark()?;
                self.insert(items)?;
            }
            b'R' => self.reduce()?,
            b'b' => self.build()?,
            other => return Err(format!("the instruction 0x{other:02x} is not used by such files")),
        }
        Ok(None)
    }

    fn reduce(&mut self) -> Step<()> {
        let (arguments, callee) = (self.pop()?, self.pop()?);
        let Value::Tuple(arguments) = arguments else { return Err("a call without arguments".to_owned()) };
        let Value::Global(callee) = callee else { return Err("a call of something not callable".to_owned()) };
        let made = match (callee, self.tuples[arguments].as_slice()) {
            (Global::Reconstruct, [Value::Global(Global::NdArray), ..]) => {
                self.arrays.push(None);
                Value::Array(self.arrays.len() - 1)
            }
            (Global::Encode, &[Value::Str(text), Value::Str("latin1" | "latin-1")]) => {
                // One character, one byte. A text recalled again and again must not multiply itself.
                self.decoded += text.len();
                if self.decoded > self.input.len() {
                    return Err("the same text is decoded more than once".to_owned());
                }
                let decoded: Result<Vec<u8>, _> = text.chars().map(|c| u8::try_from(u32::from(c))).collect();
                self.bytes.push(decoded.map_err(|_| "array bytes that are not Latin-1".to_owned())?);
                Value::Bytes(self.bytes.len() - 1)
            }
            (Global::DType, [Value::Str("f4" | "<f4"), ..]) => Value::FloatType,
            (Global::DType, [Value::Str(other), ..]) => {
                return Err(format!("arrays of type {other}; only float32 is known"));
            }
            (Global::OrderedDict, []) => {
                self.dicts.push(Vec::new());
                Value::Dict(self.dicts.len() - 1)
            }
            (callee, arguments) => {
                return Err(format!("{callee:?} with {} unexpected arguments", arguments.len()));
            }
        };
        self.stack.push(made);
        Ok(())
    }

    /// `BUILD`: fills in what a constructor made empty.
    fn build(&mut self) -> Step<()> {
        let state = self.pop()?;
        let Value::Tuple(state) = state else { return Err("an object's state is not a tuple".to_owned()) };
        match (self.top()?, self.tuples[state].as_slice()) {
            (Value::FloatType, [_, Value::Str("<" | "=" | "|"), ..]) => Ok(()),
            (Value::FloatType, _) => Err("arrays that are not little-endian".to_owned()),
            (
                Value::Array(array),
                &[_, Value::Tuple(dims), Value::FloatType, Value::Bool(false), Value::Bytes(data)],
            ) => {
                let mut shape = Vec::with_capacity(self.tuples[dims].len());
                let mut count = 1usize;
                for dim in &self.tuples[dims] {
                    let &Value::Int(dim) = dim else {
                        return Err("a shape that is not of numbers".to_owned());
                    };
                    let dim = usize::try_from(dim).map_err(|_| format!("an array side of {dim}"))?;
                    count = count.checked_mul(dim).ok_or("an array larger than memory")?;
                    shape.push(dim);
                }
                let data = std::mem::take(&mut self.bytes[data]);
                if count.checked_mul(4) != Some(data.len()) {
                    return Err(format!("{} bytes for an array of shape {shape:?}", data.len()));
                }
                self.arrays[array] = Some(Tensor { shape, data: data.into() });
                Ok(())
            }
            (Value::Array(_), [_, _, _, Value::Bool(true), _]) => {
                Err("an array in Fortran order; only C order is known".to_owned())
            }
            (other, _) => Err(format!("a state that does not fit {other:?}")),
        }
    }

    fn tensors_of(&mut self, value: Value<'a>) -> Step<BTreeMap<String, Tensor>> {
        let Value::Dict(dict) = value else { return Err("it is not a dictionary".to_owned()) };
        let mut tensors = BTreeMap::new();
        for &(key, value) in &self.dicts[dict] {
            let (Value::Str(name), Value::Array(array)) = (key, value) else {
                return Err(format!("an entry that is no named array: {key:?}"));
            };
            let tensor =
                self.arrays[array].clone().ok_or_else(|| format!("the array {name} has no content"))?;
            tensors.insert(name.to_owned(), tensor);
        }
        if tensors.is_empty() {
            return Err("it holds no tensors".to_owned());
        }
        Ok(tensors)
    }

    fn push_global(&mut self, module: &str, name: &str) -> Step<()> {
        let global = match (module, name) {
            ("numpy.core.multiarray" | "numpy._core.multiarray", "_reconstruct") => Global::Reconstruct,
            ("numpy", "ndarray") => Global::NdArray,
            ("numpy", "dtype") => Global::DType,
            ("_codecs", "encode") => Global::Encode,
            ("collections", "OrderedDict") => Global::OrderedDict,
            _ => return Err(format!("it wants to call {module}.{name}, which is not known here")),
        };
        self.stack.push(Value::Global(global));
        Ok(())
    }

    fn push_int(&mut self, width: usize) -> Step<()> {
        let value = self.number(width)? as i64;
        self.stack.push(Value::Int(value));
        Ok(())
    }

    fn push_text(&mut self, width: usize) -> Step<()> {
        let length = self.number(width)?;
        let text = std::str::from_utf8(self.take(length)?).map_err(|_| "a text that is not UTF-8")?;
        self.stack.push(Value::Str(text));
        Ok(())
    }

    fn push_bytes(&mut self, width: usize) -> Step<()> {
        let length = self.number(width)?;
        let bytes = self.take(length)?.to_vec();
        self.bytes.push(bytes);
        self.stack.push(Value::Bytes(self.bytes.len() - 1));
        Ok(())
    }

    fn push_dict(&mut self) {
        self.dicts.push(Vec::new());
        self.stack.push(Value::Dict(self.dicts.len() - 1));
    }

    fn push_tuple(&mut self, items: Vec<Value<'a>>) {
        self.tuples.push(items);
        self.stack.push(Value::Tuple(self.tuples.len() - 1));
    }

    fn tuple_of(&mut self, count: usize) -> Step<()> {
        let from = self.stack.len().checked_sub(count).ok_or("the stack is empty")?;
        let items = self.stack.split_off(from);
        self.push_tuple(items);
        Ok(())
    }

    fn pop_to_mark(&mut self) -> Step<Vec<Value<'a>>> {
        let mark = self.stack.iter().rposition(|v| matches!(v, Value::Mark)).ok_or("a mark is missing")?;
        let items = self.stack.split_off(mark + 1);
        self.stack.pop();
        Ok(items)
    }

    fn insert(&mut self, items: Vec<Value<'a>>) -> Step<()> {
        let Value::Dict(dict) = self.top()? else { return Err("entries without a dictionary".to_owned()) };
        if !items.len().is_multiple_of(2) {
            return Err("a key without a value".to_owned());
        }
        self.dicts[dict].extend(items.chunks_exact(2).map(|pair| (pair[0], pair[1])));
        Ok(())
    }

    fn store(&mut self, width: usize) -> Step<()> {
        let key = self.number(width)?;
        let top = self.top()?;
        self.memo.insert(key, top);
        Ok(())
    }

    fn recall(&mut self, width: usize) -> Step<()> {
        let key = self.number(width)?;
        let value = *self.memo.get(&key).ok_or("a value is used before it is made")?;
        self.stack.push(value);
        Ok(())
    }

    fn top(&self) -> Step<Value<'a>> {
        self.stack.last().copied().ok_or_else(|| "the stack is empty".to_owned())
    }

    fn pop(&mut self) -> Step<Value<'a>> {
        self.stack.pop().ok_or_else(|| "the stack is empty".to_owned())
    }

    fn byte(&mut self) -> Step<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn take(&mut self, count: usize) -> Step<&'a [u8]> {
        let rest = &self.input[self.at..];
        let taken = rest.get(..count).ok_or("it ends too early")?;
        self.at += count;
        Ok(taken)
    }

    /// An unsigned little-endian number of `width` bytes.
    fn number(&mut self, width: usize) -> Step<usize> {
        let mut bytes = [0; 8];
        bytes[..width].copy_from_slice(self.take(width)?);
        usize::try_from(u64::from_le_bytes(bytes)).map_err(|_| "a length larger than memory".to_owned())
    }

    fn line(&mut self) -> Step<&'a str> {
        let rest = &self.input[self.at..];
        let end = rest.iter().take(256).position(|&b| b == b'\n').ok_or("a name without an end")?;
        let line = std::str::from_utf8(&rest[..end]).map_err(|_| "a name that is not text")?;
        self.at += end + 1;
        Ok(line)
    }
}

#[cfg(test)]
#[path = "pickle_tests.rs"]
mod tests;
