//! Copies what a page's dictionary contains.

use hayro_syntax::{
    content::UntypedIter,
    object::{Array, Dict, MaybeRef, Object, Stream},
    page::Page,
};

use super::{
    fault::CopyFault,
    numbering::Numbering,
    pdf_copy::CopiedPage,
    syntax::{self, Numbers},
};

/// The attributes of a page that its parents may have (ISO 32000-1, 7.7.3.4), except resources.
const INHERITED: [&[u8]; 3] = [b"MediaBox", b"CropBox", b"Rotate"];
/// The most parents of a page.
const MAX_PARENTS: usize = 64;
/// The most graphics states that the contents of a page may leave behind.
const MAX_STATES: i64 = 10_000;
/// The largest number in the names of fonts: each making of a searchable PDF of one takes another one.
const MAX_PREFIX: u32 = 100_000;
/// The bytes of a page's contents up to which their operators are examined.
const MAX_CONTENT: usize = 64 << 20;

/// Copies the entries of a page. The objects to which they refer are queued.
pub(super) fn copy_page(page: &Page<'_>, number: u32, numbers: &mut Numbering) -> Result<CopiedPage, CopyFault> {
    let dict = page.raw();
    let mut entries = Vec::new();
    let omitted: [&[u8]; 4] = [b"Type", b"Parent", b"Contents", b"Resources"];
    syntax::write_entries(&mut entries, dict, numbers, 0, |key| omitted.contains(&key))?;
    for key in INHERITED {
        if !dict.contains_key(key)
            && let Some(value) = inherited(dict, |parent| parent.get_raw::<Object<'_>>(key))
        {
            syntax::write_entry(&mut entries, key, &value, numbers, 0)?;
        }
    }
    let own = dict.get::<Dict<'_>>("Resources");
    let resources = own.or_else(|| inherited(dict, |parent| parent.get::<Dict<'_>>("Resources"))).unwrap_or_default();
    let font_dict = resources.get::<Dict<'_>>("Font").unwrap_or_default();
    let (mut others, mut fonts) = (Vec::new(), Vec::new());
    syntax::write_entries(&mut others, &resources, numbers, 0, |key| key == b"Font")?;
    syntax::write_entries(&mut fonts, &font_dict, numbers, 0, |_| false)?;
    let (contents, streams) = contents(dict, numbers);
    let (saves, closing) = balance(&decoded(&streams))?;
    let [entries, resources, fonts] = [entries, others, fonts].map(|bytes| numbers.body.keep(&bytes));
    let font_prefix = font_prefix(&font_dict);
    Ok(CopiedPage { number, entries, resources, fonts, font_prefix, contents, saves, closing })
}

/// Returns the value that the nearest parent has.
fn inherited<'a, T>(dict: &Dict<'a>, value: impl Fn(&Dict<'a>) -> Option<T>) -> Option<T> {
    let mut parent = dict.get::<Dict<'a>>("Parent")?;
    for _ in 0..MAX_PARENTS {
        if let Some(found) = value(&parent) {
            return Some(found);
        }
        parent = parent.get::<Dict<'a>>("Parent")?;
    }
    None
}

/// Returns the smallest number with which no name of a font begins after `Quire`.
fn font_prefix(fonts: &Dict<'_>) -> u32 {
    let is_free = |prefix: &u32| {
        let name = format!("Quire{prefix}");
        !fonts.keys().any(|key| key.as_ref().starts_with(name.as_bytes()))
    };
    (0..=MAX_PREFIX).find(is_free).unwrap_or(MAX_PREFIX)
}

/// Returns the new numbers of a page's content streams, and the streams.
fn contents<'a>(page: &Dict<'a>, numbers: &mut Numbering) -> (Vec<u32>, Vec<Stream<'a>>) {
    let Some(entry) = page.get_raw::<Object<'a>>("Contents") else { return Default::default() };
    if let (Some(stream), MaybeRef::Ref(id)) = (page.get::<Stream<'a>>("Contents"), &entry) {
        return (vec![numbers.number((*id).into())], vec![stream]);
    }
    let array = page.get::<Array<'a>>("Contents");
    let Some(array) = array else { return Default::default() };
    let ids = array.raw_iter().filter_map(|item| item.as_obj_ref());
    (ids.map(|id| numbers.number(id.into())).collect(), array.iter::<Stream<'a>>().collect())
}

/// Returns the decoded contents, up to the limit; what cannot be decoded is left out.
fn decoded(streams: &[Stream<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for stream in streams {
        if bytes.len() > MAX_CONTENT {
            break;
        }
        if let Ok(decoded) = stream.decoded_data() {
            bytes.extend_from_slice(&decoded);
            bytes.push(b'\n');
        }
    }
    bytes
}

/// Returns how many graphics states are to be saved before contents, and what is to be written after them, so that the
/// graphics state is then that of an empty page.
fn balance(contents: &[u8]) -> Result<(u32, String), CopyFault> {
    let (mut depth, mut lowest, mut marks, mut is_text) = (0_i64, 0_i64, 0_u32, false);
    let mut operators = UntypedIter::new(contents);
    while let Some(instruction) = operators.next() {
        let operator: &[u8] = instruction.operator;
        match operator {
            b"q" => depth += 1,
            b"Q" => {
                depth -= 1;
                lowest = lowest.min(depth);
            }
            b"BMC" | b"BDC" => marks += 1,
            b"EMC" => marks = marks.saturating_sub(1),
            b"BT" => is_text = true,
            b"ET" => is_text = false,
            _ => {}
        }
    }
    let saves = 1 - lowest;
    let restores = depth + saves;
    if saves.max(restores).max(i64::from(marks)) > MAX_STATES {
        return Err(CopyFault::Complex);
    }
    let text_end = if is_text { "ET\n" } else { "" };
    let (marks_end, states_end) = ("EMC\n".repeat(marks as usize), "Q\n".repeat(restores as usize));
    Ok((saves as u32, format!("{text_end}{marks_end}{states_end}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_are_balanced() {
        for (contents, saves, closing) in [
            ("", 1, "Q\n"),
            ("q 1 0 0 1 5 5 cm q Q Q", 1, "Q\n"),
            ("q q 2 0 0 2 0 0 cm", 1, "Q\nQ\nQ\n"),
            ("Q Q 2 0 0 2 0 0 cm q", 3, "Q\nQ\n"),
            ("/OC /Layer BDC BT (Q) Tj", 1, "ET\nEMC\nQ\n"),
        ] {
            assert_eq!(balance(contents.as_bytes()), Ok((saves, closing.to_owned())), "{contents}");
        }
        assert_eq!(balance(&b"q ".repeat(20_000)), Err(CopyFault::Complex));
    }
}
