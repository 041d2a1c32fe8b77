//! The forms in which rows are served, and which of them a client takes.

use axum::http::HeaderMap;
use axum::http::header::ACCEPT;
use ordervault_runtime::http::Problem;
use serde::Deserialize;
use utoipa::ToSchema;

use super::counter::is_name;

/// The forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// One object with `items`: a page.
    Json,
    /// One JSON object a line: all rows, unless `limit` is set.
    Ndjson,
    /// RFC 4180, UTF-8, with a header row: all rows, unless `limit` is set.
    Csv,
}

/// What stands between two values of a CSV file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Delimiter {
    /// `,`, as RFC 4180 has it.
    #[default]
    Comma,
    /// `;`, as Excel has it where the comma is the decimal point.
    Semicolon,
    /// A tab.
    Tab,
}

/// How CSV is written.
#[derive(Clone, Copy, Debug)]
pub struct Csv {
    /// What stands between two values.
    pub delimiter: Delimiter,
    /// Whether it begins with a byte order mark, by which Excel knows UTF-8.
    pub bom: bool,
    /// Whether a name that a spreadsheet would take for a formula is kept from being one by an apostrophe.
    pub escape_formulas: bool,
}

impl Format {
    const ALL: [Self; 3] = [Self::Json, Self::Ndjson, Self::Csv];

    /// The media type.
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Ndjson => "application/x-ndjson",
            Self::Csv => "text/csv; charset=utf-8; header=present",
        }
    }

    /// The form that was asked for by parameter, else the one that the client likes most.
    pub fn chosen(asked: Option<Self>, headers: &HeaderMap) -> Result<Self, Problem> {
        let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or("*/*");
        asked.or_else(|| Self::preferred(accept)).ok_or_else(|| Problem::not_acceptable(accept))
    }

    fn preferred(accept: &str) -> Option<Self> {
        let own = |format: Self| format.media_type().split(';').next().unwrap_or_default();
        let ranges = accept.split(',').map(|range| {
            let mut parts = range.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default().to_ascii_lowercase();
            let weight = parts.find_map(|part| part.strip_prefix("q=")).map_or(Some(1.0), |text| text.parse().ok());
            (name, weight.unwrap_or(0.0))
        });
        let ranges: Vec<(String, f32)> = ranges.collect();
        // What a client does not want by name it does not want by a wider range either.
        let is_unwanted = |format| ranges.iter().any(|(name, weight)| name == own(format) && *weight <= 0.0);
        let mut best: Option<(Self, f32)> = None;
        for (name, weight) in &ranges {
            let fits = Self::ALL.into_iter().filter(|format| !is_unwanted(*format)).find(|format| {
                let own = own(*format);
                name == own || name == "*/*" || name.strip_suffix('*').is_some_and(|kind| own.starts_with(kind))
            });
            if let Some(format) = fits
                && *weight > best.map_or(0.0, |(_, weight)| weight)
            {
                best = Some((format, *weight));
            }
        }
        best.map(|(format, _)| format)
    }
}

impl Csv {
    /// The columns as they are selected.
    #[must_use]
    pub fn columns(self, fields: &[&str]) -> String {
        let one = |field: &&str| {
            if is_name(field) && self.escape_formulas {
                format!(
                    "case when c.{field} ~ E'^[-=+@\\t\\r\\n]' then '''' || c.{field} else c.{field} end as {field}"
                )
            } else {
                format!("c.{field}")
            }
        };
        fields.iter().map(one).collect::<Vec<_>>().join(", ")
    }

    /// How `COPY` is to write.
    #[must_use]
    pub const fn options(self) -> &'static str {
        match self.delimiter {
            Delimiter::Comma => "format csv, header",
            Delimiter::Semicolon => "format csv, header, delimiter ';'",
            Delimiter::Tab => "format csv, header, delimiter E'\\t'",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_gets_what_it_likes_most_of_what_there_is() {
        for (accept, expected) in [
            ("*/*", Some(Format::Json)),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", Some(Format::Json)),
            ("text/csv", Some(Format::Csv)),
            ("Text/CSV; charset=utf-8", Some(Format::Csv)),
            ("text/*;q=0.3, application/x-ndjson;q=0.7", Some(Format::Ndjson)),
            ("application/json;q=0, text/csv;q=0.1", Some(Format::Csv)),
            ("application/*", Some(Format::Json)),
            ("text/html", None),
            ("application/json;q=0", None),
            ("application/json;q=0, */*", Some(Format::Ndjson)),
            ("", None),
        ] {
            assert_eq!(Format::preferred(accept), expected, "{accept}");
        }
    }
}
