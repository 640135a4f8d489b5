//! An engine that halves the mix, without any weights: what it gives is known to the bit, and it panics when
//! told to.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use rehearsekit_audio::StemSet;
use rehearsekit_schedule::{Cost, Demand};
use rehearsekit_server::engine::{Chunk, Engine, EngineError, OpenRefusal, OpenSpec, Pipeline, Promise, Way};

use super::{HOP, PACKET, PANIC};

/// Two stems; the one that travels is half the mix. Warms when the gate is opened.
pub(crate) struct HalfEngine {
    /// What an inference is said to cost.
    pub(crate) cost: Duration,
    /// What it really takes at present, in microseconds.
    pub(crate) takes_micros: Arc<AtomicU64>,
    pub(crate) gate: Mutex<Option<std::sync::mpsc::Receiver<Result<(), EngineError>>>>,
}

impl HalfEngine {
    pub(crate) fn gated(gate: std::sync::mpsc::Receiver<Result<(), EngineError>>) -> Self {
        Self { gate: Mutex::new(Some(gate)), ..Self::default() }
    }
}

impl Default for HalfEngine {
    fn default() -> Self {
        Self { cost: Duration::from_micros(100), takes_micros: Arc::default(), gate: Mutex::default() }
    }
}

impl Engine for HalfEngine {
    fn warm(&self, _model: &str) -> Result<(), EngineError> {
        match self.gate.lock().unwrap().take() {
            Some(gate) => gate.recv().unwrap_or(Ok(())),
            None => Ok(()),
        }
    }

    fn ways(&self, spec: &OpenSpec) -> Result<Vec<Way>, OpenRefusal> {
        if spec.budget_frames < 2 * HOP {
            let reason = "the budget is too small".to_owned();
            return Err(OpenRefusal::BudgetTooSmall { smallest_budget_frames: Some(2 * HOP), reason });
        }
        let promise = Promise {
            model: spec.model.clone(),
            stems: StemSet::new(&["vocals", "other"]).unwrap(),
            packet_frames: PACKET,
            algorithmic_frames: HOP,
            hop_frames: HOP,
            look_ahead_frames: 0,
            description: "half the mix".to_owned(),
        };
        let cost = Cost { kind: 0, typical: self.cost, batches: Vec::new(), wide: false };
        let demand = Demand {
            period: spec.rate.duration(HOP.into()),
            deadline: spec.rate.duration((spec.budget_frames - HOP).into()),
            costs: vec![Some(cost)],
        };
        Ok(vec![Way {
            promise,
            demand,
            quality_db: Some(-0.5),
            words: spec.model.repeat(50),
            need_frames: 1_000,
            open: {
                let takes_micros = self.takes_micros.clone();
                Box::new(|| Ok(Box::new(HalfPipeline { position: 0, pending: Vec::new(), takes_micros })))
            },
        }])
    }
}

struct HalfPipeline {
    position: u64,
    pending: Vec<[f32; 2]>,
    takes_micros: Arc<AtomicU64>,
}

impl HalfPipeline {
    fn cut(&mut self, frames: usize) -> Chunk {
        let taken: Vec<[f32; 2]> = self.pending.drain(..frames).collect();
        let first_frame = self.position;
        self.position += frames as u64;
        let channels = (0..2).map(|c| taken.iter().map(|frame| frame[c] / 2.0).collect()).collect();
        Chunk { first_frame, channels, inference: Duration::from_micros(100) }
    }
}

impl Pipeline for HalfPipeline {
    fn start_epoch(&mut self, position: u64) {
        assert!(self.pending.is_empty(), "the last epoch was not finished");
        self.position = position;
    }

    fn push(&mut self, mix: [&[f32]; 2]) -> Result<Vec<Chunk>, EngineError> {
        assert!(mix[0].first() != Some(&PANIC), "told to panic");
        self.pending.extend(mix[0].iter().zip(mix[1]).map(|(l, r)| [*l, *r]));
        let hops = self.pending.len() / HOP as usize;
        std::thread::sleep(Duration::from_micros(self.takes_micros.load(Relaxed)) * hops as u32);
        Ok((0..hops).map(|_| self.cut(HOP as usize)).collect())
    }

    fn skip(&mut self, mix: [&[f32]; 2]) -> Result<(), EngineError> {
        self.pending.extend(mix[0].iter().zip(mix[1]).map(|(l, r)| [*l, *r]));
        while self.pending.len() >= HOP as usize {
            self.cut(HOP as usize);
        }
        Ok(())
    }

    fn finish_epoch(&mut self) -> Result<Vec<Chunk>, EngineError> {
        let rest = self.pending.len();
        Ok(if rest == 0 { Vec::new() } else { vec![self.cut(rest)] })
    }

    fn frames_until_work(&self) -> usize {
        HOP as usize - self.pending.len()
    }
}
