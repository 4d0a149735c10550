//! Every hard limit, so that no length from outside decides how much we allocate (L8, L9).

use super::codec::to_u64;

/// The unit the log is written in, and the size of a segment's header page.
pub const PAGE: usize = 4096;

/// Smallest legal segment; sizes below 1 MiB are meant for tests.
pub const SEGMENT_BYTES_MIN: u64 = 8 << 10;
/// Segment size of a new store unless it asks for another.
pub const SEGMENT_BYTES_DEFAULT: u64 = 16 << 20;
/// Largest legal segment.
pub const SEGMENT_BYTES_MAX: u64 = 1 << 30;

/// Most bytes of the changes in one record of the manifest, and of its whole state.
pub const MANIFEST_PAYLOAD_BYTES_MAX: usize = 32 << 20;
/// Size of a manifest file unless its state needs more.
pub const MANIFEST_BYTES_DEFAULT: u64 = 1 << 20;
/// Most tables of a store.
pub const TABLES_MAX: usize = 1 << 16;
/// Most dropped keyspaces that tables still hold something of.
pub const DROPS_MAX: usize = 1 << 16;
/// Levels of tables.
pub const LEVELS: u8 = 16;

/// Memory of a store unless it is told otherwise.
pub const MEMORY_LIMIT_DEFAULT: usize = 256 << 20;
/// Least memory of a store.
pub const MEMORY_LIMIT_MIN: usize = 64 << 10;

/// Longest key of a keyspace.
pub const KEY_BYTES_MAX: usize = 64 << 10;
/// Longest name of a keyspace or collection.
pub const NAME_BYTES_MAX: usize = 255;
/// Longest id of a document.
pub const DOCUMENT_ID_BYTES_MAX: usize = 1 << 10;
/// Deepest nesting of a document.
pub const DOCUMENT_DEPTH_MAX: usize = 127;
/// Longest actor, session or reason of a commit's origin.
pub const ORIGIN_TEXT_BYTES_MAX: usize = 1 << 10;
/// Longest request id.
pub const REQUEST_BYTES_MAX: usize = 64;
/// Longest answer kept for a repeated request.
pub const REPLY_BYTES_MAX: usize = 64 << 10;
/// Requests whose answers are kept; older ones are forgotten.
pub const REQUESTS_KEPT: usize = 1 << 16;
/// Bytes of answers kept for repeated requests.
pub const REPLIES_KEPT_BYTES: usize = 16 << 20;
/// Most operations in one batch.
pub const BATCH_OPERATIONS_MAX: usize = 1 << 20;

// A page is the unit of everything, and a length inside a segment fits a `u32` field.
const _: () = assert!(SEGMENT_BYTES_MIN.is_multiple_of(to_u64(PAGE)));
const _: () = assert!(SEGMENT_BYTES_DEFAULT.is_multiple_of(to_u64(PAGE)));
const _: () = assert!(SEGMENT_BYTES_MAX < 1 << 32);
