//! Mutations of the samples, of fixtures and of hostile documents.

use std::{fs, path::Path};

use crate::bombs;

/// Returns what is mutated: the samples, the fixtures of the decoders, and small hostile documents.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let fixtures = root.join("shared/document/tests/fixtures");
    let fixtures = fs::read_dir(fixtures).expect("the fixtures are there").flatten().map(|entry| entry.path());
    let files = fixtures
        .chain(["invoice.pdf", "scan.tiff", "receipt.png", "letter.jpg"].map(|name| root.join("samples").join(name)));
    let mut seeds: Vec<_> =
        files.filter_map(|file| fs::read(file).ok()).filter(|bytes| bytes.len() < 300_000).collect();
    seeds.extend([bombs::tiny_tiles(), bombs::recursive_font(), bombs::huge_jbig2(), bombs::many_shadings()]);
    seeds
}

/// A small generator of pseudo-random numbers (xorshift64), so that a run can be repeated.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end.max(1) as u64) as usize
    }
}

/// Changes, removes, repeats or swaps some bytes, or replaces a number by a large one.
pub(crate) fn mutate(random: &mut Random, seed: &[u8]) -> Vec<u8> {
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
