#![allow(missing_docs)]
use rehearsekit_models::{store::*, fetch};
fn main() {
    let data = std::path::Path::new("/tmp/rk/data");
    let s = Store::open(data).unwrap();
    let mut last = std::time::Instant::now();
    let mut p = |x: PullProgress| if last.elapsed().as_millis() > 700 || x.total_bytes.is_none() { last = std::time::Instant::now(); eprintln!("{x:?}") };
    let t = std::time::Instant::now();
    println!("{:?}", fetch::runtime::ensure_runtime(data, &fetch::Cancel::new(), &mut p));
    println!("{:?}", t.elapsed());
    for m in ["spleeter-2stems", "htdemucs"] {
        let t = std::time::Instant::now();
        println!("{}", s.pull(m, &PullOptions::default(), &mut p).map(|i| format!("{:?}", i.files)).unwrap_or_else(|e| e.to_string()));
        println!("{:?}", t.elapsed());
    }
    let t = std::time::Instant::now();
    println!("{:?}", s.pull("htdemucs", &PullOptions{accept_licence: true, ..Default::default()}, &mut p).map(|i| i.files));
    println!("{:?}", t.elapsed());
    println!("{:?}", s.pull("nonsense", &PullOptions::default(), &mut p).map(|i| i.files).unwrap_err().to_string());
    for l in s.list().unwrap() { println!("{} {:?}", l.manifest.name, l.installed_bytes); }
}
