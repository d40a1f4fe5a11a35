//! File names that clients send.

use crate::limits::MAX_FILE_NAME_CHARS;

/// Returns the last component of a Unix or Windows path, without control characters and truncated.
///
/// For example, `C:\scans\a.pdf` becomes `a.pdf`.
pub(crate) fn sanitize_file_name(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    last.chars().filter(|c| !c.is_control()).take(MAX_FILE_NAME_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_has_no_folders_and_no_control_characters() {
        assert_eq!(sanitize_file_name("C:\\scans\\發票.pdf"), "發票.pdf");
        assert_eq!(sanitize_file_name("../../etc/pass\nwd"), "passwd");
        assert_eq!(sanitize_file_name(&"x".repeat(400)).len(), MAX_FILE_NAME_CHARS);
    }
}
