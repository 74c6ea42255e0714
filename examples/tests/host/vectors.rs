//! The wire format, against messages made by connect-plugin-go's own code.

use std::path::Path;

use buffa::Message;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use tower_plugin_examples::proto::{
    capability::logger::v1::LogRequest,
    connectplugin::{
        health::v1::{HealthCheckRequest, HealthCheckResponse},
        v1::{
            DiscoverServiceRequest, DiscoverServiceResponse, GetPluginInfoResponse,
            HandshakeRequest, HandshakeResponse, RegisterServiceRequest, RegisterServiceResponse,
            ReportHealthRequest, ReportHealthResponse, RequestCapabilityRequest,
            RequestCapabilityResponse, SetRuntimeIdentityRequest, ShutdownRequest,
            UnregisterServiceRequest, WatchServiceEvent, WatchServiceRequest,
        },
    },
};

#[test]
fn every_message_of_the_reference_survives_a_round_trip() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/connect_vectors.json");
    let vectors: Vec<Value> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    assert_eq!(vectors.len(), 19);
    for vector in &vectors {
        let (name, json) = (vector["message"].as_str().unwrap(), &vector["proto_json"]);
        let check = match name.rsplit('.').next().unwrap() {
            "DiscoverServiceRequest" => round_trip::<DiscoverServiceRequest>,
            "DiscoverServiceResponse" => round_trip::<DiscoverServiceResponse>,
            "GetPluginInfoResponse" => round_trip::<GetPluginInfoResponse>,
            "HandshakeRequest" => round_trip::<HandshakeRequest>,
            "HandshakeResponse" => round_trip::<HandshakeResponse>,
            "HealthCheckRequest" => round_trip::<HealthCheckRequest>,
            "HealthCheckResponse" => round_trip::<HealthCheckResponse>,
            "LogRequest" => round_trip::<LogRequest>,
            "RegisterServiceRequest" => round_trip::<RegisterServiceRequest>,
            "RegisterServiceResponse" => round_trip::<RegisterServiceResponse>,
            "ReportHealthRequest" => round_trip::<ReportHealthRequest>,
            "ReportHealthResponse" => round_trip::<ReportHealthResponse>,
            "RequestCapabilityRequest" => round_trip::<RequestCapabilityRequest>,
            "RequestCapabilityResponse" => round_trip::<RequestCapabilityResponse>,
            "SetRuntimeIdentityRequest" => round_trip::<SetRuntimeIdentityRequest>,
            "ShutdownRequest" => round_trip::<ShutdownRequest>,
            "UnregisterServiceRequest" => round_trip::<UnregisterServiceRequest>,
            "WatchServiceEvent" => round_trip::<WatchServiceEvent>,
            "WatchServiceRequest" => round_trip::<WatchServiceRequest>,
            _ => panic!("no such message: {name}"),
        };
        check(name, &bytes(vector["proto_hex"].as_str().unwrap()), json);
    }
}

fn round_trip<M: Message + PartialEq + std::fmt::Debug + Serialize + DeserializeOwned>(
    name: &str,
    wire: &[u8],
    json: &Value,
) {
    let message = M::decode_from_slice(wire).unwrap();
    assert_eq!(
        &serde_json::to_value(&message).unwrap(),
        json,
        "{name} to JSON"
    );
    assert_eq!(
        serde_json::from_value::<M>(json.clone()).unwrap(),
        message,
        "{name} from JSON"
    );
    // Field order is free on the wire: compare what is meant, and that nothing got longer.
    let encoded = message.encode_to_vec();
    assert_eq!(
        M::decode_from_slice(&encoded).unwrap(),
        message,
        "{name} to bytes"
    );
    assert_eq!(encoded.len(), wire.len(), "{name} length");
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
        .collect()
}
