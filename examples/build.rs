//! Turns `proto/` into Rust with cargo alone: `protox` parses, `connectrpc-build` generates, and for tonic
//! `tonic-prost-build`.

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
    compile_for_tonic()
}

/// Messages whose rules are `validator`'s.
fn compile_for_tonic() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={ROOT}/{ORDERS}");
    let descriptors = protox::compile([ORDERS], [ROOT])?;
    let mut config = tonic_prost_build::configure()
        .message_attribute("PlaceRequest", "#[derive(::validator::Validate)]")
        // `validator` puts the values it rejects into its errors; hence `Serialize`.
        .message_attribute(
            "Line",
            "#[derive(::serde::Serialize, ::validator::Validate)]",
        );
    for (field, rules) in RULES {
        config = config.field_attribute(field, format!("#[validate({rules})]"));
    }
    Ok(config
        .emit_rerun_if_changed(false)
        .compile_fds(descriptors)?)
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

const ORDERS: &str = "orders/v1/orders.proto";

const RULES: [(&str, &str); 5] = [
    ("PlaceRequest.customer", "length(min = 1, max = 64)"),
    ("PlaceRequest.lines", "length(min = 1, max = 100)"),
    ("PlaceRequest.lines", "nested"),
    ("Line.sku", "length(min = 3, max = 32)"),
    ("Line.quantity", "range(min = 1, max = 1000)"),
];
