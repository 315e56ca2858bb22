//! `sql-guard`: an agent may ask the database, within listed tables, and change nothing.
//!
//! ```yaml
//! - name: sql-guard
//!   file: plugins/sql-guard.wasm
//!   sha256: "sha256:…"                      # `passgate plugin inspect` shows it
//!   actions: ["database:query"]
//!   config:
//!     pointer: /sql                         # where the statement stands in the JSON body; this is the default
//!     dialect: postgresql                   # or mysql, sqlite
//!     tables: [orders, sales.customers]     # as they are spelled in the database
//!     functions: [count, sum, date_trunc]   # instead of the default list, which has the common harmless ones
//! ```
//!
//! The statement is parsed, and what is not understood is refused. It is one `SELECT`, alone or in set operations, with
//! joins, subqueries, common table expressions and window functions. Every table in it is on the list: `orders` is not
//! `public.orders`, and a quoted name is compared as it is written. Functions are on a list too, because some read files
//! (`pg_read_file`), sleep or write. There is no `INTO`, no lock (`FOR UPDATE`), no table function, no comment and no variable.
//!
//! This is one wall and not the only one: give the agent's tool a database user that may only read these tables.

mod names;
mod statement;

use passgate_plugin::{Deny, Description, Facts, Plugin, Request, Verdict, describe, export};
use serde::Deserialize;
use serde_json::Value;

struct SqlGuard;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    #[serde(default = "default_pointer")]
    pointer: String,
    dialect: names::Sql,
    tables: Vec<String>,
    functions: Option<Vec<String>>,
}

fn default_pointer() -> String {
    "/sql".to_owned()
}

impl Plugin for SqlGuard {
    type Config = Config;

    fn describe() -> Description {
        describe!("One SELECT on listed tables, with listed functions")
    }

    fn evaluate(request: &Request, _: &Facts, config: &Config) -> Result<Verdict, Deny> {
        let body: Value = request.json()?;
        let sql = body.pointer(&config.pointer).and_then(Value::as_str);
        let sql = sql.ok_or_else(|| format!("the body has no statement at {}", config.pointer))?;
        statement::check(sql, config.dialect, &config.tables, config.functions.as_deref())?;
        Ok(Verdict::Abstain)
    }
}

export!(SqlGuard);

#[cfg(test)]
mod tests;
