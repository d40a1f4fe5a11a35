//! Recall and false positives on generated forms, tables and markup. `examples/recall.rs` prints them for more pages.

mod generator;

use generator::{LAYOUTS, NEGATIVES, Random, negative, positive, redactor, reveals, secret};
use quire_tasks::RedactKind;

/// Pages for each kind and layout.
const PAGES: usize = 15;
/// The pages of each sort without a value.
const NEGATIVE_PAGES: usize = 200;

/// Returns the most pages of a sort on which something may be found. The check digit of one order number in ten is
/// valid by chance, and rows of dates and counts may look like a phone number.
fn max_false(kind: &str) -> usize {
    if ["dates", "order ids", "counts"].contains(&kind) { NEGATIVE_PAGES / 16 } else { NEGATIVE_PAGES / 100 }
}

#[test]
fn at_least_99_percent_of_the_values_in_every_layout_are_found() {
    let redactor = redactor();
    let mut random = Random(15);
    for layout in LAYOUTS {
        let (mut found, mut all) = (0, 0);
        let mut missed = None;
        for kind in RedactKind::ALL {
            for _ in 0..PAGES {
                let secret = secret(kind, &mut random);
                let Some(mut page) = positive(layout, &secret, &mut random) else { continue };
                let before = page.clone();
                redactor.redact(&mut page).expect("a short page");
                all += 1;
                if reveals(&page) {
                    missed = Some((kind, before.text(), before.fields, page.text(), page.fields));
                } else {
                    found += 1;
                }
            }
        }
        assert!(found * 100 >= all * 99, "{layout}: {found} of {all}; e.g. {missed:?}");
    }
}

#[test]
fn numbers_of_invoices_and_tables_are_left_alone() {
    let redactor = redactor();
    let mut random = Random(16);
    for kind in NEGATIVES {
        let mut wrong = Vec::new();
        for _ in 0..NEGATIVE_PAGES {
            let before = negative(kind, &mut random);
            let mut page = before.clone();
            redactor.redact(&mut page).expect("a short page");
            if page.redactions.is_some_and(|redactions| !redactions.is_empty()) {
                wrong.push((before.text(), before.fields));
            }
        }
        assert!(wrong.len() <= max_false(kind), "{kind}: {}; e.g. {:?}", wrong.len(), wrong.first());
    }
}

#[test]
fn a_second_redaction_changes_nothing() {
    let redactor = redactor();
    let mut random = Random(17);
    for layout in LAYOUTS {
        for kind in RedactKind::ALL {
            let secret = secret(kind, &mut random);
            let Some(mut page) = positive(layout, &secret, &mut random) else { continue };
            redactor.redact(&mut page).expect("a short page");
            let once = (page.text(), page.fields.clone());
            redactor.redact(&mut page).expect("a short page");
            assert_eq!((page.text(), page.fields), once, "{layout} {kind:?}");
        }
    }
}
