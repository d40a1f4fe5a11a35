//! Tests are started in the order of their names: this is the first.

use crate::on_aws;

#[test]
fn the_functions_are_built_and_stacks_for_them_begin_to_rise() {
    // A stack takes two minutes, most of which Terraform waits. Whoever needs one then waits for what is left of that.
    on_aws::begin();
}
