//! The new numbers of objects.

use std::collections::{HashMap, VecDeque};

use hayro_syntax::object::ObjectIdentifier;

use super::{body::Body, syntax::Numbers};

/// The new numbers of objects, those that are still to be copied, and those that are.
pub(super) struct Numbering {
    pub(super) numbers: HashMap<ObjectIdentifier, u32>,
    pub(super) queue: VecDeque<(ObjectIdentifier, u32)>,
    pub(super) body: Body,
}

impl Numbering {
    pub(super) fn new(first: u32, max_bytes: usize) -> Self {
        Self { numbers: HashMap::new(), queue: VecDeque::new(), body: Body::new(first, max_bytes) }
    }

    pub(super) fn add_page(&mut self, id: Option<ObjectIdentifier>) -> u32 {
        let number = self.body.new_number();
        if let Some(id) = id {
            self.numbers.entry(id).or_insert(number);
        }
        number
    }
}

impl Numbers for Numbering {
    fn number(&mut self, id: ObjectIdentifier) -> u32 {
        if let Some(number) = self.numbers.get(&id) {
            return *number;
        }
        let number = self.body.new_number();
        self.numbers.insert(id, number);
        self.queue.push_back((id, number));
        number
    }
}
