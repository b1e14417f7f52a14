//! stub
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServerDirs {
    pub backup_directory: std::path::PathBuf,
}
