mod listing;
mod read;
mod write;
