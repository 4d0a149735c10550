//! Input: choices from which a store of 8 KiB segments is made on the in-memory disk and, three
//! times of four, closed; then up to eight edits, cuts and swaps of its files.
//!
//! Oracle: opening gives the content up to the first record that was changed, exactly as it was
//! then, or refuses with the place; a changed record that an intact later one claims, a changed
//! segment header and a changed identity are refused. Never anything that was not written.
#![no_main]

use jidoka_fuzz::damage::damage;
use jidoka_fuzz::input::Input;
use jidoka_fuzz::oracle::judge;
use jidoka_fuzz::shop::Shop;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut input = Input::new(bytes);
    let edits = input.below(9);
    let shop = Shop::build(&mut input, false);
    let mut files = shop.files.clone();
    for _ in 0..edits {
        // Nothing stale here: `ops_rot` has that.
        damage(&mut files, &shop.files, &mut input);
    }
    judge(&shop, &files);
});
