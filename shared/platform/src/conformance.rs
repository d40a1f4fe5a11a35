//! What every backend promises, as tests against the traits.
//!
//! A promise is a function that takes a [`Backend`] and panics where it is not kept. [`conformance_tests`] makes a test
//! of each. The backend's queues must have leases of [`LEASE`], so that some promises are seen in seconds, and
//! [`MAX_RECEIVES`]. Names of tasks, keys and messages are new on each run, so that a backend may be used again; but two
//! tests at a time must not share its queues.
//!
//! Nothing is assumed beyond what the traits say: no exact order, nothing faster than a second.
#![expect(clippy::missing_panics_doc, reason = "a promise that is not kept panics")]

use std::time::Duration;

use crate::{Backend, QueueName, QueueSettings};

pub mod canceled;
pub mod consumers;
pub mod corrections;
pub mod lists;
pub mod objects;
pub mod purges;
pub mod queues;
pub mod records;
pub mod secrets;
pub mod tasks;

/// What every queue promises to more than one tenant.
pub mod turns {
    pub use super::queues::groups_take_turns;
}

/// The leases of the queues of a backend that is tested.
pub const LEASE: Duration = Duration::from_secs(2);
/// How often a message is received before it is taken for dead, in a backend that is tested.
pub const MAX_RECEIVES: u32 = 3;
/// Long enough for whatever must happen, in any backend.
const AT_LENGTH: Duration = Duration::from_secs(20);
/// Longer than anything may take to become visible.
const A_MOMENT: Duration = Duration::from_secs(1);

/// The settings of the queues of a backend that is tested.
pub const fn settings(name: QueueName) -> QueueSettings {
    let max_receives = if name.dead_letter_queue().is_some() { MAX_RECEIVES } else { u32::MAX };
    QueueSettings { lease: LEASE, max_receives }
}

/// Makes a `#[tokio::test]` of every promise. `$open` is an async function that returns a [`Backend`], opened with
/// [`settings`], and whatever must live as long. An emulator that stands in for a backend, but gives out its messages in the
/// order in which they came, is tested with `$open except turns`: which group's turn it is, only the real queues know.
#[macro_export]
macro_rules! conformance_tests {
    ($open:ident) => {
        $crate::conformance_tests! { $open except turns }
        $crate::conformance_tests! { $open => turns:
            groups_take_turns
        }
    };
    ($open:ident except turns) => {
        $crate::conformance_tests! { $open => objects:
            an_object_that_was_put_is_read_back
            a_second_put_replaces_the_first
            put_new_writes_once
            of_many_who_put_new_one_succeeds
            a_file_is_taken_in
            an_object_can_be_read_as_a_file
            a_download_is_whole_or_refused_for_its_size
            a_list_is_sorted_and_holds_what_begins_with_the_prefix
            a_deleted_object_is_gone
            what_is_not_there_is_not_found
            all_that_begins_with_a_prefix_is_erased
            an_empty_prefix_erases_nothing
        }
        $crate::conformance_tests! { $open => purges:
            nothing_of_a_purged_task_is_left
            a_task_for_which_nothing_is_kept_is_purged
            a_purge_that_was_interrupted_is_made_whole_by_the_next
        }
        $crate::conformance_tests! { $open => queues:
            a_message_is_received_once_and_gone_once_acknowledged
            batches_over_ten_are_sent_received_and_acknowledged
            messages_too_large_for_one_call_are_all_sent
            a_message_comes_again_when_its_lease_has_ended
            an_extended_lease_keeps_its_message
            a_lost_lease_is_reported_when_it_is_extended
            a_stale_receipt_changes_nothing
            a_delayed_message_comes_when_its_delay_is_over
            a_released_message_comes_again_after_its_delay
            a_message_received_too_often_goes_to_the_dead_letter_queue
            a_message_is_dead_lettered_with_its_reason
            a_message_keeps_its_trace
            a_waiting_receive_wakes_up_for_a_message
            a_receive_in_vain_ends_when_its_wait_is_over
            depth_tells_ready_from_leased_and_delayed
        }
        $crate::conformance_tests! { $open => tasks:
            a_task_is_created_once
            a_task_reads_back_with_its_pages
            a_task_without_a_readable_document_has_ended_at_once
            what_is_not_there_is_not_found
            a_pending_document_is_settled_once
            a_document_that_fails_may_end_its_task
            a_page_ends_once
            an_outcome_of_another_round_changes_nothing
            of_many_who_complete_a_page_one_succeeds
            a_callback_is_updated_in_its_round_only
            a_failed_page_is_opened_again
            only_failed_pages_of_an_ended_task_are_opened_again
            an_undispatched_task_is_found_until_it_is_dispatched
            a_reopened_task_is_undispatched
            a_change_ends_the_waiting_for_it
            waiting_for_a_change_in_vain_ends
        }
        $crate::conformance_tests! { $open => canceled:
            an_open_task_is_canceled_at_once
            an_ended_task_is_not_canceled
            what_was_not_read_is_opened_again
            all_of_a_task_is_opened_again
            a_canceled_page_stays_so_while_a_failed_one_is_opened
            where_there_is_nothing_to_open_nothing_changes
            a_task_of_thousands_of_pages_is_canceled_and_opened_again
            progress_is_owed_by_the_page_that_makes_it
            a_document_that_failed_says_where_it_was_to_be_had
        }
        $crate::conformance_tests! { $open => lists:
            tasks_are_listed_newest_first_one_page_after_the_other
            a_list_shows_tasks_as_they_are_now
            expired_tasks_are_found_in_the_order_in_which_they_expired
            a_task_whose_time_is_ended_comes_to_nothing_more
            a_task_that_has_expired_is_worked_on_no_more
            a_removed_task_is_gone
        }
        $crate::conformance_tests! { $open => corrections:
            a_failed_page_is_corrected
            a_page_that_needs_a_review_is_corrected
            only_an_ended_page_of_an_ended_task_is_corrected_in_the_next_round
            of_two_corrections_at_once_one_is_made
            what_still_fails_is_opened_again_after_a_correction
        }
        $crate::conformance_tests! { $open => consumers:
            a_held_lease_is_kept_past_its_time
            a_lease_held_too_long_is_given_up
            a_dropped_lease_runs_out
            an_undecodable_message_can_be_dead_lettered
            leases_that_are_given_back_are_free_at_once
            whoever_holds_a_lease_that_was_given_back_changes_nothing
            a_message_that_is_sent_again_begins_anew
            whoever_has_lost_a_lease_sends_nothing_again
        }
        $crate::conformance_tests! { $open => records:
            a_record_is_made_once
            a_record_is_replaced_only_by_who_has_seen_it
            of_many_who_replace_a_record_one_succeeds
            an_expired_record_is_not_there
            a_deleted_record_is_gone
            records_are_listed_in_the_order_of_their_keys
            what_cannot_be_kept_everywhere_is_refused
            a_room_is_listed_on_its_own
            what_is_spread_has_a_room_and_is_listed_by_rooms
        }
        $crate::conformance_tests! { $open => secrets:
            a_secret_is_written_once
        }
    };
    ($open:ident => $part:ident: $($promise:ident)+) => {
        mod $part {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $promise() {
                    let (backend, _kept) = super::$open().await;
                    $crate::conformance::$part::$promise(&backend).await;
                }
            )+
        }
    };
}
pub use conformance_tests;

/// A name that no other test uses.
fn unique(what: &str) -> String {
    format!("{what}-{}", uuid::Uuid::now_v7().simple())
}

/// The parts that tests need most.
fn pages_queue(backend: &Backend) -> std::sync::Arc<dyn crate::Queue> {
    backend.queue(QueueName::Pages)
}
