//! What was looked up a moment ago, and not more of it than fits.

use std::{borrow::Borrow, collections::HashMap, hash::Hash, mem};

/// A map that forgets what was put in longest ago. It holds up to twice `half` entries: when the younger half is full, the
/// older one is dropped whole, so that no entry costs a search for another one to give up.
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
    fn it_never_holds_more_than_twice_its_half_and_forgets_the_oldest_first() {
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
    fn what_is_put_again_is_the_newer() {
        let mut seen = LookupCache::new(2);
        for (key, value) in [("a", 1), ("b", 2), ("c", 3), ("a", 4)] {
            seen.insert(key, value);
        }
        assert_eq!(seen.get("a"), Some(4));
    }
}
