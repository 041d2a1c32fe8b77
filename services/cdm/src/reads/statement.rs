//! A statement whose values stand apart from its words.

use std::fmt::Write as _;

use sqlx::postgres::{PgArguments, PgConnection};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Postgres};

/// Words of this program, and values of whoever asks. Values travel as text and are cast where they stand.
#[derive(Clone, Debug, Default)]
pub struct Statement {
    parts: Vec<Part>,
    values: Vec<String>,
}

#[derive(Clone, Debug)]
enum Part {
    Words(String),
    /// The value of this number, and its type.
    Value(usize, &'static str),
}

impl Statement {
    /// Begins with these words.
    #[must_use]
    pub fn new(words: &str) -> Self {
        Self::default().words(words)
    }

    /// The same with further words of the program's own.
    #[must_use]
    pub fn words(mut self, words: &str) -> Self {
        self.parts.push(Part::Words(words.to_owned()));
        self
    }

    /// The same with a value of this type.
    #[must_use]
    pub fn value(mut self, value: impl Into<String>, kind: &'static str) -> Self {
        self.parts.push(Part::Value(self.values.len(), kind));
        self.values.push(value.into());
        self
    }

    /// The same with another statement in parentheses.
    #[must_use]
    pub fn nested(self, other: &Self) -> Self {
        self.words("(").followed(other).words(")")
    }

    /// The same with another statement behind it.
    #[must_use]
    pub fn followed(mut self, other: &Self) -> Self {
        let before = self.values.len();
        self.parts.extend(other.parts.iter().map(|part| match part {
            Part::Words(words) => Part::Words(words.clone()),
            Part::Value(number, kind) => Part::Value(number + before, kind),
        }));
        self.values.extend(other.values.iter().cloned());
        self
    }

    /// As a query with its values bound.
    pub fn query(self) -> Query<'static, Postgres, PgArguments> {
        let text = self.text(|number, kind| format!("${}::{kind}", number + 1));
        // The words are constants of this program.
        let query = sqlx::query(AssertSqlSafe(text));
        self.values.into_iter().fold(query, Query::bind)
    }

    /// As text for a command that takes no bound values, such as `COPY`: they are settings of the transaction, and the
    /// text reads them from there.
    pub async fn set_in(&self, tx: &mut PgConnection) -> Result<String, sqlx::Error> {
        for (number, value) in self.values.iter().enumerate() {
            sqlx::query("select set_config($1, $2, true)").bind(setting(number)).bind(value).execute(&mut *tx).await?;
        }
        Ok(self.text(|number, kind| format!("current_setting('{}')::{kind}", setting(number))))
    }

    fn text(&self, place: impl Fn(usize, &'static str) -> String) -> String {
        let mut text = String::new();
        for part in &self.parts {
            // Writing to a string does not fail.
            let _ = match part {
                Part::Words(words) => text.write_str(words),
                Part::Value(number, kind) => text.write_str(&place(*number, kind)),
            };
        }
        text
    }
}

fn setting(number: usize) -> String {
    format!("ordervault.value_{number}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_never_stand_among_the_words_and_keep_their_places_when_statements_are_joined() {
        let inner = Statement::new("b = ").value("'; drop table x", "text");
        let outer = Statement::new("a > ").value("1", "bigint").words(" and ").nested(&inner);
        assert_eq!(outer.text(|number, kind| format!("${}::{kind}", number + 1)), "a > $1::bigint and (b = $2::text)");
        assert_eq!(outer.values, ["1", "'; drop table x"]);
    }
}
