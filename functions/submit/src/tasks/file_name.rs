//! The names of documents, as their senders gave them.

use crate::limits::MAX_FILE_NAME_CHARS;

/// The last part of a path in either notation, without control characters.
pub(crate) fn plain_name(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    last.chars().filter(|c| !c.is_control()).take(MAX_FILE_NAME_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_keeps_no_folders_and_no_control_characters() {
        assert_eq!(plain_name("C:\\scans\\發票.pdf"), "發票.pdf");
        assert_eq!(plain_name("../../etc/pass\nwd"), "passwd");
        assert_eq!(plain_name(&"x".repeat(400)).len(), MAX_FILE_NAME_CHARS);
    }
}
