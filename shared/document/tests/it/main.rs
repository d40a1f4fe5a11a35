//! Tests of the public API. The documents are generated here, or by `fixtures/make.py`.

mod damaged;
mod files;
mod hostile;
mod images;
mod inspect;
mod pdf;
mod pdf_content;
mod pdf_repair;
mod pdf_sizes;
mod text_layer;
mod tiff;
mod transparency;
mod variants;
