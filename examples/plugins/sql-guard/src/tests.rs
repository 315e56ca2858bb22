//! The rule, natively.

use passgate_plugin::judge;
use passgate_plugin::testing::{facts, request};
use serde_json::json;

use super::*;

fn judged(dialect: &str, sql: &str) -> Verdict {
    let config = json!({"dialect": dialect, "tables": ["orders", "sales.customers", "Mixed"]});
    judge::<SqlGuard>(
        &request("/query", &json!({"sql": sql}).to_string()),
        &facts("database:query", &config.to_string()),
    )
}

#[track_caller]
fn abstains(dialect: &str, sql: &str) {
    let verdict = judged(dialect, sql);
    assert!(matches!(verdict, Verdict::Abstain), "{sql}: {verdict:?}");
}

#[track_caller]
fn denied(dialect: &str, sql: &str, why: &str) {
    match judged(dialect, sql) {
        Verdict::Deny(reason) => assert!(reason.contains(why), "{sql}: {reason}"),
        other => panic!("{sql}: {other:?}"),
    }
}

#[test]
fn questions_about_listed_tables_pass() {
    for sql in [
        "SELECT 1",
        "select * from orders;",
        "SELECT o.id, count(*) AS n FROM ORDERS o JOIN sales.customers c ON c.id = o.customer LEFT JOIN \"Mixed\" USING (id) GROUP BY o.id HAVING count(*) > 1 ORDER BY n DESC LIMIT 10 OFFSET 5",
        "WITH recent AS (SELECT * FROM orders WHERE at > now() - INTERVAL '7 days'), totals AS (SELECT sum(amount) AS s FROM recent) SELECT * FROM totals",
        "SELECT * FROM orders WHERE customer IN (SELECT id FROM sales.customers WHERE name ILIKE 'a%') AND EXISTS (SELECT 1 FROM orders o WHERE o.id = 3)",
        "SELECT id FROM orders UNION ALL (SELECT id FROM sales.customers EXCEPT SELECT id FROM orders)",
        "SELECT x.a FROM (SELECT id AS a FROM orders) AS x, LATERAL (SELECT 1 FROM orders) y",
        "SELECT rank() OVER (PARTITION BY customer ORDER BY at), CASE WHEN paid THEN 'y' ELSE 'n' END, at::date, extract(year FROM at) FROM orders",
        "SELECT 'it''s -- no comment; /* either', $1 FROM orders WHERE data->>'a' = 'x'",
        "SELECT DATE '2026-01-01', substring(name FROM 1 FOR 2), trim(name), position('a' IN name) FROM sales.customers",
    ] {
        abstains("postgresql", sql);
    }
    abstains("mysql", "SELECT `id`, \"text\" FROM `orders` WHERE a <=> b");
    abstains("sqlite", "SELECT strftime('%Y', at) FROM Orders");
}

#[test]
fn what_is_no_single_select_is_refused() {
    for sql in [
        "",
        ";",
        "DELETE FROM orders",
        "INSERT INTO orders VALUES (1)",
        "UPDATE orders SET a = 1",
        "DROP TABLE orders",
        "SELECT 1; SELECT 2",
        "SELECT 1; DROP TABLE orders",
        "EXPLAIN ANALYZE SELECT 1",
        "COPY orders TO '/tmp/x'",
        "CREATE TABLE x AS SELECT * FROM orders",
        "SET ROLE admin",
        "CALL f()",
        "TABLE orders",
        "VALUES (1)",
        "WITH d AS (DELETE FROM orders RETURNING *) SELECT * FROM d",
        "WITH i AS (INSERT INTO orders VALUES (1) RETURNING *) SELECT 1",
        "SELECT 1 UNION TABLE secrets",
        "SELECT * FROM orders WHERE id IN (TABLE secrets)",
        "not sql",
    ] {
        denied("postgresql", sql, "");
    }
}

#[test]
fn other_tables_are_refused_wherever_they_stand() {
    for sql in [
        "SELECT * FROM secrets",
        "SELECT * FROM orders, secrets",
        "SELECT * FROM orders JOIN secrets ON true",
        "SELECT * FROM (orders CROSS JOIN secrets)",
        "SELECT (SELECT password FROM secrets LIMIT 1)",
        "SELECT * FROM orders WHERE id = ANY (SELECT id FROM secrets)",
        "SELECT * FROM orders ORDER BY (SELECT 1 FROM secrets)",
        "SELECT * FROM orders LIMIT (SELECT 1 FROM secrets)",
        "SELECT count(*) FILTER (WHERE id IN (SELECT id FROM secrets)) FROM orders",
        "SELECT sum(a) OVER (ORDER BY (SELECT 1 FROM secrets)) FROM orders",
        "SELECT sum(a) OVER w FROM orders WINDOW w AS (ORDER BY (SELECT 1 FROM secrets))",
        "SELECT 1 UNION SELECT password FROM secrets",
        "SELECT 1 EXCEPT (SELECT 1 INTERSECT SELECT a FROM secrets)",
        "SELECT * FROM public.orders",
        "SELECT * FROM customers",
        "SELECT * FROM other.customers",
        "SELECT * FROM db.sales.customers",
        "SELECT * FROM \"sales.customers\"",
        "SELECT * FROM \"Orders\"",
        "SELECT * FROM mixed",
        "SELECT * FROM pg_catalog.pg_shadow",
        "SELECT * FROM information_schema.tables",
        "SELECT CASE WHEN (SELECT true FROM secrets) THEN 1 END",
        "SELECT * FROM orders GROUP BY (SELECT 1 FROM secrets)",
        "SELECT DISTINCT ON ((SELECT 1 FROM secrets)) * FROM orders",
        "SELECT * FROM orders o JOIN LATERAL (SELECT * FROM secrets) s ON true",
    ] {
        denied("postgresql", sql, "is not allowed");
    }
    denied("mysql", "SELECT * FROM Orders", "is not allowed");
    denied("mysql", "SELECT * FROM `mysql`.`user`", "is not allowed");
    denied("sqlite", "SELECT * FROM sqlite_master", "is not allowed");
}

#[test]
fn the_name_of_a_common_table_expression_hides_no_table() {
    for sql in [
        // Inside its own definition, the name is the table's.
        "WITH secrets AS (SELECT * FROM secrets) SELECT * FROM secrets",
        // It is known in the subquery alone.
        "SELECT * FROM (WITH secrets AS (SELECT 1) SELECT * FROM secrets) x, secrets",
        // It is not known yet.
        "WITH a AS (SELECT * FROM secrets), secrets AS (SELECT 1) SELECT * FROM a",
        "WITH a AS (WITH secrets AS (SELECT 1) SELECT * FROM secrets) SELECT * FROM secrets",
        "WITH a AS (SELECT (SELECT 1) FROM secrets), secrets AS (SELECT 1) SELECT 1",
        "WITH secrets AS (SELECT 1) SELECT * FROM public.secrets",
        "WITH \"Secrets\" AS (SELECT 1) SELECT * FROM secrets",
        "SELECT 1 FROM orders WHERE a IN (WITH secrets AS (SELECT 1) SELECT 1) AND b IN (SELECT b FROM secrets)",
    ] {
        denied("postgresql", sql, "secrets is not allowed");
    }
    denied("postgresql", "WITH RECURSIVE r AS (SELECT 1 UNION ALL SELECT * FROM r) SELECT * FROM r", "RECURSIVE");
    abstains("postgresql", "WITH a AS (SELECT (SELECT 1) FROM orders), b AS (SELECT * FROM a) SELECT * FROM b, a");
    abstains("postgresql", "WITH a AS (SELECT 1) SELECT * FROM orders WHERE id IN (SELECT * FROM a)");
}

#[test]
fn functions_that_reach_out_are_refused() {
    for call in [
        "pg_read_file('/etc/passwd')",
        "pg_catalog.pg_read_file('x')",
        "\"pg_read_file\"('x')",
        "PG_READ_FILE('x')",
        "pg_sleep(10)",
        "lo_import('/etc/passwd')",
        "dblink('host=x', 'select 1')",
        "current_setting('x')",
        "set_config('a', 'b', false)",
        "query_to_xml('select * from secrets', true, true, '')",
        "nextval('s')",
        "pg_advisory_lock(1)",
        "version()",
        "current_user",
        "generate_series(1, 1000000000)",
        "repeat('x', 1000000000)",
        "public.count(*)",
        "count(pg_sleep(1))",
        "lower(pg_read_file('x'))",
    ] {
        denied("postgresql", &format!("SELECT {call}"), "");
        denied("postgresql", &format!("SELECT * FROM orders WHERE a = {call}"), "");
        denied("postgresql", &format!("SELECT * FROM orders ORDER BY {call}"), "");
    }
    for from in [
        "generate_series(1, 10)",
        "pg_ls_dir('.')",
        "LATERAL pg_read_file('x')",
        "ROWS FROM (f(1))",
        "unnest(ARRAY[1])",
        "xmltable('a' passing b)",
    ] {
        denied("postgresql", &format!("SELECT * FROM {from}"), "");
    }
    for (dialect, sql) in [
        ("mysql", "SELECT LOAD_FILE('/etc/passwd')"),
        ("mysql", "SELECT SLEEP(10)"),
        ("mysql", "SELECT @@version"),
        ("mysql", "SELECT @a := 1"),
        ("sqlite", "SELECT load_extension('x')"),
        ("sqlite", "SELECT readfile('x')"),
        ("postgresql", "SELECT 'x'::my_type"),
        ("postgresql", "SELECT 1 OPERATOR(public.+) 2"),
        ("postgresql", "SELECT 1 @#@ 2"),
        ("postgresql", "SELECT (orders).secret_function FROM orders"),
    ] {
        denied(dialect, sql, "");
    }
}

#[test]
fn what_writes_or_locks_is_refused() {
    for (dialect, sql, why) in [
        ("postgresql", "SELECT * INTO copy FROM orders", "INTO"),
        ("postgresql", "SELECT * FROM orders FOR UPDATE", "locked"),
        ("postgresql", "SELECT * FROM (SELECT * FROM orders FOR SHARE) x", "locked"),
        ("postgresql", "SELECT * FROM orders FOR NO KEY UPDATE", ""),
        ("mysql", "SELECT * FROM orders LOCK IN SHARE MODE", ""),
        ("mysql", "SELECT * FROM orders INTO OUTFILE '/tmp/x'", ""),
        ("mysql", "SELECT a INTO @x FROM orders", ""),
        ("mysql", "SELECT SQL_NO_CACHE * FROM orders", ""),
        ("mysql", "SELECT * FROM orders PROCEDURE ANALYSE()", ""),
    ] {
        denied(dialect, sql, why);
    }
}

#[test]
fn text_that_two_readers_may_split_differently_is_refused() {
    for (dialect, sql) in [
        ("postgresql", "SELECT 1 -- x"),
        ("postgresql", "SELECT /* a /* b */ c */ 1"),
        ("mysql", "SELECT 1 /*! UNION SELECT * FROM secrets */"),
        ("mysql", "SELECT 1 /*!99999 UNION SELECT 1 */"),
        ("mysql", "SELECT 1 # x"),
        ("postgresql", "SELECT\u{a0}1"),
        ("postgresql", "SELECT\u{2003}1"),
        ("postgresql", "SELECT 1\u{0}"),
        ("postgresql", "SELECT $$x$$"),
        ("postgresql", "SELECT E'\\''"),
        ("postgresql", "SELECT U&'\\0061'"),
        ("mysql", "SELECT 'a\\' UNION SELECT 1"),
    ] {
        denied(dialect, sql, "");
    }
    denied("postgresql", &format!("SELECT {}1{}", "(".repeat(500), ")".repeat(500)), "recursion");
    denied("postgresql", &format!("SELECT '{}'", "x".repeat(16 * 1024)), "longer than");
}

#[test]
fn a_body_without_a_statement_is_refused() {
    let config = json!({"dialect": "postgresql", "tables": []}).to_string();
    for body in [
        "{}",
        r#"{"sql": 1}"#,
        r#"{"sql": ["SELECT 1"]}"#,
        r#"{"sql": "SELECT 1", "sql": "DROP TABLE x"}"#,
        "SELECT 1",
        "",
    ] {
        let verdict = judge::<SqlGuard>(&request("/query", body), &facts("database:query", &config));
        assert!(matches!(verdict, Verdict::Deny(_)), "{body}");
    }
}
