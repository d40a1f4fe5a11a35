//! Starts the stacks of the AWS tests early. libtest starts tests in the order of their names: this one must be first.

use crate::on_aws;

#[test]
fn the_functions_are_built_and_their_stacks_start() {
    // A stack takes two minutes, most of which Terraform waits. Tests that need one wait for the rest of that time.
    on_aws::start_stacks();
}
