//! What the fuzz targets share: bytes as choices, as a case of the crash lab, as a store with a
//! known history, as damage to its files, and the checksums that make damage look well.

mod allocation;
pub mod cases;
pub mod damage;
pub mod input;
pub mod oracle;
pub mod seal;
pub mod shop;
