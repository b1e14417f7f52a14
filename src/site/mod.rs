//! Declare: the desired state of one site, read from its YAML file.

pub mod model;
mod wording;
