//! The page that the demo leaves behind: one HTML file beside its sounds and pictures, with nothing fetched
//! from elsewhere. It only shows figures that the program reported or that were measured on its files.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;

use super::{Demo, Take, spectrogram};
use crate::wav::Sound;

/// Writes pictures and page, and gives back the page's path.
///
/// # Errors
/// When something cannot be written.
pub(crate) fn write(demo: &Demo, folder: &Path) -> Result<PathBuf> {
    let takes = folder.join("takes");
    for take in &demo.takes {
        for (stem, sound) in &take.stems {
            spectrogram::draw(sound, &takes.join(&take.name).join(format!("{stem}.png")))?;
        }
    }
    if let Some(mix) = demo.takes.iter().find(|take| !take.live).and_then(sum) {
        spectrogram::draw(&mix, &takes.join("song.png"))?;
    }
    let path = folder.join("report.html");
    std::fs::write(&path, page(demo)).with_context(|| format!("could not write {}", path.display()))?;
    Ok(path)
}

/// All stems of a take together, which is the song.
fn sum(take: &Take) -> Option<Sound> {
    let (first, rest) = take.stems.split_first()?;
    let mut mix = Sound { rate_hz: first.1.rate_hz, channels: first.1.channels.clone() };
    rest.iter().for_each(|(_, stem)| mix.add(stem));
    Some(mix)
}

fn page(demo: &Demo) -> String {
    let mut body = String::new();
    body += &song_card(demo);
    demo.takes.iter().for_each(|take| body += &take_card(take, &demo.again));
    body += &latency_table(demo);
    body += &quality_table(demo);
    if !demo.notes.is_empty() {
        let notes: String = demo.notes.iter().map(|note| format!("<p>{}</p>", text(note))).collect();
        let _ = write!(body, "<section class=card><h2>Left out</h2>{notes}</section>");
    }
    format!(
        "<!doctype html><html lang=en><meta charset=utf-8>\
         <meta name=viewport content=\"width=device-width,initial-scale=1\">\
         <title>RehearseKit · first light</title><style>{}</style>\
         <header><h1>Rehearse<em>Kit</em></h1><p>A song went through a separation server, in time, and came back \
         as stems. Press play, pull down the fader of your own instrument, and play along. All faders up is the \
         original song, sample for sample.</p></header><main>{body}</main>\
         <script>{}</script></html>\n",
        include_str!("report.css"),
        include_str!("report.js"),
    )
}

fn song_card(demo: &Demo) -> String {
    format!(
        "<section class='card take'><h2>The song</h2>{}<div class=strip><div><h3>Mix</h3></div>\
         <figure class=seek><img src=takes/song.png alt='Spectrogram of the mix'><i></i></figure>\
         <audio controls preload=metadata src='{}'></audio></div></section>",
        TRANSPORT,
        text(&demo.song)
    )
}

const TRANSPORT: &str =
    "<div class=transport><button aria-label=Play>▶</button><output class=soft>0:00</output></div>";

fn take_card(take: &Take, again: &str) -> String {
    let figures = Figures::of(take);
    let tile = |value: &str, label: &str| {
        format!("<div class=tile><b>{}</b><span>{label}</span></div>", text(value))
    };
    let mut tiles = String::new();
    if take.live {
        tiles += &tile(&figures.latency, "latency, constant");
        tiles += &tile(&figures.misses, "underruns · late · lost");
        tiles += &tile(&figures.turnaround, "turnaround p50 / p99");
        tiles += &tile(&figures.inference, "inference p50 / p99");
        tiles += &tile(&figures.overhead, "overhead p50 / p99");
    } else {
        let music = take.stems[0].1.seconds();
        tiles += &tile(&format!("{:.1} s", take.took), &format!("for {music:.1} s of music"));
        tiles += &tile(&format!("{:.1}×", music / take.took.max(1e-3)), "the speed of the music");
    }
    let strips: String = take.stems.iter().map(|(stem, _)| strip(&take.name, stem)).collect();
    format!(
        "<section class='card take'><h2>{}</h2><p class=soft>{}</p>{}<div class=tiles>{tiles}</div>{TRANSPORT}{strips}</section>",
        text(&take.title),
        text(&take.about),
        verdict(take, again),
    )
}

/// What is wrong with a take, above its figures; nothing where nothing is.
fn verdict(take: &Take, again: &str) -> String {
    let Some(said) = take.verdict.sentences() else { return String::new() };
    if !take.verdict.is_broken() {
        return format!("<p class=soft>{}</p>", text(&said));
    }
    format!(
        "<div class=broken role=alert><b>This take is broken.</b> {} To make it again on a quieter machine: \
         <code>{}</code></div>",
        text(&said),
        text(again)
    )
}

fn strip(take: &str, stem: &str) -> String {
    let (take, stem) = (text(take), text(stem));
    format!(
        "<div class=strip><div><h3>{stem}</h3><div class=controls>\
         <button class=mute aria-pressed=false aria-label='Mute {stem}'>M</button>\
         <button class=solo aria-pressed=false aria-label='Solo {stem}'>S</button>\
         <input type=range min=0 max=1 step=0.01 value=1 aria-label='Level of {stem}'></div></div>\
         <figure class=seek><img src='takes/{take}/{stem}.png' alt='Spectrogram of {stem}'><i></i></figure>\
         <audio controls preload=metadata src='takes/{take}/{stem}.wav'></audio></div>"
    )
}

/// What `stream` reported, as the page and the terminal print it. A figure it did not give is a dash.
pub(crate) struct Figures {
    pub(crate) latency: String,
    /// Underruns, late and lost chunks.
    pub(crate) misses: String,
    pub(crate) turnaround: String,
    pub(crate) inference: String,
    pub(crate) overhead: String,
}

impl Figures {
    pub(crate) fn of(take: &Take) -> Self {
        let said = &take.figures;
        let count = |key: &str| said[key].as_u64().map_or_else(|| "–".to_owned(), |n| n.to_string());
        let rate_hz = said["rate_hz"].as_f64().unwrap_or(f64::from(take.stems[0].1.rate_hz));
        let latency =
            said["latency_frames"].as_f64().map(|frames| format!("{:.0} ms", frames / rate_hz * 1e3));
        let pair = |key: &str| match (said[key]["p50"].as_f64(), said[key]["p99"].as_f64()) {
            (Some(p50), Some(p99)) => format!("{} / {} ms", short(p50), short(p99)),
            _ => "–".to_owned(),
        };
        Self {
            latency: latency.unwrap_or_else(|| "–".to_owned()),
            misses: format!("{} · {} · {}", count("underruns"), count("late"), count("lost")),
            turnaround: pair("turnaround_millis"),
            inference: pair("inference_millis"),
            overhead: pair("server_overhead_millis"),
        }
    }
}

/// Two useful digits.
fn short(value: f64) -> String {
    if value < 10.0 { format!("{value:.1}") } else { format!("{value:.0}") }
}

fn latency_table(demo: &Demo) -> String {
    let mut rows = String::new();
    for take in demo.takes.iter().filter(|take| take.live) {
        let f = Figures::of(take);
        let max = take.figures["turnaround_millis"]["max"].as_f64().map_or_else(|| "–".to_owned(), short);
        let hops = take.figures["hops"].as_u64().map_or_else(|| "–".to_owned(), |hops| hops.to_string());
        let _ = write!(
            rows,
            "<tr><td>{}<td>{}<td>{hops}<td>{}<td>{}<td>{max} ms<td>{}<td>{}",
            text(&take.title),
            f.latency,
            f.misses,
            f.turnaround,
            f.inference,
            f.overhead
        );
    }
    format!(
        "<section class=card><h2>Latency</h2><p class=soft>Turnaround: from the moment the last needed piece of \
         music left the player until its stems were back. It is spent inside the latency, which never moves.</p>\
         <div class=scroll><table><tr><th>Take<th>Latency<th>Hops<th>Underruns · late · lost<th>Turnaround p50 / p99\
         <th>max<th>Inference p50 / p99<th>Server overhead p50 / p99{rows}</table></div></section>"
    )
}

fn quality_table(demo: &Demo) -> String {
    let mut parts = String::new();
    let mut rows = String::new();
    for take in demo.takes.iter().filter(|take| take.live) {
        for (stem, db) in &take.agreement {
            let _ = write!(rows, "<tr><td>{}<td>{}<td>{db:.1} dB", text(&take.title), text(stem));
        }
    }
    if !rows.is_empty() {
        let _ = write!(
            parts,
            "<p class=soft>How closely each live stem follows the studio take of the same model (signal over \
             difference; higher is closer).</p><div class=scroll><table><tr><th>Take<th>Stem<th>Agreement{rows}</table></div>"
        );
    }
    for (model, budget, scores) in &demo.scores {
        parts += &score_table(model, budget, scores);
    }
    format!("<section class=card><h2>Quality</h2>{parts}</section>")
}

/// One `rehearsekit eval`, against stems that are known.
fn score_table(model: &str, budget: &str, scores: &Value) -> String {
    let mut rows = String::new();
    for song in scores["songs"].as_array().into_iter().flatten() {
        let name = song["name"].as_str().unwrap_or_default();
        for (stem, _) in song["mix"].as_object().into_iter().flatten() {
            let cell = |way: &str| {
                let score = &song[way][stem.as_str()];
                match (score["sdr_db"].as_f64(), score["leakage_dbfs"].as_f64()) {
                    (Some(db), _) => format!("{db:.1} dB"),
                    (None, Some(dbfs)) => format!("leaks {dbfs:.0} dBFS"),
                    (None, None) => "–".to_owned(),
                }
            };
            let (mix, live, studio) = (cell("mix"), cell("streamed"), cell("offline"));
            let _ = write!(rows, "<tr><td>{}<td>{}<td>{mix}<td>{live}<td>{studio}", text(name), text(stem));
        }
    }
    format!(
        "<p class=soft>Against the true stems of a song that has them: signal-to-distortion ratio of {}, live at {}. \
         The mix taken as its own stem is the floor.</p><div class=scroll><table><tr><th>Song<th>Stem<th>Mix<th>Live\
         <th>Studio{rows}</table></div>",
        text(model),
        text(budget)
    )
}

/// For HTML text and quoted attributes.
fn text(raw: &str) -> String {
    raw.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('\'', "&#39;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::verdict::Verdict;
    use super::*;

    fn take(live: bool, figures: Value) -> Take {
        let sound = Sound { rate_hz: 44_100, channels: vec![vec![0.0; 44_100]; 2] };
        Take {
            name: "live-<x>".to_owned(),
            title: "Live".to_owned(),
            about: "It's live".to_owned(),
            stems: vec![("vocals".to_owned(), sound)],
            figures,
            took: 2.0,
            live,
            agreement: vec![("vocals".to_owned(), 12.34)],
            verdict: Verdict::Whole,
        }
    }

    #[test]
    fn figures_are_the_programs_own_and_missing_ones_are_dashes() {
        let said = json!({"latency_frames": 11_025, "underruns": 0, "late": 1, "turnaround_millis": {"p50": 4.24, "p99": 31.0}});
        let row = Figures::of(&take(true, said));
        assert_eq!((row.latency.as_str(), row.misses.as_str()), ("250 ms", "0 · 1 · –"));
        assert_eq!((row.turnaround.as_str(), row.overhead.as_str()), ("4.2 / 31 ms", "–"));
    }

    #[test]
    fn the_page_fetches_nothing_from_elsewhere_and_escapes_names() {
        let scores = json!({"songs": [{"name": "a & b", "mix": {"vocals": {"sdr_db": -1.0}, "bass": {"sdr_db": -9.0}},
            "streamed": {"vocals": {"sdr_db": 9.5}, "bass": {"leakage_dbfs": -51.2}}, "offline": {"vocals": {"sdr_db": 10.0}}}]});
        let mut demo = Demo {
            song: "song.mp3".to_owned(),
            takes: vec![take(true, json!({})), take(false, json!({}))],
            scores: vec![("m".to_owned(), "250 ms".to_owned(), scores)],
            notes: vec!["<none>".to_owned()],
            again: "cargo xtask demo --song 'a<b'".to_owned(),
        };
        assert!(!page(&demo).contains("role=alert"), "nothing is wrong");
        demo.takes[0].verdict = Verdict::Broken {
            what: "2437 slots are missing.".to_owned(),
            why: "Cores were busy.".to_owned(),
        };
        let page = page(&demo);
        assert!(!page.contains("http"), "no address in it");
        for part in [
            "takes/live-&lt;x&gt;/vocals.wav",
            "a &amp; b",
            "9.5 dB",
            "leaks -51 dBFS",
            "12.3 dB",
            "&lt;none&gt;",
            "This take is broken.</b> 2437 slots are missing. Cores were busy.",
            "<code>cargo xtask demo --song &#39;a&lt;b&#39;</code>",
        ] {
            assert!(page.contains(part), "{part}");
        }
    }
}
