mod intake;
mod samples;
