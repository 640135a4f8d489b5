//! What files are called that are made of a song: patterns with fields, and names that every file system takes. Pure.

use std::{fmt, str::FromStr};

use rehearsekit_media::{
    Tags,
    place::{folded, turns_direction},
};

/// The most bytes of a file's name, its ending included: file systems take 255 at most, and other programs add to it.
const MOST_BYTES: usize = 200;
/// Not allowed in names on Windows, and so on most shares.
const RESERVED: &str = "<>:\"/\\|?*";

/// What a pattern may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field {
    Song,
    Title,
    Artist,
    Album,
    Track,
    Date,
    Genre,
    Stem,
    Model,
    Index,
}

impl Field {
    const ALL: [(&'static str, Self); 10] = [
        ("song", Self::Song),
        ("title", Self::Title),
        ("artist", Self::Artist),
        ("album", Self::Album),
        ("track", Self::Track),
        ("date", Self::Date),
        ("genre", Self::Genre),
        ("stem", Self::Stem),
        ("model", Self::Model),
        ("index", Self::Index),
    ];
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Field(Field),
}

/// A name with fields in braces, such as `{title} - {stem}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern {
    written: String,
    parts: Vec<Part>,
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

impl FromStr for Pattern {
    type Err = String;

    fn from_str(written: &str) -> Result<Self, String> {
        let parts = parse(written)?;
        let texts = parts.iter().map(|part| match part {
            Part::Text(text) => text.as_str(),
            Part::Field(_) => "",
        });
        let texts: Vec<&str> = texts.collect();
        if texts.iter().any(|text| text.contains(['/', '\\'])) {
            return Err(
                "a name has no / and no \\ in it; folders are given by --out and --folders".to_owned()
            );
        }
        if texts.iter().map(|text| text.len()).sum::<usize>() > MOST_BYTES / 2 {
            return Err(format!("that is too long: {} bytes beside the fields are the most", MOST_BYTES / 2));
        }
        let pattern = Self { written: written.to_owned(), parts };
        if !pattern.has(Field::Stem) {
            return Err(
                "without {stem} all stems of a song would have one name; write something like \"{title} - {stem}\""
                    .to_owned(),
            );
        }
        Ok(pattern)
    }
}

fn parse(written: &str) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    let mut text = String::new();
    let mut rest = written;
    while let Some(c) = rest.chars().next() {
        // Twice means itself.
        if let Some(after) = ["{{", "}}"].iter().find_map(|twice| rest.strip_prefix(twice)) {
            text.push(c);
            rest = after;
        } else if c == '{' {
            let (name, after) =
                rest[1..].split_once('}').ok_or("a { without its }; write {{ for the character itself")?;
            let known = Field::ALL.iter().find(|(known, _)| *known == name.trim());
            let (_, field) = known.ok_or_else(|| {
                let all: Vec<String> = Field::ALL.iter().map(|(known, _)| format!("{{{known}}}")).collect();
                format!("there is no field {{{name}}}; there are {}", all.join(", "))
            })?;
            parts.extend([Part::Text(std::mem::take(&mut text)), Part::Field(*field)]);
            rest = after;
        } else if c == '}' {
            return Err("a } without its {; write }} for the character itself".to_owned());
        } else {
            text.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    parts.push(Part::Text(text));
    parts.retain(|part| *part != Part::Text(String::new()));
    Ok(parts)
}

/// What the fields are for one stem of one song.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Values<'a> {
    /// What its file is called, without the ending.
    pub(crate) song: &'a str,
    pub(crate) tags: &'a Tags,
    pub(crate) stem: &'a str,
    pub(crate) model: &'a str,
    /// Which song of how many, from 1.
    pub(crate) index: (usize, usize),
}

impl Values<'_> {
    fn of(&self, field: Field) -> String {
        let or = |said: &Option<String>, otherwise: &str| {
            said.as_deref().map(str::trim).filter(|said| !said.is_empty()).unwrap_or(otherwise).to_owned()
        };
        let tags = self.tags;
        match field {
            Field::Song => self.song.to_owned(),
            Field::Title => or(&tags.title, self.song),
            Field::Artist => or(&tags.artist, "Unknown artist"),
            Field::Album => or(&tags.album, "Unknown album"),
            Field::Track => {
                // "3/12" is the third of twelve.
                let track = or(&tags.track, "0");
                let number = track.split('/').next().unwrap_or_default().trim().to_owned();
                format!("{number:0>2}")
            }
            Field::Date => or(&tags.date, "Unknown date"),
            Field::Genre => or(&tags.genre, "Unknown genre"),
            Field::Stem => self.stem.to_owned(),
            Field::Model => self.model.to_owned(),
            Field::Index => {
                let (number, count) = self.index;
                let width = count.to_string().len();
                format!("{number:0>width$}")
            }
        }
    }
}

impl Pattern {
    /// Whether two songs cannot get the same names, as far as their files are not called the same.
    pub(crate) fn tells_songs_apart(&self) -> bool {
        [Field::Song, Field::Title, Field::Index].into_iter().any(|field| self.has(field))
    }

    fn has(&self, field: Field) -> bool {
        self.parts.contains(&Part::Field(field))
    }

    /// The file's name without its ending, which is `reserve` bytes long. Where it is too long, the longest fields are cut,
    /// the stem never.
    pub(crate) fn name(&self, values: &Values<'_>, reserve: usize) -> String {
        let mut pieces: Vec<(bool, String)> = self
            .parts
            .iter()
            .map(|part| match part {
                Part::Text(text) => (false, safe(text)),
                Part::Field(field) => (*field != Field::Stem, safe(&values.of(*field))),
            })
            .collect();
        let length =
            |pieces: &[(bool, String)]| pieces.iter().map(|(_, piece)| piece.len()).sum::<usize>() + reserve;
        while length(&pieces) > MOST_BYTES {
            let longest =
                pieces.iter_mut().filter(|(may_be_cut, _)| *may_be_cut).max_by_key(|(_, piece)| piece.len());
            let Some((_, piece)) = longest else { break };
            if piece.pop().is_none() {
                break;
            }
        }
        whole(pieces.into_iter().map(|(_, piece)| piece).collect::<String>())
    }
}

/// The name of a folder for a song called `song`.
pub(crate) fn folder(song: &str) -> String {
    let mut name = safe(song);
    while name.len() > MOST_BYTES {
        name.pop();
    }
    whole(name)
}

/// `names`, or all with a number behind them, so that none is among `taken`, whatever their case; they are then.
pub(crate) fn distinct(names: Vec<String>, taken: &mut Vec<String>) -> Vec<String> {
    let numbered = |number: usize| -> Vec<String> {
        let one = |name: &String| if number == 1 { name.clone() } else { format!("{name} ({number})") };
        names.iter().map(one).collect()
    };
    let is_free = |names: &Vec<String>| !names.iter().any(|name| taken.contains(&folded(name)));
    // As many names as this are taken at most, so that one of these is free.
    let free = (1..=taken.len() + 1).map(numbered).find(is_free).unwrap_or(names.clone());
    taken.extend(free.iter().map(|name| folded(name)));
    free
}

/// Without characters that some file system does not take.
fn safe(text: &str) -> String {
    let is_bad = |c: char| RESERVED.contains(c) || c == char::REPLACEMENT_CHARACTER;
    // Marks that turn the direction make one name look like another.
    let seen = text.chars().filter(|&c| !c.is_control() && !turns_direction(c));
    seen.map(|c| if is_bad(c) { '_' } else { c }).collect()
}

/// A whole name without what some file system does not take at its ends, or as a name.
fn whole(name: String) -> String {
    let name = name.trim_start().trim_end_matches(|c: char| c == '.' || c.is_whitespace());
    let base = name.split('.').next().unwrap_or_default().trim_end().to_ascii_uppercase();
    let port = |base: &str| {
        let number = ["COM", "LPT"].iter().find_map(|port| base.strip_prefix(port));
        number.is_some_and(|n| {
            n.chars().count() == 1 && n.contains(|c: char| c.is_ascii_digit() || "¹²³".contains(c))
        })
    };
    let is_device = ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"].contains(&base.as_str()) || port(&base);
    // A dot in front would hide it.
    if name.is_empty() || name.starts_with('.') || is_device { format!("_{name}") } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        text.parse().unwrap()
    }

    fn tags(title: &str) -> Tags {
        Tags { title: Some(title.to_owned()), ..Tags::default() }
    }

    fn named(text: &str, tags: &Tags, stem: &str) -> String {
        pattern(text).name(&Values { song: "song", tags, stem, model: "m", index: (3, 12) }, 5)
    }

    #[test]
    fn fields_are_filled_in_and_what_the_song_does_not_say_has_a_word() {
        let all = "{index} {artist} - {album} - {track} {title} ({date}, {genre}) [{model}] {{{stem}}}";
        assert_eq!(
            named(all, &tags("Lithium"), "vocals"),
            "03 Unknown artist - Unknown album - 00 Lithium (Unknown date, Unknown genre) [m] {vocals}"
        );
        let said = Tags { artist: Some("Nirvana".to_owned()), track: Some("5/12".to_owned()), ..tags(" ") };
        assert_eq!(named("{artist} {track} {title} {stem}", &said, "drums"), "Nirvana 05 song drums");
    }

    #[test]
    fn a_wrong_pattern_is_told_what_is_right() {
        let told = |text: &str| text.parse::<Pattern>().unwrap_err();
        assert!(told("{title}").contains("without {stem}"));
        assert!(told("{titel} {stem}").contains("no field {titel}; there are {song}, {title}, {artist}"));
        assert!(told("{title {stem").contains("without its }"));
        assert!(told("title} {stem}").contains("without its {"));
        assert!(told("{artist}/{stem}").contains("--out"));
        assert!(told(&format!("{}{{stem}}", "x".repeat(300))).contains("too long"));
    }

    #[test]
    fn names_are_taken_by_every_file_system() {
        let name = |title: &str| named("{title} {stem}", &tags(title), "x");
        assert_eq!(name("AC/DC: \"Who?\" <live>|*\\"), "AC_DC_ _Who__ _live____ x");
        assert_eq!(name("a\nb\x1b[1m\u{7f}"), "ab[1m x");
        assert_eq!(name("...And Justice for All"), "_...And Justice for All x");
        let last = |title: &str| named("{stem} {title}", &tags(title), "x");
        assert_eq!((last("End..."), last("End. . ")), ("x End".to_owned(), "x End".to_owned()));
        let alone = |stem: &str| named("{stem}", &tags(""), stem);
        let devices = ["con", "NUL", "Com1", "lpt¹", "aux.tar", "vocals", "COM10", "...", ""];
        let right = ["_con", "_NUL", "_Com1", "_lpt¹", "_aux.tar", "vocals", "COM10", "_", "_"];
        assert_eq!(devices.map(alone), right);
        assert_eq!(folder("  What?. "), "What_");
    }

    #[test]
    fn a_long_name_keeps_its_stem_and_whole_characters() {
        for title in ["x".repeat(1_000), "é漢🎸".repeat(200)] {
            let name = named("{title} - {artist} - {stem}", &tags(&title), "accompaniment");
            assert!(name.len() + 5 <= MOST_BYTES && name.len() > MOST_BYTES - 12, "{}", name.len());
            assert!(name.ends_with("Unknown artist - accompaniment"), "{name}");
            assert!(folder(&title).len() <= MOST_BYTES);
        }
    }

    #[test]
    fn equal_names_get_numbers_whatever_their_case() {
        let mut taken = Vec::new();
        let names = ["Song", "song", "SONG", "other", "song (2)"];
        let names = names.map(|name| distinct(vec![name.to_owned()], &mut taken).concat());
        assert_eq!(names, ["Song", "song (2)", "SONG (3)", "other", "song (2) (2)"]);
        let both = distinct(vec!["new".to_owned(), "other".to_owned()], &mut taken);
        assert_eq!(both, ["new (2)", "other (2)"]);
    }
}
