//! `doctor`, as the program and from the controller's pod: a real API server, an Entra that checks tokens, and what a user reads.

mod akvs;
mod bed;
mod controller;
mod identity;
mod installation;
mod migration;
mod pod_security;
mod pods;
mod prepared;
mod readiness;
mod way;
