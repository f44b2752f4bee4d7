//! What a crash leaves behind: `kill -9` at every I/O boundary of a sync, replicas that die or freeze, and faults at random.

mod bed;
mod boundaries;
mod chaos;
mod endurance;
mod replicas;
mod scenarios;
