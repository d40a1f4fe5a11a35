//! Documents of every kind, through the public door. Files are made by the tests themselves, but for those in
//! `fixtures`, which say how they were made.

mod door;
mod files;
mod hostile;
mod images;
mod pdf;
mod tiff;
