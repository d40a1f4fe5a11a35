//! A bounded cache of lookups.

use std::{borrow::Borrow, collections::HashMap, hash::Hash, mem};

/// A map of at most `2 * half` entries that evicts the oldest. It has two generations: when the younger one is full,
/// the older one is dropped as a whole, so that eviction needs no search and no list.
#[derive(Debug)]
pub(crate) struct LookupCache<K, V> {
    half: usize,
    younger: HashMap<K, V>,
    older: HashMap<K, V>,
}

impl<K: Hash + Eq, V: Clone> LookupCache<K, V> {
    pub(crate) fn new(half: usize) -> Self {
        Self { half, younger: HashMap::new(), older: HashMap::new() }
    }

    pub(crate) fn get<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        self.younger.get(key).or_else(|| self.older.get(key)).cloned()
    }

    pub(crate) fn insert(&mut self, key: K, value: V) {
        if self.younger.len() >= self.half && !self.younger.contains_key(&key) {
            self.older = mem::take(&mut self.younger);
        }
        self.younger.insert(key, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_bounded_and_evicts_the_oldest() {
        let mut seen = LookupCache::new(3);
        for number in 0..100_u32 {
            seen.insert(number, number);
            assert!(seen.younger.len() + seen.older.len() <= 6);
            assert_eq!(seen.get(&number), Some(number));
            assert_eq!(seen.get(&number.saturating_sub(2)), Some(number.saturating_sub(2)));
        }
        assert_eq!(seen.get(&10), None);
    }

    #[test]
    fn a_repeated_insert_is_newer() {
        let mut seen = LookupCache::new(2);
        for (key, value) in [("a", 1), ("b", 2), ("c", 3), ("a", 4)] {
            seen.insert(key, value);
        }
        assert_eq!(seen.get("a"), Some(4));
    }
}
