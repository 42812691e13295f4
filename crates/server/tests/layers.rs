//! The arrows of ARCHITECTURE.md, compared with what cargo says. A new arrow is a decision: change both, or neither.

use std::collections::BTreeSet;
use std::process::Command;

#[test]
fn crates_depend_only_along_the_arrows() {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .output()
        .expect("cargo runs");
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("cargo prints JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    let ours: BTreeSet<&str> = packages.iter().filter_map(|p| p["name"].as_str()).collect();
    let mut arrows = BTreeSet::new();
    for package in packages {
        for dependency in package["dependencies"].as_array().expect("dependencies") {
            let (from, to) = (package["name"].as_str().unwrap(), dependency["name"].as_str().unwrap());
            if ours.contains(to) && dependency["kind"].is_null() {
                arrows.insert(format!("{from} -> {to}"));
            }
        }
    }
    let drawn = [
        "carriers -> domain",
        "dialects -> domain",
        "server -> carriers",
        "server -> dialects",
        "server -> domain",
        "server -> sip",
        "server -> store",
        "store -> domain",
    ];
    assert_eq!(arrows, drawn.map(str::to_owned).into());
}

#[test]
fn pure_crates_bring_no_runtime_and_nobody_brings_openssl() {
    let tree = |package: &str| {
        let output = Command::new(env!("CARGO"))
            .args(["tree", "--offline", "--edges", "normal", "--prefix", "none", "--package", package])
            .output()
            .expect("cargo runs");
        String::from_utf8(output.stdout).expect("cargo prints text")
    };
    for pure in ["domain", "dialects", "carriers", "sip"] {
        let tree = tree(pure);
        assert!(tree.starts_with(pure), "{pure}: no tree");
        for runtime in ["tokio", "hyper", "axum", "rusqlite", "socket2", "getrandom"] {
            assert!(
                !tree.lines().any(|line| line.starts_with(&format!("{runtime} "))),
                "{pure} brings {runtime}"
            );
        }
    }
    let lock = include_str!("../../../Cargo.lock");
    // `openssl-probe` only looks where a machine keeps its certificates.
    for name in ["openssl", "openssl-sys", "native-tls"] {
        assert!(!lock.contains(&format!("name = \"{name}\"")), "{name} came in");
    }
}
