//! Declare: the desired state of one site, read from its YAML file.
//!
//! ```text
//! text ──► tree ──► shape ──► defaults ──► raw ──► validate ──► Site
//!         places   schema     merged      types    the rest
//! ```
//!
//! Nothing here reads a file, the environment or a clock: [`load`] is given the text and the home directory.

mod access;
mod defaults;
mod expect;
mod load;
pub mod mirror;
pub mod model;
mod path;
pub mod pattern;
mod quote;
mod raw;
mod scalars;
mod schema;
mod shape;
pub(crate) mod suggest;
mod tree;
mod validate;
mod wording;
pub mod written;
pub mod yaml;

pub use load::{Loaded, load};
pub use model::Site;
pub use path::{KeyPath, LineNumbers};
pub use quote::Quotes;
pub use schema::schema;

#[cfg(test)]
mod tests;
