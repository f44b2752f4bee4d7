//! Bad input and faults, each caused: the condition explains it, one event tells it, the Secret stays as it was, and once the
//! cause is gone it is synced again without a restart.

mod api_server;
mod bed;
mod canary;
mod data;
mod dns;
mod lease;
mod logs;
mod names;
mod own_status;
mod proxy;
mod values;
mod vault;
