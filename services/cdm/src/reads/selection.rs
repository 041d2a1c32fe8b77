//! Which rows are meant, in which order, from where on.

use std::fmt::Write as _;

use ordervault_runtime::http::Problem;
use uuid::Uuid;
use uuid::fmt::Hyphenated;

use super::counter::{Counter, type_of};
use super::statement::Statement;
use super::token;

/// Which rows of a counter are meant.
#[derive(Clone, Debug)]
pub struct Selection {
    /// The counter.
    pub counter: &'static Counter,
    /// What each row has to be.
    pub conditions: Vec<Condition>,
    /// The order.
    pub sort: Sort,
    /// The columns that are shown.
    pub fields: Vec<&'static str>,
}

/// What a row has to be.
#[derive(Clone, Debug)]
pub enum Condition {
    /// The column holds this key.
    Is(&'static str, Uuid),
    /// The column holds this name.
    Named(&'static str, String),
    /// The column holds a name that begins so, in capitals or not.
    Prefixed(&'static str, String),
    /// The count is at least this.
    AtLeast(i64),
    /// The count is at most this.
    AtMost(i64),
}

/// An order by one column, and by the unique one where that is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sort {
    /// The column.
    pub column: &'static str,
    /// The greatest first.
    pub descending: bool,
}

/// The place of a row in an order: its values of the two columns.
pub type Place = [String; 2];

impl Selection {
    /// `select <columns> from … where …`, without an order.
    #[must_use]
    pub fn rows(&self, columns: &str, after: Option<&Place>) -> Statement {
        let (sort, unique) = (self.sort.column, self.counter.unique);
        let mut statement = Statement::new(&format!("select {columns} from {} where true", self.counter.source));
        for condition in &self.conditions {
            statement = condition.add_to(statement.words(" and "), self.counter);
        }
        let Some([of_sort, of_unique]) = after else { return statement };
        let beyond = if self.sort.descending { "<" } else { ">" };
        if sort == unique {
            return statement.words(&format!(" and c.{unique} {beyond} ")).value(of_unique, type_of(unique));
        }
        statement
            .words(&format!(" and (c.{sort}, c.{unique}) {beyond} ("))
            .value(of_sort, type_of(sort))
            .words(", ")
            .value(of_unique, type_of(unique))
            .words(")")
    }

    /// `order by …`, of rows under an alias.
    #[must_use]
    pub fn order(&self, alias: &str) -> String {
        let direction = if self.sort.descending { "desc" } else { "asc" };
        let unique = self.counter.unique;
        match self.sort.column {
            column if column == unique => format!(" order by {alias}.{unique} {direction}"),
            column => format!(" order by {alias}.{column} {direction}, {alias}.{unique} {direction}"),
        }
    }

    /// The place that a cursor stands for.
    pub fn place(&self, cursor: &str) -> Result<Place, Problem> {
        let (of, place): (String, Place) = token::read(cursor).ok_or_else(Problem::invalid_cursor)?;
        let columns = [self.sort.column, self.counter.unique];
        let fits = of == self.fingerprint()
            && columns.iter().zip(&place).all(|(column, value)| match type_of(column) {
                "bigint" => value.parse::<i64>().is_ok(),
                "uuid" => value.parse::<Hyphenated>().is_ok(),
                _ => !value.contains('\0'),
            });
        fits.then_some(place).ok_or_else(Problem::invalid_cursor)
    }

    /// The cursor that stands for a place.
    #[must_use]
    pub fn cursor(&self, place: &Place) -> String {
        token::write(&(self.fingerprint(), place))
    }

    /// What a cursor is bound to: another filter or order has another place.
    fn fingerprint(&self) -> String {
        let Sort { column, descending } = self.sort;
        let mut text = format!("{} {column} {descending}", self.counter.name);
        for condition in &self.conditions {
            // Writing to a string does not fail.
            let _ = write!(text, " {condition:?}");
        }
        token::digest(&text)
    }
}

impl Condition {
    fn add_to(&self, statement: Statement, counter: &Counter) -> Statement {
        match self {
            Self::Is(column, key) => statement.words(&format!("c.{column} = ")).value(key.to_string(), "uuid"),
            Self::Named(column, name) => statement.words(&format!("c.{column} = ")).value(name, "text"),
            // Far fewer names than rows: the index is gone through from one name to the next.
            Self::Prefixed(column, prefix) if counter.indexed_name == Some(column) => {
                let table = counter.table;
                let names = format!(
                    "c.{column} in (with recursive names(name) as ( \
                         (select {column} from {table} order by {column} limit 1) union all \
                         select (select {column} from {table} where {column} > name order by {column} limit 1) \
                         from names where name is not null) select name from names where name ~ "
                );
                statement.words(&names).value(begins(prefix), "text").words(")")
            }
            Self::Prefixed(column, prefix) => statement.words(&format!("c.{column} ~ ")).value(begins(prefix), "text"),
            Self::AtLeast(count) => statement.words("c.order_cnt >= ").value(count.to_string(), "bigint"),
            Self::AtMost(count) => statement.words("c.order_cnt <= ").value(count.to_string(), "bigint"),
        }
    }
}

/// A pattern of what begins so, in capitals or not. It does not leave it to the database's locale which letters belong
/// together: in some of them only the Latin ones do.
fn begins(prefix: &str) -> String {
    let mut pattern = String::from("^");
    for letter in prefix.chars() {
        let mut forms = vec![letter];
        forms.extend(single(letter.to_lowercase()).into_iter().chain(single(letter.to_uppercase())));
        forms.sort_unstable();
        forms.dedup();
        match forms.as_slice() {
            [one] if one.is_alphanumeric() || !one.is_ascii() => pattern.push(*one),
            // In front of anything but letters and digits a backslash only takes its meaning away.
            [one] => pattern.extend(['\\', *one]),
            several => {
                pattern.push('[');
                pattern.extend(several);
                pattern.push(']');
            }
        }
    }
    pattern
}

/// The one letter that there is, if it is one.
fn single(mut letters: impl Iterator<Item = char>) -> Option<char> {
    let first = letters.next();
    if letters.next().is_some() { None } else { first }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reads::counter::{USER_CATEGORY, USER_PRODUCT};

    fn selection(counter: &'static Counter, column: &'static str, conditions: Vec<Condition>) -> Selection {
        Selection { counter, conditions, sort: Sort { column, descending: true }, fields: counter.columns.to_vec() }
    }

    #[test]
    fn a_cursor_holds_for_the_query_that_gave_it_and_for_no_other() {
        let place = ["5".to_owned(), "17".to_owned()];
        let by_count = selection(&USER_PRODUCT, "order_cnt", vec![Condition::AtLeast(1)]);
        let cursor = by_count.cursor(&place);
        assert_eq!(by_count.place(&cursor).unwrap(), place);
        for other in [
            selection(&USER_PRODUCT, "id", vec![Condition::AtLeast(1)]),
            selection(&USER_PRODUCT, "order_cnt", vec![Condition::AtLeast(2)]),
            selection(&USER_PRODUCT, "order_cnt", vec![]),
            selection(&USER_CATEGORY, "order_cnt", vec![Condition::AtLeast(1)]),
        ] {
            assert!(other.place(&cursor).is_err(), "{other:?}");
        }
        for odd in ["", "x", "{}", &cursor[1..], &by_count.cursor(&["x".to_owned(), "17".to_owned()])] {
            assert!(by_count.place(odd).is_err(), "{odd}");
        }
    }

    #[test]
    fn a_prefix_is_no_pattern() {
        assert_eq!(begins("Пи-1 (%.*"), r"^[Пп][Ии]\-1\ \(\%\.\*");
        assert_eq!(begins("***=ß🍕"), r"^\*\*\*\=ß🍕");
    }
}
