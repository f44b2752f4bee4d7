//! The syncs that are interrupted. Each takes place under a name of its own, `n` being the boundary it is to be cut off at.

use std::collections::BTreeMap;

use super::bed::{Bed, Expected};

/// More boundaries than any scenario can have.
pub(crate) const MANY: usize = 200;
/// The value of every vault object but the rotated one.
pub(crate) const VALUE: &str = "one";

/// What is changed while the controller is about to be killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scenario {
    /// A new AKVS.
    Create,
    /// A new value in the vault.
    Rotate,
    /// Another output name: the old output is pruned.
    Rename,
    /// A deleted AKVS that shared its output with another, which stays: its key is released.
    Release,
}

type Secrets = BTreeMap<String, Expected>;

impl Scenario {
    /// What the names of everything in it begin with.
    pub(crate) fn prefix(self, n: usize) -> String {
        match self {
            Self::Create => format!("create{n}-"),
            // The same objects each time, with another value.
            Self::Rotate => "rotate-".to_owned(),
            Self::Rename => format!("rename{n}-"),
            Self::Release => format!("release{n}-"),
        }
    }

    /// Makes what is changed later, and tells what it comes to.
    pub(crate) async fn prepare(self, bed: &Bed, n: usize) -> anyhow::Result<Secrets> {
        let (a, b, first) = self.names(n);
        let object = self.object(n);
        if self != Self::Rotate {
            bed.set(&object, VALUE, n)?;
        }
        match self {
            Self::Create => return Ok(Secrets::new()),
            Self::Rotate => {
                let value = format!("value {n}, old");
                bed.set(&object, &value, 2 * n)?;
                bed.apply(&a, &object, &first).await?;
                return Ok(Secrets::from([(first, Expected::of(&[(&a, &value)]))]));
            }
            Self::Rename => bed.apply(&a, &object, &first).await?,
            Self::Release => {
                bed.apply(&a, &object, &first).await?;
                bed.apply(&b, &object, &first).await?;
                return Ok(Secrets::from([(first, Expected::of(&[(&a, VALUE), (&b, VALUE)]))]));
            }
        }
        Ok(Secrets::from([(first, Expected::of(&[(&a, VALUE)]))]))
    }

    /// Makes the change, and tells what it comes to.
    pub(crate) async fn change(self, bed: &Bed, n: usize) -> anyhow::Result<Secrets> {
        let (a, b, first) = self.names(n);
        let object = self.object(n);
        match self {
            Self::Create => bed.apply(&a, &object, &first).await?,
            Self::Rotate => {
                let value = format!("value {n}, new");
                bed.set(&object, &value, 2 * n + 1)?;
                return Ok(Secrets::from([(first, Expected::of(&[(&a, &value)]))]));
            }
            Self::Rename => {
                let second = format!("{}second", self.prefix(n));
                bed.apply(&a, &object, &second).await?;
                return Ok(Secrets::from([(second, Expected::of(&[(&a, VALUE)]))]));
            }
            Self::Release => bed.delete(&b).await?,
        }
        Ok(Secrets::from([(first, Expected::of(&[(&a, VALUE)]))]))
    }

    /// The vault object: one for each round, so that its value has not been read already. Rounds from [`MANY`] on share one.
    fn object(self, n: usize) -> String {
        format!("{}object", self.prefix(n.min(MANY)))
    }

    /// Two AKVS and the first output.
    fn names(self, n: usize) -> (String, String, String) {
        let prefix = self.prefix(n);
        (format!("{prefix}a"), format!("{prefix}b"), format!("{prefix}first"))
    }
}
