//! Runs a program in the emulator and prints what it says.
fn main() {
    let path = std::env::args().nth(1).expect("a program");
    let image = std::fs::read(path).expect("it can be read");
    match differential::pc::run(&image) {
        Ok(text) => print!("{text}"),
        Err(reason) => println!("{reason}"),
    }
}
