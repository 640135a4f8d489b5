//! The window in tests: photographed in every state, used by pointer, by keyboard alone and by screen reader, and
//! left alone. Nothing is replaced: the real panel is drawn by the real egui.
#![allow(missing_docs, unreachable_pub)]

mod checkup;
mod keyboard;
mod labels;
mod pictures;
mod player;
mod pointer;
mod rest;
mod scenes;
mod servers;
mod set_up;
