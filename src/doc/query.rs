//! A query: conditions that all hold, an order, a limit, and a plan one can read.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use serde_json::{Value, json};

use super::filter::Filter;
use super::order::Sort;
use crate::base::Result;

/// What a query reads: a document under its id, with whatever else the caller keeps beside them.
pub trait Row {
    /// The id of the document.
    fn id(&self) -> &str;
    /// The document.
    fn doc(&self) -> &Value;
}

impl Row for (String, Value) {
    fn id(&self) -> &str {
        &self.0
    }

    fn doc(&self) -> &Value {
        &self.1
    }
}

/// A question to one collection.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Query {
    /// Conditions that must all hold.
    pub filters: Vec<Filter>,
    /// The order of the results; without one, the order in which the rows come.
    pub sort: Option<Sort>,
    /// The most results to give.
    pub limit: Option<usize>,
}

impl Query {
    /// Whether `document` meets every condition.
    #[must_use]
    pub fn matches(&self, document: &Value) -> bool {
        self.filters.iter().all(|filter| filter.matches(document))
    }

    /// Answers the query from `rows`, read as they are needed.
    ///
    /// Without a sort, results stream and reading stops at the limit. With a sort every row is
    /// read before the first result, and no more than the limit is kept in memory. A row that
    /// could not be read is an error among the results; with a sort it is the only result.
    pub fn run<'q, R, I>(&'q self, rows: I) -> Box<dyn Iterator<Item = Result<R>> + 'q>
    where
        R: Row + 'q,
        I: Iterator<Item = Result<R>> + 'q,
    {
        let limit = self.limit.unwrap_or(usize::MAX);
        let rows = rows.filter(|row| row.as_ref().map_or(true, |row| self.matches(row.doc())));
        let Some(sort) = &self.sort else { return Box::new(rows.take(limit)) };
        match first_sorted(rows, sort, limit) {
            Ok(sorted) => Box::new(sorted.into_iter().map(Ok)),
            Err(error) => Box::new(std::iter::once(Err(error))),
        }
    }

    /// How [`Query::run`] answers from a scan of `collection`, as JSON: what is read, how much
    /// of it is in memory at once, and the query as it was understood.
    #[must_use]
    pub fn explain(&self, collection: &str) -> Value {
        let memory = match (&self.sort, self.limit) {
            (None, _) => "one document",
            (Some(_), Some(_)) => "at most limit matching documents",
            (Some(_), None) => "every matching document",
        };
        json!({
            "plan": "scan",
            "collection": collection,
            "reads": "every document in id order",
            "memory": memory,
            "filters": self.filters.iter().map(Filter::to_string).collect::<Vec<_>>(),
            "sort": self.sort.as_ref().map(Sort::to_string),
            "limit": self.limit,
        })
    }
}

/// The first `limit` of `rows` in the order of `sort`, never holding more than one row above it.
fn first_sorted<R: Row>(
    rows: impl Iterator<Item = Result<R>>,
    sort: &Sort,
    limit: usize,
) -> Result<Vec<R>> {
    let mut last_on_top = BinaryHeap::new();
    for row in rows {
        last_on_top.push(Ranked { row: row?, sort });
        if last_on_top.len() > limit {
            last_on_top.pop();
        }
    }
    Ok(last_on_top.into_sorted_vec().into_iter().map(|ranked| ranked.row).collect())
}

/// A row that knows its place.
struct Ranked<'s, R> {
    row: R,
    sort: &'s Sort,
}

impl<R: Row> Ord for Ranked<'_, R> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.sort.compare((self.row.id(), self.row.doc()), (other.row.id(), other.row.doc()))
    }
}

impl<R: Row> PartialOrd for Ranked<'_, R> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<R: Row> PartialEq for Ranked<'_, R> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<R: Row> Eq for Ranked<'_, R> {}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use super::*;
    use crate::base::{Error, ErrorKind};

    fn query(filters: &[&str], sort: Option<&str>, limit: Option<usize>) -> Query {
        Query {
            filters: filters.iter().map(|filter| Filter::parse(filter).unwrap()).collect(),
            sort: sort.map(|sort| Sort::parse(sort).unwrap()),
            limit,
        }
    }

    fn rows(count: usize) -> impl Iterator<Item = Result<(String, Value)>> {
        (0..count).map(move |n| Ok((format!("{n:03}"), json!({"n": (n * 7) % count, "m": n % 2}))))
    }

    fn numbers(query: &Query, count: usize) -> Vec<u64> {
        query.run(rows(count)).map(|row| row.unwrap().1["n"].as_u64().unwrap()).collect()
    }

    #[test]
    fn every_condition_must_hold() {
        assert_eq!(numbers(&query(&["m = 0", "n >= 6"], None, None), 10), [8, 6]);
    }

    #[test]
    fn without_a_sort_reading_stops_at_the_limit() {
        let read = Cell::new(0);
        let rows = rows(100).inspect(|_| read.set(read.get() + 1));
        assert_eq!(query(&[], None, Some(3)).run(rows).count(), 3);
        assert_eq!(read.get(), 3);
    }

    #[test]
    fn a_sort_with_a_limit_gives_the_same_as_sorting_everything() {
        let all = numbers(&query(&[], Some("n:desc"), None), 100);
        assert!(all.is_sorted_by(|left, right| left > right));
        for limit in [0, 1, 10, 99, 100, 200] {
            let some = numbers(&query(&[], Some("n:desc"), Some(limit)), 100);
            assert_eq!(some, all[..limit.min(100)]);
        }
    }

    /// A row that counts how many of its kind are alive.
    struct Counted {
        row: (String, Value),
        _alive: Rc<()>,
    }

    impl Row for Counted {
        fn id(&self) -> &str {
            self.row.id()
        }

        fn doc(&self) -> &Value {
            self.row.doc()
        }
    }

    #[test]
    fn a_sort_with_a_limit_keeps_no_more_than_the_limit() {
        let alive = Rc::new(());
        let most = Cell::new(0);
        let rows = rows(1000).map(|row| {
            let row = Counted { row: row?, _alive: Rc::clone(&alive) };
            most.set(most.get().max(Rc::strong_count(&alive) - 1));
            Ok(row)
        });
        assert_eq!(query(&[], Some("n"), Some(5)).run(rows).count(), 5);
        assert_eq!(most.get(), 6);
    }

    #[test]
    fn a_row_that_cannot_be_read_is_not_passed_over() {
        let broken = || Err(Error::new(ErrorKind::Corrupt, "broken"));
        for sort in [None, Some("n")] {
            let query = query(&["n < 0"], sort, None);
            let mut results = query.run(rows(3).chain(std::iter::once_with(broken)));
            assert_eq!(results.next().unwrap().unwrap_err().kind(), ErrorKind::Corrupt);
        }
    }

    #[test]
    fn the_plan_shows_the_query_as_it_was_understood() {
        assert_eq!(
            query(&["m=0"], Some("n"), Some(3)).explain("c"),
            json!({
                "plan": "scan",
                "collection": "c",
                "reads": "every document in id order",
                "memory": "at most limit matching documents",
                "filters": ["m = 0"],
                "sort": "n:asc",
                "limit": 3,
            })
        );
        assert_eq!(Query::default().explain("c")["sort"], Value::Null);
    }
}
