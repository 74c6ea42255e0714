//! Turns `proto/` into Rust with cargo alone: `protox` parses, `connectrpc-build` generates.

use std::{env, error::Error, fs, path::PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    for file in PROTOS {
        println!("cargo::rerun-if-changed={ROOT}/{file}");
    }
    let descriptors =
        PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?).join("protos.bin");
    fs::write(
        &descriptors,
        protox::Compiler::new([ROOT])?
            .include_source_info(true)
            .include_imports(true)
            .open_files(PROTOS)?
            .encode_file_descriptor_set(),
    )?;
    connectrpc_build::Config::new()
        .descriptor_set(descriptors)
        .files(PROTOS)
        .include_file("protos.rs")
        .emit_rerun_directives(false)
        .compile()?;
    Ok(())
}

const ROOT: &str = "proto";

const PROTOS: &[&str] = &[
    "capability/logger/v1/logger.proto",
    "connectplugin/health/v1/health.proto",
    "connectplugin/v1/broker.proto",
    "connectplugin/v1/handshake.proto",
    "connectplugin/v1/lifecycle.proto",
    "connectplugin/v1/registry.proto",
];
