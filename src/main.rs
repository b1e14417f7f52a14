//! The `antipode` program.

fn main() {}
