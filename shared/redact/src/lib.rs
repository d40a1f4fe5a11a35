//! Takes out of what was read what nobody is to keep: e-mail addresses, telephone and card numbers, and what customers
//! name by patterns of their own. Pure: no I/O, no clock.

#![warn(missing_docs)]
