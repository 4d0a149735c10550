//! The fault atlas says what one bad sector does, and nothing else happens.
#![expect(clippy::disallowed_methods, reason = "reads the repository")]

use jidoka::sim::{Consequence, allowed, atlas, atlas_page};

#[test]
fn the_page_is_what_happens_and_only_what_may_happen_does() {
    let atlas = atlas().unwrap();
    for ((zone, fault), seen) in &atlas {
        for (consequence, sectors) in seen {
            assert!(allowed(*zone, *consequence), "{zone:?} {fault:?}: {consequence:?} {sectors}");
            assert_ne!(*consequence, Consequence::Wrong);
        }
    }
    let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/fault-atlas.md");
    let written = std::fs::read_to_string(&page).unwrap_or_default();
    assert!(
        written == atlas_page(&atlas),
        "docs/fault-atlas.md is not what happens; it should be:\n{}",
        atlas_page(&atlas)
    );
}
