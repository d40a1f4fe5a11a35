//! Mutations of PDFs: `FUZZ_INPUTS=10000 cargo test -p quire-sandbox --test it -- --ignored --nocapture fuzz`.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use quire_sandbox::{Sandbox, SandboxError, SandboxLimits};

use crate::{bombs, sample, sandbox};

/// The samples, and the fixtures of other crates.
fn seeds() -> Vec<Vec<u8>> {
    let fixtures = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../document/tests/fixtures");
    let fixtures = fs::read_dir(fixtures).expect("the fixtures are there").flatten().map(|entry| entry.path());
    let files = fixtures.chain(["invoice.pdf", "scan.tiff", "receipt.png", "letter.jpg"].map(sample));
    let mut seeds: Vec<_> =
        files.filter_map(|file| fs::read(file).ok()).filter(|bytes| bytes.len() < 300_000).collect();
    seeds.extend([bombs::tiny_tiles(), bombs::recursive_font(), bombs::huge_jbig2(), bombs::many_shadings()]);
    seeds
}

/// A small generator of pseudo-random numbers (xorshift64), so that a run can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end.max(1) as u64) as usize
    }
}

/// Changes, removes, repeats or swaps some bytes, or replaces a number by a large one.
fn mutate(random: &mut Random, seed: &[u8]) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..=random.below(8) {
        let at = random.below(bytes.len());
        let end = (at + random.below(64)).min(bytes.len());
        match random.below(6) {
            0 => bytes[at] = random.below(256) as u8,
            1 => drop(bytes.drain(at..end)),
            2 => {
                let part = bytes[at..end].to_vec();
                bytes.splice(at..at, part);
            }
            3 => {
                let other = random.below(bytes.len());
                bytes.swap(at, other);
            }
            4 => {
                if let Some(digit) = bytes[at..].iter().position(u8::is_ascii_digit) {
                    bytes.splice(at + digit..=at + digit, *b"99999999");
                }
            }
            _ => bytes.truncate(at.max(bytes.len() / 2)),
        }
        if bytes.is_empty() {
            bytes.push(b'%');
        }
    }
    bytes
}

async fn outcome(sandbox: &Sandbox, file: &Path) -> String {
    let outcome = match sandbox.inspect(file).await {
        Ok(_) => sandbox.page(file, 1).await.map(drop),
        Err(error) => Err(error),
    };
    match outcome {
        Ok(()) => "rendered".to_owned(),
        Err(SandboxError::Document(failure)) if failure.message.contains("crashed") => {
            format!("{} (crashed)", failure.code.as_str())
        }
        Err(SandboxError::Document(failure)) => failure.code.as_str().to_owned(),
        Err(SandboxError::Infrastructure { reason, .. }) => reason,
    }
}

#[tokio::test]
#[ignore = "a measurement: takes minutes"]
async fn fuzz() {
    let inputs = std::env::var("FUZZ_INPUTS").map_or(1000, |inputs| inputs.parse().expect("a number"));
    let folder = tempfile::tempdir().expect("a folder");
    let limits = SandboxLimits { page: Duration::from_secs(5), ..SandboxLimits::default() };
    let (sandbox, seeds) = (sandbox(limits), seeds());
    let (mut random, mut outcomes, mut slowest) = (Random(0x2545_f491_4f6c_dd1d), BTreeMap::new(), Duration::ZERO);
    let started = Instant::now();
    for number in 0..inputs {
        let file = folder.path().join(format!("{number}.pdf"));
        let seed = random.below(seeds.len());
        let bytes = mutate(&mut random, &seeds[seed]);
        fs::write(&file, bytes).expect("written");
        let began = Instant::now();
        *outcomes.entry(outcome(&sandbox, &file).await).or_insert(0_u32) += 1;
        slowest = slowest.max(began.elapsed());
        fs::remove_file(&file).expect("removed");
    }
    let took = started.elapsed();
    eprintln!("{inputs} inputs in {took:.0?}, the slowest in {slowest:.1?}; {outcomes:#?}");
    assert!(sandbox.page(&sample("invoice.pdf"), 1).await.is_ok(), "the sandbox still works");
}
