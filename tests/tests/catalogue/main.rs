//! Every row of the failure catalogue, caused: the right code, the right names, a fix, and healing.

mod compound;
mod coverage;
mod healthy;
mod methods;
mod reach;
mod rows;
mod world;

/// Fails with the failures of all, one a line.
fn all_well(results: Vec<anyhow::Result<()>>) -> anyhow::Result<()> {
    let failed: Vec<_> = results
        .into_iter()
        .filter_map(Result::err)
        .map(|error| format!("{error:#}"))
        .collect();
    anyhow::ensure!(failed.is_empty(), "{}", failed.join("\n"));
    Ok(())
}
