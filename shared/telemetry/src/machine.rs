//! The machine and its threads.

use std::{any::Any, num::NonZero, thread};

/// Returns the number of processors that this process may use. Default, if unknown: 1.
pub fn processors() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get)
}

/// Returns the message of a panic that was caught, e.g. by `std::panic::catch_unwind`.
pub fn panic_message(panic: &(dyn Any + Send)) -> &str {
    if let Some(text) = panic.downcast_ref::<&str>() {
        return text;
    }
    panic.downcast_ref::<String>().map_or("unknown reason", String::as_str)
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    use super::*;

    #[test]
    fn a_panic_has_its_message() {
        let literal = catch_unwind(|| panic!("out of range")).expect_err("it panics");
        assert_eq!(panic_message(&*literal), "out of range");
        let formatted = catch_unwind(|| panic!("out of range: {}", 1)).expect_err("it panics");
        assert_eq!(panic_message(&*formatted), "out of range: 1");
        assert_eq!(panic_message(&7_u8), "unknown reason");
    }
}
