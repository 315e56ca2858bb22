//! Names as a database compares them.

use serde::Deserialize;
use sqlparser::ast::{Ident, ObjectName, ObjectNamePart};
use sqlparser::dialect::{Dialect, MySqlDialect, PostgreSqlDialect, SQLiteDialect};

/// Whose SQL it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Sql {
    Postgresql,
    Mysql,
    Sqlite,
}

impl Sql {
    pub(crate) fn dialect(self) -> &'static dyn Dialect {
        match self {
            Self::Postgresql => &PostgreSqlDialect {},
            Self::Mysql => &MySqlDialect {},
            Self::Sqlite => &SQLiteDialect {},
        }
    }

    /// A name as it is looked up. Without quotes, PostgreSQL and SQLite fold it to lower case; with quotes, and in MySQL,
    /// where it depends on the server's file system, it has to be spelled as it is on the list.
    pub(crate) fn fold(self, ident: &Ident) -> String {
        if ident.quote_style.is_none() && self != Self::Mysql {
            ident.value.to_ascii_lowercase()
        } else {
            ident.value.clone()
        }
    }

    /// The parts of a qualified name; `None` for one that is computed.
    pub(crate) fn parts(self, name: &ObjectName) -> Option<Vec<String>> {
        let part = |part: &ObjectNamePart| part.as_ident().map(|ident| self.fold(ident));
        name.0.iter().map(part).collect()
    }
}

/// Functions that compute from their arguments alone, or tell the time. None reads files or settings, sleeps, writes, or
/// makes much out of little.
pub(crate) const HARMLESS_FUNCTIONS: &[&str] = &[
    "abs",
    "array_agg",
    "avg",
    "ceil",
    "ceiling",
    "char_length",
    "coalesce",
    "concat",
    "count",
    "current_date",
    "current_time",
    "current_timestamp",
    "date",
    "date_part",
    "date_trunc",
    "dense_rank",
    "first_value",
    "floor",
    "greatest",
    "group_concat",
    "ifnull",
    "lag",
    "last_value",
    "lead",
    "least",
    "left",
    "length",
    "lower",
    "ltrim",
    "max",
    "min",
    "mod",
    "now",
    "ntile",
    "nullif",
    "rank",
    "right",
    "round",
    "row_number",
    "rtrim",
    "sign",
    "strftime",
    "string_agg",
    "strpos",
    "substr",
    "substring",
    "sum",
    "to_char",
    "trim",
    "upper",
];
