//! The program `azure-keyvault-env`.

use std::alloc::System;
use std::process::ExitCode;

use akv2k8s_exec::{arguments, run};
use zeroizing_alloc::ZeroAlloc;

/// Values pass through buffers of HTTP and TLS, which nobody else would clear.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<System> = ZeroAlloc(System);

fn main() -> ExitCode {
    run(arguments::parse(std::env::args_os().skip(1)))
}
