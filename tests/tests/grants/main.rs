//! Grants: who may use which vault, end to end, with every request to vaults and Entra counted.

mod bed;
mod bypass;
mod denial;
mod labels;
mod reload;
