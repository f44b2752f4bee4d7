//! Every row of the failure catalogue, caused: the right code, the right names, a fix, and healing.

mod compound;
mod coverage;
mod healthy;
mod rows;
mod world;
