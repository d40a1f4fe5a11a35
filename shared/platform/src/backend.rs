//! One of each part, and which queue is which.

use std::sync::Arc;

use crate::{ObjectStore, Queue, QueueName, RecordStore, SecretStore, TaskTable};

/// A place where Quire runs. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Backend {
    /// Documents and results.
    pub objects: Arc<dyn ObjectStore>,
    /// The task table.
    pub tasks: Arc<dyn TaskTable>,
    /// Secrets.
    pub secrets: Arc<dyn SecretStore>,
    /// What operators and workers write down.
    pub records: Arc<dyn RecordStore>,
    queues: Arc<[Arc<dyn Queue>; QueueName::ALL.len()]>,
}

impl Backend {
    /// A backend of these parts; `queue` makes the queue with a name.
    pub fn new(
        objects: Arc<dyn ObjectStore>,
        tasks: Arc<dyn TaskTable>,
        secrets: Arc<dyn SecretStore>,
        records: Arc<dyn RecordStore>,
        queue: impl FnMut(QueueName) -> Arc<dyn Queue>,
    ) -> Self {
        Self { objects, tasks, secrets, records, queues: Arc::new(QueueName::ALL.map(queue)) }
    }

    /// The queue with a name.
    pub fn queue(&self, name: QueueName) -> Arc<dyn Queue> {
        Arc::clone(&self.queues[name as usize])
    }
}
