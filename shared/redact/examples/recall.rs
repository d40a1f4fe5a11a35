//! Prints the recall of every kind in every layout, and the false positives, on generated pages. Argument: pages for
//! each kind and layout.

#[path = "../tests/corpus/generator.rs"]
mod generator;

use generator::{LAYOUTS, NEGATIVES, Random, negative, positive, redactor, reveals, secret};
use quire_tasks::RedactKind;

#[expect(clippy::print_stdout, reason = "this is the report")]
fn main() {
    let pages: usize = std::env::args().nth(1).and_then(|count| count.parse().ok()).unwrap_or(200);
    let redactor = redactor();
    let mut random = Random(1);
    println!("| layout | {} |", RedactKind::ALL.map(RedactKind::as_str).join(" | "));
    println!("| --- |{}", " --- |".repeat(RedactKind::ALL.len()));
    for layout in LAYOUTS {
        let mut row = Vec::new();
        for kind in RedactKind::ALL {
            let (mut found, mut all) = (0, 0);
            for _ in 0..pages {
                let secret = secret(kind, &mut random);
                let Some(mut page) = positive(layout, &secret, &mut random) else { continue };
                let redacted = redactor.redact(&mut page).is_ok();
                all += 1;
                found += usize::from(redacted && !reveals(&page));
            }
            row.push(if all == 0 {
                "–".to_owned()
            } else {
                format!("{:.3}", f64::from(found as u32) / f64::from(all as u32))
            });
        }
        println!("| {layout} | {} |", row.join(" | "));
    }
    println!("\n| without a value | pages | pages with a false positive |\n| --- | --- | --- |");
    for kind in NEGATIVES {
        let all = pages * 5;
        let is_wrong = |_: &usize| {
            let mut page = negative(kind, &mut random);
            redactor.redact(&mut page).is_err() || page.redactions.is_some_and(|redactions| !redactions.is_empty())
        };
        println!("| {kind} | {all} | {} |", (0..all).filter(is_wrong).count());
    }
}
