//! The sounds that are ringing. Must not know when or why they were struck.

use rehearsekit_audio::{
    SampleRate,
    click::{BUILT_IN_SOUNDS, ClickSound, TickKind, built_in},
};

/// Sounds that ring at once; with one more the oldest fades.
const RINGING: usize = 8;
/// Room for those that fade meanwhile.
const VOICES: usize = 16;
/// How long a stolen sound fades.
const FADE_FRAMES: usize = 64;
const KINDS: usize = 3;
const BUILT_IN: usize = BUILT_IN_SOUNDS.len() * KINDS;
/// Messages on their way in, and sounds on their way out.
const SOUNDS_UNDER_WAY: usize = 8;

/// How loud the kinds of click are, the softest first.
const KIND_GAINS: [f32; KINDS] = [0.35, 0.65, 1.0];

/// The other end of a [`ClickTrack`](crate::ClickTrack), for a thread that may allocate: brings a player's own sound
/// in, and drops what is no longer played.
#[derive(Debug)]
pub struct OwnSounds {
    to: rtrb::Producer<Option<Box<ClickSound>>>,
    back: rtrb::Consumer<Box<ClickSound>>,
}

impl OwnSounds {
    /// Puts another sound in the place of the player's own, `None` takes it away. It must be made for the rate of the
    /// track. What is ringing rings out.
    ///
    /// # Errors
    /// Gives the sound back if the audio thread has not taken the ones before; try again later.
    pub fn set(&mut self, sound: Option<ClickSound>) -> Result<(), Option<ClickSound>> {
        self.tidy();
        self.to.push(sound.map(Box::new)).map_err(|rtrb::PushError::Full(sound)| sound.map(|sound| *sound))
    }

    /// Drops the sounds that are no longer played; [`Self::set`] does it too.
    pub fn tidy(&mut self) {
        while self.back.pop().is_ok() {}
    }
}

/// One sound that rings.
#[derive(Debug, Clone, Copy)]
struct Voice {
    /// Number of the built-in sound and its kind; behind those the places of the player's own.
    sound: usize,
    next: usize,
    gains: [f32; 2],
    /// Frames until it is gone, if it was stolen.
    fade: Option<usize>,
    age_frames: u64,
}

#[derive(Debug)]
pub(super) struct Voices {
    built_in: [ClickSound; BUILT_IN],
    /// The player's own: the one that is struck, and the one before while it rings.
    own: [Option<Box<ClickSound>>; 2],
    current: usize,
    voices: [Option<Voice>; VOICES],
    from: rtrb::Consumer<Option<Box<ClickSound>>>,
    back: rtrb::Producer<Box<ClickSound>>,
}

impl Voices {
    pub(super) fn new(rate: SampleRate) -> (Self, OwnSounds) {
        let (to, from) = rtrb::RingBuffer::new(SOUNDS_UNDER_WAY);
        let (gone, back) = rtrb::RingBuffer::new(SOUNDS_UNDER_WAY);
        let kinds = [TickKind::Subdivision, TickKind::Beat, TickKind::Accent];
        let voices = Self {
            built_in: std::array::from_fn(|n| built_in(n / KINDS, kinds[n % KINDS], rate)),
            own: [None, None],
            current: 0,
            voices: [None; VOICES],
            from,
            back: gone,
        };
        (voices, OwnSounds { to, back })
    }

    /// Silence.
    pub(super) fn clear(&mut self) {
        self.voices = [None; VOICES];
    }

    /// Takes the sounds that have come, as long as what they displace has somewhere to go.
    pub(super) fn take_sounds(&mut self) {
        let free = 1 - self.current;
        let rings = self.voices.iter().flatten().any(|voice| voice.sound == BUILT_IN + free);
        if rings || self.back.is_full() {
            return;
        }
        if let Ok(sound) = self.from.pop() {
            if let Some(old) = std::mem::replace(&mut self.own[free], sound) {
                // There was room, and nobody else pushes.
                let _ = self.back.push(old);
            }
            self.current = free;
        }
    }

    /// Strikes a sound; it rings from the next frame that is mixed.
    pub(super) fn strike(&mut self, sound: u8, kind: TickKind, gains: [f32; 2]) {
        let own = usize::from(sound) == BUILT_IN_SOUNDS.len() && self.own[self.current].is_some();
        let sound = match usize::from(sound) {
            _ if own => BUILT_IN + self.current,
            n if n < BUILT_IN_SOUNDS.len() => n * KINDS + kind as usize,
            _ => kind as usize,
        };
        let ringing = self.voices.iter().flatten().filter(|voice| voice.fade.is_none());
        if ringing.count() >= RINGING {
            let unfaded = self.voices.iter_mut().flatten().filter(|voice| voice.fade.is_none());
            if let Some(oldest) = unfaded.max_by_key(|voice| voice.age_frames) {
                oldest.fade = Some(FADE_FRAMES);
            }
        }
        let free = self.voices.iter().position(Option::is_none).unwrap_or_else(|| self.nearest_to_its_end());
        let gains = gains.map(|gain| gain * KIND_GAINS[kind as usize]);
        self.voices[free] = Some(Voice { sound, next: 0, gains, fade: None, age_frames: 0 });
    }

    /// Fades what was struck within the last `frames`.
    pub(super) fn take_back(&mut self, frames: u64) {
        for voice in self.voices.iter_mut().flatten().filter(|voice| voice.age_frames < frames) {
            voice.fade.get_or_insert(FADE_FRAMES);
        }
    }

    fn nearest_to_its_end(&self) -> usize {
        let left = |voice: &Option<Voice>| voice.and_then(|voice| voice.fade).unwrap_or(usize::MAX);
        (0..VOICES).min_by_key(|&n| left(&self.voices[n])).unwrap_or(0)
    }

    /// Adds what rings to `out`.
    pub(super) fn mix(&mut self, out: [&mut [f32]; 2]) {
        let Self { built_in, own, voices, .. } = self;
        let frames = out[0].len().min(out[1].len());
        let [out_left, out_right] = out;
        for place in voices.iter_mut() {
            let Some(voice) = place else { continue };
            let sound = match voice.sound.checked_sub(BUILT_IN) {
                None => Some(&built_in[voice.sound]),
                Some(n) => own[n].as_deref(),
            };
            let Some([left, right]) = sound.map(ClickSound::stereo) else {
                *place = None;
                continue;
            };
            let most = voice.fade.map_or(frames, |fade| fade.min(frames));
            let count = left.len().saturating_sub(voice.next).min(most);
            let end = voice.next + count;
            for (out, sound, gain) in
                [(&mut *out_left, left, voice.gains[0]), (&mut *out_right, right, voice.gains[1])]
            {
                let pairs = out.iter_mut().zip(&sound[voice.next..end]);
                match voice.fade {
                    None => pairs.for_each(|(out, sample)| *out += gain * sample),
                    Some(fade) => pairs.enumerate().for_each(|(n, (out, sample))| {
                        *out += gain * sample * ((fade - n) as f32 / FADE_FRAMES as f32);
                    }),
                }
            }
            voice.next = end;
            voice.age_frames += frames as u64;
            voice.fade = voice.fade.map(|fade| fade - count);
            let is_over = end >= left.len() || voice.fade == Some(0);
            if is_over {
                *place = None;
            }
        }
    }
}
