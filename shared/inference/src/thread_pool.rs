//! Thread pool for pre- and post-processing: a GPU is faster than one CPU thread can prepare its input.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use ndarray::{ArrayViewMut3, ArrayViewMut4, Axis};
use rayon::{ThreadPool, ThreadPoolBuilder, prelude::*};

/// Pools by size. Readers share a pool, because they share the CPU cores. Weak, so that a pool is dropped with its last
/// user.
static POOLS: Mutex<BTreeMap<usize, Weak<ThreadPool>>> = Mutex::new(BTreeMap::new());

/// A shared thread pool, or the calling thread.
#[derive(Debug, Clone, Default)]
pub struct ProcessingPool(Option<Arc<ThreadPool>>);

impl ProcessingPool {
    /// Returns a pool of `count` threads; 0 means one per CPU core. With `count` 1, or if no thread can be started,
    /// work runs on the calling thread.
    pub fn new(count: usize) -> Self {
        let count = if count == 0 { quire_telemetry::processors() } else { count };
        if count == 1 {
            return Self(None);
        }
        let mut pools = POOLS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pool) = pools.get(&count).and_then(Weak::upgrade) {
            return Self(Some(pool));
        }
        let builder = ThreadPoolBuilder::new().num_threads(count).thread_name(|index| format!("processing {index}"));
        let pool = builder.build().ok().map(Arc::new);
        if let Some(pool) = &pool {
            pools.insert(count, Arc::downgrade(pool));
        }
        Self(pool)
    }

    /// Maps the items in parallel. Returns the results in order.
    pub fn map<T: Sync, R: Send>(&self, items: &[T], work: impl Fn(&T) -> R + Send + Sync) -> Vec<R> {
        match &self.0 {
            None => items.iter().map(work).collect(),
            Some(pool) => pool.install(|| items.par_iter().map(work).collect()),
        }
    }

    /// Calls `work` in parallel with each item and its slice of a batch `[N, C, H, W]`. Slices without an item are
    /// filled with 0.
    pub fn draw<T: Sync>(
        &self,
        items: &[T],
        mut input: ArrayViewMut4<'_, f32>,
        work: impl Fn(&T, ArrayViewMut3<'_, f32>) + Send + Sync,
    ) {
        let draw = |(index, mut place): (usize, ArrayViewMut3<'_, f32>)| match items.get(index) {
            Some(item) => work(item, place),
            None => place.fill(0.0),
        };
        match &self.0 {
            None => input.axis_iter_mut(Axis(0)).enumerate().for_each(draw),
            Some(pool) => {
                let places: Vec<_> = input.axis_iter_mut(Axis(0)).enumerate().collect();
                pool.install(|| places.into_par_iter().for_each(draw));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, sync::Barrier, thread};

    use ndarray::Array4;

    use super::*;

    #[test]
    fn one_thread_is_the_calling_thread() {
        let threads = ProcessingPool::new(1).map(&[(); 8], |()| thread::current().id());
        assert!(threads.into_iter().all(|id| id == thread::current().id()));
    }

    #[test]
    fn several_threads_work_concurrently_and_keep_the_order() {
        let hands = ProcessingPool::new(3);
        // The barrier opens only when all three threads have reached it.
        let barrier = Barrier::new(3);
        let threads = hands.map(&[0, 1, 2], |index| {
            barrier.wait();
            (*index, thread::current().id())
        });
        assert_eq!(threads.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(threads.iter().map(|(_, id)| id).collect::<HashSet<_>>().len(), 3);
    }

    #[test]
    fn pools_of_one_size_are_shared() {
        let hands = [ProcessingPool::new(5), ProcessingPool::new(5)];
        let [ProcessingPool(Some(first)), ProcessingPool(Some(second))] = &hands else {
            panic!("five hands are a pool")
        };
        assert!(Arc::ptr_eq(first, second));
    }

    #[test]
    fn places_without_an_item_are_zeroed() {
        for hands in [ProcessingPool::new(1), ProcessingPool::new(2)] {
            let mut input = Array4::from_elem((3, 1, 2, 2), 7.0);
            hands.draw(&[1.0, 2.0], input.view_mut(), |item, mut place| place.fill(*item));
            let sums: Vec<f32> = input.outer_iter().map(|place| place.sum()).collect();
            assert_eq!(sums, [4.0, 8.0, 0.0]);
        }
    }
}
