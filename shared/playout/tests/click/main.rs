//! The click against an oracle that knows where the beats truly are: a host with a tempo map of its own, which
//! tells of it what hosts tell, in the way they round it. No clock, no threads.

mod exact;
mod host;
mod own;
mod song;
mod trouble;
