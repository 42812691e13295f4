//! Which node this process is, among those that share a store: a name that it keeps over restarts, in a file of its own.
//!
//! Of two processes one has the file's lock. So what is claimed under this name and not worked on here was left by a process
//! that has ended, and is taken up at once; other nodes wait until the claim has ended ([`domain::claim`]).

use anyhow::{Context, bail};
use domain::ids::NodeId;
use std::path::{Path, PathBuf};
use uuid::Uuid;

use crate::clock;
use crate::lease::Lease;

/// The most processes that keep their files in one place.
const PROCESSES_MAX: u32 = 64;

/// See the module's head.
pub(crate) struct Node {
    id: NodeId,
    /// Held for as long as the name is used.
    _lock: Lease,
}

impl Node {
    /// The first name that no other process has; `file` says where each is kept.
    pub(crate) fn open(file: impl Fn(u32) -> PathBuf) -> anyhow::Result<Self> {
        for count in 1..=PROCESSES_MAX {
            let path = file(count);
            let taken = Lease::take(&path).with_context(|| path.display().to_string())?;
            if let Some(lock) = taken {
                let id = named(&path).with_context(|| path.display().to_string())?;
                return Ok(Self { id, _lock: lock });
            }
        }
        bail!(
            "more than {PROCESSES_MAX} processes keep their files at {}; give each --data",
            file(1).display()
        )
    }

    pub(crate) fn id(&self) -> NodeId {
        self.id
    }
}

/// The name in a file; a new one where there is none.
fn named(path: &Path) -> std::io::Result<NodeId> {
    let text = std::fs::read(path)?;
    if let Some(id) = std::str::from_utf8(&text).ok().and_then(|text| NodeId::parse(text.trim())) {
        return Ok(id);
    }
    // Should it be lost with the machine's power, what the last process was at waits for the end of its claims.
    let id = NodeId(Uuid::from_bytes(clock::random()));
    std::fs::write(path, format!("{id}\n"))?;
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_kept_and_one_processs_at_a_time() {
        let folder = std::env::temp_dir().join(format!("trunkline-node-{:x}", clock::process_number()));
        std::fs::create_dir(&folder).unwrap();
        let open = || Node::open(|count| folder.join(format!("a.node{count}"))).unwrap();
        let (first, second) = (open(), open());
        let (one, two) = (first.id(), second.id());
        assert_ne!(one, two);
        drop(first);
        assert_eq!(open().id(), one, "the next process of the same node");
        drop(second);
        // A file that was cut off gives a new name.
        std::fs::write(folder.join("a.node1"), "0197").unwrap();
        let anew = open();
        assert!(![one, two].contains(&anew.id()));
        assert_eq!(open().id(), two);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
