//! `antipode run` as a program: a site that is kept by itself, over catalogs on this machine.

mod clocks;
mod hooks;
mod kept;
mod listen;
mod service;
mod site_file;
mod web;
mod work;
