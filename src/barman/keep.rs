//! stub
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    Full,
    Standalone,
}
