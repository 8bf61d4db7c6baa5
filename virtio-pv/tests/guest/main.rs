//! A guest's drivers, in miniature, against the devices: what real drivers do, and what hostile ones might.

mod block;
mod cable;
mod console;
mod driver;
mod entropy;
mod machine;
mod malice;
mod medium;
mod network;
mod probe;
mod saved;
mod terminal;
