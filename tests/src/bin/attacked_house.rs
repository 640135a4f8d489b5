//! A server of the library in a process of its own, so that what it holds can be seen from outside and attackers do
//! not share its threads. Says where it is in one line, `LINK HTTP DATA`, and ends with its standard input.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a tool for us, whose end by a closed pipe harms nobody"
)]

use std::io::Read as _;

use rehearsekit_tests::house::House;

fn main() {
    let house = House::known_among_strangers();
    println!("{} {} {}", house.address, house.http, house.data().display());
    // Nobody writes; it ends when whoever started it does.
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}
