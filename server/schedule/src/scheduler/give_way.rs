//! Who gives way when a device is slower than was promised: for a moment a hop of the newest, for longer its stream.

use super::{Scheduler, Stream};
use crate::{
    LaneId, Time,
    place::{MARGIN, Resident, Room, on_lane},
};

/// A paused stream comes back only if a device this much slower would keep up with it: or it would come and go.
const RETURN_MARGIN: f64 = 1.05;

impl<J> Scheduler<J> {
    /// Drops what cannot be in time on `lane` any more, at the speed of this very moment: of the hops that wait for it
    /// and cannot all be, the newest stream's.
    pub(super) fn shed(&mut self, lane: LaneId, now: Time) {
        let Some(device) = self.devices.get(lane.device) else { return };
        let slowness = device.observed.slowness_now;
        let batched = device.lanes.get(lane.lane).is_some_and(|lane| lane.room.batched);
        loop {
            let own = |s: &Stream<J>| {
                s.device == lane.device && s.lane == lane.lane && !s.paused && s.has_come(now)
            };
            let mut queue: Vec<(Time, u64)> = self
                .streams
                .iter()
                .filter(|(_, s)| own(s))
                .filter_map(|(id, s)| Some((s.deadline()?, *id)))
                .collect();
            queue.sort_unstable();
            let mut end = now;
            let mut seen: Vec<u64> = Vec::new();
            let mut victim = None;
            for (_, id) in &queue {
                let Some(stream) = self.streams.get(id) else { continue };
                let takes = stream.cost.typical.mul_f64(slowness);
                // Those of a batch end together.
                end = if batched { now + takes } else { end + takes };
                seen.push(*id);
                if stream.waiting.as_ref().is_some_and(|waiting| end > waiting.hop.due) {
                    victim = if batched { Some(*id) } else { seen.iter().max().copied() };
                    break;
                }
            }
            let Some(stream) = victim.and_then(|id| self.streams.get_mut(&id)) else { return };
            if let Some(waiting) = stream.waiting.take() {
                stream.released = waiting.before;
                self.dropped.push(waiting.job);
            }
        }
    }

    /// Works out again who plays on `device` and what its lanes have to spare: the oldest always does, and whoever
    /// the lane keeps up with beside all older ones that do.
    pub(super) fn settle(&mut self, device: usize) {
        let Some(d) = self.devices.get(device) else { return };
        let mut playing: Vec<Resident<'_>> = Vec::new();
        let mut paused: Vec<u64> = Vec::new();
        for (id, stream) in self.streams.iter().filter(|(_, s)| s.device == device) {
            let new = Resident { id: *id, lane: stream.lane, demand: &stream.demand, cost: &stream.cost };
            let mut there = on_lane(&playing, stream.lane);
            there.push(new);
            let margin = if stream.paused { RETURN_MARGIN } else { 1.0 };
            if playing.is_empty() || d.terms(margin).keeps_up(&there) {
                playing.push(new);
            } else {
                paused.push(*id);
            }
        }
        let terms = d.terms(MARGIN);
        let rooms: Vec<Room> = (0..d.lanes.len())
            .map(|lane| terms.room(&on_lane(&playing, lane)).unwrap_or(Room::NONE))
            .collect();
        let d = &mut self.devices[device];
        d.assumed = d.observed.slowness;
        d.lanes.iter_mut().zip(rooms).for_each(|(lane, room)| lane.room = room);
        for (id, stream) in self.streams.iter_mut().filter(|(_, s)| s.device == device) {
            stream.paused = paused.contains(id);
            if stream.paused {
                self.dropped.extend(stream.waiting.take().map(|waiting| waiting.job));
            }
        }
    }
}
