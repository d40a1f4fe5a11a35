//! The conformance suite: what every backend guarantees, as tests against the traits.
//!
//! A test is a function that takes a [`Backend`] and panics if the guarantee does not hold. [`conformance_tests`] makes
//! a `#[tokio::test]` of each. The backend's queues must have the visibility timeout [`LEASE`], so that tests take
//! seconds, and [`MAX_RECEIVES`]. Tasks, keys and messages have unique names, so that a backend can be reused; but
//! tests that run at the same time must not share its queues.
//!
//! Nothing is assumed beyond what the traits document: no strict order, nothing faster than a second.
#![expect(clippy::missing_panics_doc, reason = "a failed conformance test panics")]

use std::time::Duration;

use crate::{Backend, QueueName, QueueSettings};

pub mod canceled;
pub mod consumers;
pub mod corrections;
pub mod engine_statuses;
pub mod lists;
pub mod objects;
pub mod purges;
pub mod queues;
pub mod records;
pub mod secrets;
pub mod tasks;

/// Fairness between the tenants of a queue.
pub mod fairness {
    pub use super::queues::groups_are_served_fairly;
}

/// The visibility timeout of a tested backend's queues.
pub const LEASE: Duration = Duration::from_secs(2);
/// The maximum receive count of a tested backend's queues.
pub const MAX_RECEIVES: u32 = 3;
/// The timeout of everything that must happen.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Longer than anything takes to become visible.
const SETTLE_TIME: Duration = Duration::from_secs(1);

/// Returns the queue settings of a tested backend.
pub const fn settings(name: QueueName) -> QueueSettings {
    let max_receives = if name.dead_letter_queue().is_some() { MAX_RECEIVES } else { u32::MAX };
    QueueSettings { lease: LEASE, max_receives }
}

/// Makes a `#[tokio::test]` of every conformance test. `$open` is an async function that returns a [`Backend`], opened
/// with [`settings`], and a guard that lives as long as the test. `$open except fairness` skips the tests of fair
/// queuing, for an emulator whose queues are first-in-first-out.
#[macro_export]
macro_rules! conformance_tests {
    ($open:ident) => {
        $crate::conformance_tests! { $open except fairness }
        $crate::conformance_tests! { $open => fairness:
            groups_are_served_fairly
        }
    };
    ($open:ident except fairness) => {
        $crate::conformance_tests! { $open => objects:
            an_object_that_was_put_is_read_back
            a_second_put_replaces_the_first
            put_new_writes_once
            one_of_many_concurrent_put_new_calls_succeeds
            a_file_becomes_an_object
            an_object_can_be_read_as_a_file
            a_download_is_complete_or_refused_by_size
            a_list_is_sorted_and_filtered_by_prefix
            a_deleted_object_does_not_exist
            missing_things_are_not_found
            all_keys_with_a_prefix_are_erased
            an_empty_prefix_erases_nothing
        }
        $crate::conformance_tests! { $open => purges:
            a_purge_deletes_everything_of_a_task
            a_task_without_objects_is_purged
            an_interrupted_purge_is_completed_by_the_next
        }
        $crate::conformance_tests! { $open => queues:
            a_message_is_received_once_and_deleted_when_acknowledged
            batches_over_ten_are_sent_received_and_acknowledged
            messages_too_large_for_one_call_are_all_sent
            a_message_is_received_again_after_its_visibility_timeout
            an_extended_lease_keeps_its_message
            a_lost_lease_is_reported_when_it_is_extended
            a_stale_receipt_changes_nothing
            a_delayed_message_is_received_after_its_delay
            a_released_message_is_received_again_after_its_delay
            a_message_received_too_often_goes_to_the_dead_letter_queue
            a_message_is_dead_lettered_with_its_reason
            a_message_keeps_its_trace
            a_waiting_receive_wakes_up_for_a_message
            an_empty_receive_returns_after_its_wait
            depth_counts_ready_leased_and_delayed_messages
        }
        $crate::conformance_tests! { $open => tasks:
            a_task_is_created_once
            a_task_reads_back_with_its_pages
            pages_are_listed_in_batches_of_any_size
            a_task_without_a_readable_document_has_ended_at_once
            missing_things_are_not_found
            a_pending_document_is_finished_once
            a_document_that_fails_may_end_its_task
            a_page_ends_once
            an_outcome_of_another_round_changes_nothing
            one_of_many_concurrent_completions_succeeds
            a_callback_is_updated_in_its_round_only
            a_failed_page_is_reopened
            only_failed_pages_of_an_ended_task_are_reopened
            an_undispatched_task_is_found_until_it_is_dispatched
            a_reopened_task_is_undispatched
            waiting_for_a_change_returns_after_it
            waiting_for_a_change_times_out
        }
        $crate::conformance_tests! { $open => canceled:
            an_open_task_is_canceled_at_once
            an_ended_task_is_not_canceled
            unread_pages_are_reopened
            a_whole_task_is_reopened
            a_canceled_page_stays_canceled_when_a_failed_one_is_reopened
            reopening_nothing_changes_nothing
            a_task_of_thousands_of_pages_is_canceled_and_reopened
            a_completed_page_makes_progress_due
            a_failed_document_keeps_its_source
        }
        $crate::conformance_tests! { $open => lists:
            tasks_are_listed_newest_first_with_pagination
            a_list_shows_current_tasks
            expired_tasks_are_listed_by_expiry
            an_expired_task_accepts_no_more_changes
            pages_of_an_expired_task_are_not_completed
            a_removed_task_does_not_exist
        }
        $crate::conformance_tests! { $open => corrections:
            a_failed_page_is_corrected
            a_page_that_needs_a_review_is_corrected
            only_an_ended_page_of_an_ended_task_is_corrected_in_the_next_round
            one_of_two_concurrent_corrections_succeeds
            failed_pages_are_reopened_after_a_correction
        }
        $crate::conformance_tests! { $open => engine_statuses:
            operators_decisions_are_stored
            a_new_trial_starts_without_statistics
            a_stopped_workers_statistics_are_kept
        }
        $crate::conformance_tests! { $open => consumers:
            a_held_lease_is_extended
            a_lease_held_too_long_expires
            a_dropped_lease_expires
            a_malformed_message_can_be_dead_lettered
            released_leases_are_available_at_once
            a_released_lease_changes_nothing
            a_requeued_message_starts_with_a_receive_count_of_zero
            a_lost_lease_requeues_nothing
            a_consumer_loop_handles_messages_until_shutdown
            a_tenant_that_takes_all_its_slots_does_not_stop_another
        }
        $crate::conformance_tests! { $open => records:
            a_record_is_created_once
            a_record_is_replaced_only_by_its_version
            one_of_many_concurrent_writes_succeeds
            an_expired_record_does_not_exist
            a_deleted_record_does_not_exist
            records_are_listed_in_key_order
            invalid_keys_and_bodies_are_refused
            a_partition_is_listed_on_its_own
            partitioned_collections_are_listed_by_partition
            concurrent_updates_are_all_applied
        }
        $crate::conformance_tests! { $open => secrets:
            a_secret_is_written_once
        }
    };
    ($open:ident => $module:ident: $($test:ident)+) => {
        mod $module {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    let (backend, _guard) = super::$open().await;
                    $crate::conformance::$module::$test(&backend).await;
                }
            )+
        }
    };
}
pub use conformance_tests;

/// Returns a unique name.
fn unique(what: &str) -> String {
    format!("{what}-{}", uuid::Uuid::now_v7().simple())
}

/// Returns the pages queue.
fn pages_queue(backend: &Backend) -> std::sync::Arc<dyn crate::Queue> {
    backend.queue(QueueName::Pages)
}
