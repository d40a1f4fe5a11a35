//! One handle for each port.

use std::sync::Arc;

use crate::{ObjectStore, Queue, QueueName, RecordStore, SecretStore, TaskTable};

/// The handles to a backend. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Backend {
    /// The object store: documents and results.
    pub objects: Arc<dyn ObjectStore>,
    /// The task table.
    pub tasks: Arc<dyn TaskTable>,
    /// Secrets.
    pub secrets: Arc<dyn SecretStore>,
    /// The record store: small JSON values of operators, workers and the API.
    pub records: Arc<dyn RecordStore>,
    queues: Arc<[Arc<dyn Queue>; QueueName::ALL.len()]>,
}

impl Backend {
    /// Creates a backend from its parts; `queue` returns the queue with a name.
    pub fn new(
        objects: Arc<dyn ObjectStore>,
        tasks: Arc<dyn TaskTable>,
        secrets: Arc<dyn SecretStore>,
        records: Arc<dyn RecordStore>,
        queue: impl FnMut(QueueName) -> Arc<dyn Queue>,
    ) -> Self {
        Self { objects, tasks, secrets, records, queues: Arc::new(QueueName::ALL.map(queue)) }
    }

    /// Returns the queue with a name.
    pub fn queue(&self, name: QueueName) -> Arc<dyn Queue> {
        Arc::clone(&self.queues[name as usize])
    }
}
