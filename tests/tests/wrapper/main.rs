//! The exec wrapper as a program: what it asks for, what it starts, and what it says when it cannot.

mod bed;
mod broker;
mod direct;
mod process;
mod secrecy;
mod stub;
