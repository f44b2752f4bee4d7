//! A token and the body of a request to the broker: nothing panics, and nothing is released that was not asked for.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|content: &[u8]| akv2k8s_envinjector::fuzzing::broker_request(content));
