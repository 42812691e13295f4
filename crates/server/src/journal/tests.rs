use super::*;
use domain::call::{Ended, EndedBy, FactKind};
use domain::ids::{CallId, OrganizationId};
use uuid::Uuid;

fn fact(n: u128) -> Fact {
    Fact {
        organization_id: OrganizationId(Uuid::from_u128(7)),
        call_id: CallId(Uuid::from_u128(n)),
        at: crate::clock::moment(),
        kind: FactKind::Ended(Ended { by: EndedBy::Caller, reason: Some("Q.850;cause=16".to_owned()) }),
    }
}

fn folder(name: &str) -> PathBuf {
    let folder =
        std::env::temp_dir().join(format!("trunkline-journal-{name}-{:x}", crate::clock::process_number()));
    if folder.exists() {
        std::fs::remove_dir_all(&folder).unwrap();
    }
    folder
}

fn calls(journal: &Journal) -> Vec<u128> {
    let mut calls = Vec::new();
    while let Some(batch) = journal.take(1_000).unwrap() {
        calls.extend(batch.facts.iter().map(|fact| fact.call_id.0.as_u128()));
        journal.ack(batch.upto);
    }
    calls
}

/// As `kill -9` leaves it: no destructor ran, but the lock is gone with the process.
fn killed(journal: Journal) {
    drop(journal);
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn what_was_appended_is_there_after_a_kill_until_it_is_acknowledged() {
    let folder = folder("kill");
    let journal = Journal::open(&folder, 1 << 20).unwrap();
    journal.append(&mut vec![fact(1), fact(2)]);
    journal.append(&mut vec![fact(3)]);
    let batch = journal.take(2).unwrap().unwrap();
    journal.ack(batch.upto);
    killed(journal);
    // The first two are in the same file and come again: the store knows them.
    for _ in 0..2 {
        let journal = Journal::open(&folder, 1 << 20).unwrap();
        let first = journal.take(1_000).unwrap().unwrap();
        assert_eq!(first.facts.len(), 3);
        killed(journal);
    }
    let journal = Journal::open(&folder, 1 << 20).unwrap();
    assert_eq!(calls(&journal), [1, 2, 3]);
    journal.append(&mut vec![fact(4)]);
    assert_eq!(calls(&journal), [4]);
    journal.close();
    assert_eq!(files(&folder), Vec::<PathBuf>::new());
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_torn_tail_costs_only_the_torn_fact() {
    let folder = folder("torn");
    let journal = Journal::open(&folder, 1 << 20).unwrap();
    journal.append(&mut vec![fact(1)]);
    journal.append(&mut vec![fact(2)]);
    killed(journal);
    let [path] = files(&folder).try_into().unwrap();
    let length = std::fs::metadata(&path).unwrap().len();
    std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(length - 3).unwrap();
    let journal = Journal::open(&folder, 1 << 20).unwrap();
    journal.append(&mut vec![fact(3)]);
    assert_eq!(calls(&journal), [1, 3]);
    assert_eq!(files(&folder).len(), 1, "the torn file is acknowledged and gone");
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn more_than_the_queue_holds_is_read_back_in_order() {
    let folder = folder("overflow");
    let journal = Journal::open(&folder, 1 << 30).unwrap();
    let count = QUEUE_MAX as u128 + 500;
    for n in 0..count {
        journal.append(&mut vec![fact(n)]);
    }
    let first = journal.take(100).unwrap().unwrap();
    journal.ack(first.upto);
    // There is room in the queue again, behind a gap.
    journal.append(&mut vec![fact(count)]);
    assert!(calls(&journal).into_iter().eq(100..=count));
    assert_eq!(journal.waiting(), 0);
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_batch_that_the_store_refused_is_taken_again() {
    let folder = folder("again");
    let journal = Journal::open(&folder, 1 << 20).unwrap();
    journal.append(&mut vec![fact(1), fact(2)]);
    drop(journal.take(1_000).unwrap().unwrap());
    journal.append(&mut vec![fact(3)]);
    assert_eq!(calls(&journal), [1, 2, 3]);
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn segments_end_and_go() {
    let folder = folder("segments");
    let journal = Journal::open(&folder, 1 << 30).unwrap();
    let many = || (0..500).map(fact).collect::<Vec<_>>();
    while files(&folder).len() < 3 {
        journal.append(&mut many());
    }
    journal.sync();
    let taken = calls(&journal);
    assert_eq!(taken.len() % 500, 0);
    assert_eq!(files(&folder).len(), 1);
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_journal_that_the_store_does_not_empty_says_that_it_is_full() {
    let folder = folder("full");
    let journal = Journal::open(&folder, 10_000).unwrap();
    while !journal.full() {
        journal.append(&mut vec![fact(1)]);
    }
    assert!((9_000..10_000).contains(&journal.waiting()));
    journal.append(&mut vec![fact(2)]);
    calls(&journal);
    assert!(!journal.full());
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_living_process_keeps_its_segment() {
    let folder = folder("two");
    let old = Journal::open(&folder, 1 << 20).unwrap();
    old.append(&mut vec![fact(1)]);
    let new = Journal::open(&folder, 1 << 20).unwrap();
    new.append(&mut vec![fact(2)]);
    assert_eq!((calls(&new), calls(&old)), (vec![2], vec![1]));
    std::fs::remove_dir_all(folder).unwrap();
}
