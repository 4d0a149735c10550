//! All versions of a run, table after table.

use std::sync::Arc;

use crate::base::{KeyspaceId, Result};
use crate::table::block::VersionRef;
use crate::table::{Cursor, Table};

use super::merge::Source;

/// The tables of a run, one after the other.
#[derive(Debug)]
pub(super) struct RunCursor {
    /// Those to come, the next one last.
    rest: Vec<Arc<Table>>,
    cursor: Option<Cursor>,
}

impl RunCursor {
    /// Stands before the first version of `tables`, which are in the order of their keys.
    pub(super) fn new(tables: impl DoubleEndedIterator<Item = Arc<Table>>) -> Self {
        Self { rest: tables.rev().collect(), cursor: None }
    }
}

impl Source for RunCursor {
    fn advance(&mut self) -> Result<bool> {
        loop {
            if let Some(cursor) = &mut self.cursor
                && cursor.advance()?
            {
                return Ok(true);
            }
            let Some(table) = self.rest.pop() else {
                self.cursor = None;
                return Ok(false);
            };
            self.cursor = Some(Cursor::new(table)?);
        }
    }

    fn version(&self) -> Option<((KeyspaceId, &[u8]), VersionRef<'_>)> {
        self.cursor.as_ref()?.version()
    }
}
