//! What a statement may hold. Each part that is accepted is named; everything else is refused.

use std::fmt;
use std::ops::ControlFlow::{self, Break, Continue};

use passgate_plugin::Deny;
use sqlparser::ast::{
    BinaryOperator, CastKind, DataType, Expr, Function, FunctionArguments, GroupByExpr, Ident, ObjectName, Query,
    Select, SelectFlavor, SetExpr, Statement, TableFactor, UnaryOperator, Value, ValueWithSpan, Visit, Visitor,
};
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Token, Tokenizer, Whitespace};

use crate::names::{HARMLESS_FUNCTIONS, Sql};

/// The longest statement, in bytes: parsing takes time, and nobody asks more at once.
const MAX_BYTES: usize = 16 * 1024;
/// How deep expressions and queries may nest.
const MAX_DEPTH: usize = 40;

/// Refuses what is not one `SELECT` on these tables with these functions.
pub(crate) fn check(sql: &str, dialect: Sql, tables: &[String], functions: Option<&[String]>) -> Result<(), Deny> {
    check_text(sql, dialect)?;
    let statements =
        Parser::new(dialect.dialect()).with_recursion_limit(MAX_DEPTH).try_with_sql(sql)?.parse_statements()?;
    let [statement @ Statement::Query(_)] = statements.as_slice() else {
        return Err(Deny::new("exactly one SELECT is allowed"));
    };
    let mut guard = Guard { dialect, tables, functions, open: Vec::new() };
    match statement.visit(&mut guard) {
        Continue(()) => Ok(()),
        Break(problem) => Err(problem),
    }
}

/// Refuses text that databases and this parser may split in different ways.
fn check_text(sql: &str, dialect: Sql) -> Result<(), Deny> {
    if sql.len() > MAX_BYTES {
        return Err(Deny::new(format_args!("the statement is longer than {MAX_BYTES} bytes")));
    }
    if sql.chars().any(|c| (c.is_control() && !"\t\n\r".contains(c)) || (c.is_whitespace() && !c.is_ascii())) {
        return Err(Deny::new("the statement has control characters or unusual spaces"));
    }
    let tokens = Tokenizer::new(dialect.dialect(), sql).tokenize()?;
    let is_comment = |token: &Token| {
        matches!(token, Token::Whitespace(Whitespace::SingleLineComment { .. } | Whitespace::MultiLineComment(_)))
    };
    // MySQL runs what stands in some comments, and the parser shows those as if they were none.
    if tokens.iter().any(is_comment) || sql.contains("/*!") {
        return Err(Deny::new("the statement has comments"));
    }
    Ok(())
}

struct Guard<'a> {
    dialect: Sql,
    tables: &'a [String],
    functions: Option<&'a [String]>,
    /// The queries around the current place, outermost first.
    open: Vec<Scope>,
}

/// A query with its common table expressions. Each may be named where it is complete: in those after it, and in the query
/// itself. Before that, its name is that of a table.
struct Scope {
    names: Vec<String>,
    complete: usize,
}

fn refuse<T>(what: impl fmt::Display) -> ControlFlow<Deny, T> {
    Break(Deny::new(what))
}

impl Visitor for Guard<'_> {
    type Break = Deny;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Deny> {
        let Query {
            with,
            body,
            order_by: _,
            limit_clause: _,
            fetch: _,
            locks,
            for_clause,
            settings,
            format_clause,
            pipe_operators,
        } = query;
        if !locks.is_empty() {
            return refuse("rows must not be locked (FOR UPDATE, FOR SHARE)");
        }
        if for_clause.is_some() || settings.is_some() || format_clause.is_some() || !pipe_operators.is_empty() {
            return refuse("a clause is not understood");
        }
        if with.as_ref().is_some_and(|with| with.recursive) {
            return refuse("WITH RECURSIVE is not allowed");
        }
        let ctes = with.iter().flat_map(|with| &with.cte_tables);
        let names = ctes.map(|cte| self.dialect.fold(&cte.alias.name)).collect();
        self.open.push(Scope { names, complete: 0 });
        check_body(body)
    }

    fn post_visit_query(&mut self, _: &Query) -> ControlFlow<Deny> {
        self.open.pop();
        // The queries of the common table expressions are the first ones in a query.
        if let Some(outer) = self.open.last_mut()
            && outer.complete < outer.names.len()
        {
            outer.complete += 1;
        }
        Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<Deny> {
        if select.into.is_some() {
            return refuse("SELECT INTO is not allowed");
        }
        if is_plain(select) { Continue(()) } else { refuse("a clause of SELECT is not understood") }
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<Deny> {
        match factor {
            TableFactor::Table {
                name,
                alias: _,
                args: None,
                with_hints,
                version: None,
                with_ordinality: false,
                partitions,
                json_path: None,
                sample: None,
                index_hints,
            } if with_hints.is_empty() && partitions.is_empty() && index_hints.is_empty() => self.check_table(name),
            TableFactor::Derived { sample: None, .. } | TableFactor::NestedJoin { .. } => Continue(()),
            _ => refuse("FROM names something else than tables and subqueries"),
        }
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Deny> {
        match expr {
            Expr::Function(function) => self.check_function(function),
            Expr::BinaryOp { op, .. } | Expr::AnyOp { compare_op: op, .. } | Expr::AllOp { compare_op: op, .. }
                if !is_known_operator(op) =>
            {
                refuse(format_args!("the operator {op} is not understood"))
            }
            Expr::UnaryOp { op, .. }
                if !matches!(op, UnaryOperator::Plus | UnaryOperator::Minus | UnaryOperator::Not) =>
            {
                refuse(format_args!("the operator {op} is not understood"))
            }
            Expr::Cast { kind, data_type, format, .. } => {
                let is_plain = matches!(kind, CastKind::Cast | CastKind::DoubleColon) && format.is_none();
                // A type of somebody's own brings functions with it.
                if is_plain && !matches!(data_type, DataType::Custom(..)) {
                    Continue(())
                } else {
                    refuse(format_args!("a cast to {data_type} is not understood"))
                }
            }
            other if is_known(other) => Continue(()),
            _ => refuse("an expression is not understood"),
        }
    }

    fn pre_visit_value(&mut self, value: &ValueWithSpan) -> ControlFlow<Deny> {
        match &value.value {
            Value::Number(..)
            | Value::SingleQuotedString(_)
            | Value::DoubleQuotedString(_)
            | Value::Boolean(_)
            | Value::Null => Continue(()),
            Value::Placeholder(name) if name.starts_with(['?', '$']) => Continue(()),
            other => refuse(format_args!("the value {other} is not understood")),
        }
    }

    fn pre_visit_ident(&mut self, ident: &Ident) -> ControlFlow<Deny> {
        if ident.value.starts_with('@') { refuse("variables are not allowed") } else { Continue(()) }
    }
}

impl Guard<'_> {
    fn check_table(&self, name: &ObjectName) -> ControlFlow<Deny> {
        let parts = self.dialect.parts(name);
        let is_cte = |name: &String| {
            self.open.iter().any(|scope| scope.names.iter().take(scope.complete).any(|complete| complete == name))
        };
        let is_listed =
            |parts: &[String]| self.tables.iter().any(|table| table.split('.').eq(parts.iter().map(String::as_str)));
        match parts.as_deref() {
            Some([one]) if is_cte(one) => Continue(()),
            Some(parts) if is_listed(parts) => Continue(()),
            _ => refuse(format_args!("the table {name} is not allowed")),
        }
    }

    fn check_function(&self, function: &Function) -> ControlFlow<Deny> {
        let name = match self.dialect.parts(&function.name).as_deref() {
            Some([one]) => one.to_ascii_lowercase(),
            _ => return refuse(format_args!("the function {} is not allowed", function.name)),
        };
        let is_listed = match self.functions {
            Some(listed) => listed.iter().any(|function| function.eq_ignore_ascii_case(&name)),
            None => HARMLESS_FUNCTIONS.contains(&name.as_str()),
        };
        if !is_listed {
            return refuse(format_args!("the function {} is not allowed", function.name));
        }
        if function.uses_odbc_syntax || function.parameters != FunctionArguments::None {
            return refuse(format_args!("the call of {} is not understood", function.name));
        }
        Continue(())
    }
}

/// Selects and set operations of them; no `VALUES`, no `TABLE x`, and nothing that writes.
fn check_body(body: &SetExpr) -> ControlFlow<Deny> {
    match body {
        SetExpr::Select(_) | SetExpr::Query(_) => Continue(()),
        SetExpr::SetOperation { left, right, .. } => {
            check_body(left)?;
            check_body(right)
        }
        _ => refuse("only SELECT is allowed"),
    }
}

/// Whether a `SELECT` has no clauses but those of the standard.
fn is_plain(select: &Select) -> bool {
    let Select {
        select_token: _,
        optimizer_hints,
        distinct: _,
        select_modifiers,
        top,
        top_before_distinct: _,
        projection: _,
        exclude,
        into,
        from: _,
        lateral_views,
        prewhere,
        selection: _,
        connect_by,
        group_by,
        cluster_by,
        distribute_by,
        sort_by,
        having: _,
        named_window: _,
        qualify,
        window_before_qualify: _,
        value_table_mode,
        flavor,
    } = select;
    optimizer_hints.is_empty()
        && select_modifiers.is_none()
        && top.is_none()
        && exclude.is_none()
        && into.is_none()
        && lateral_views.is_empty()
        && prewhere.is_none()
        && connect_by.is_empty()
        && matches!(group_by, GroupByExpr::Expressions(_, modifiers) if modifiers.is_empty())
        && cluster_by.is_empty()
        && distribute_by.is_empty()
        && sort_by.is_empty()
        && qualify.is_none()
        && value_table_mode.is_none()
        && *flavor == SelectFlavor::Standard
}

/// Expressions whose parts are looked at one by one.
fn is_known(expr: &Expr) -> bool {
    matches!(
        expr,
        Expr::Identifier(_)
            | Expr::CompoundIdentifier(_)
            | Expr::IsFalse(_)
            | Expr::IsNotFalse(_)
            | Expr::IsTrue(_)
            | Expr::IsNotTrue(_)
            | Expr::IsNull(_)
            | Expr::IsNotNull(_)
            | Expr::IsUnknown(_)
            | Expr::IsNotUnknown(_)
            | Expr::IsDistinctFrom(..)
            | Expr::IsNotDistinctFrom(..)
            | Expr::InList { .. }
            | Expr::InSubquery { .. }
            | Expr::Between { .. }
            | Expr::BinaryOp { .. }
            | Expr::AnyOp { .. }
            | Expr::AllOp { .. }
            | Expr::UnaryOp { .. }
            | Expr::Like { .. }
            | Expr::ILike { .. }
            | Expr::AtTimeZone { .. }
            | Expr::Extract { .. }
            | Expr::Ceil { .. }
            | Expr::Floor { .. }
            | Expr::Position { .. }
            | Expr::Substring { .. }
            | Expr::Trim { .. }
            | Expr::Nested(_)
            | Expr::Value(_)
            | Expr::TypedString(_)
            | Expr::Interval(_)
            | Expr::Case { .. }
            | Expr::Exists { .. }
            | Expr::Subquery(_)
            | Expr::Tuple(_)
    )
}

/// Operators that no extension of a database can redefine for the types of the standard.
fn is_known_operator(operator: &BinaryOperator) -> bool {
    matches!(
        operator,
        BinaryOperator::Plus
            | BinaryOperator::Minus
            | BinaryOperator::Multiply
            | BinaryOperator::Divide
            | BinaryOperator::Modulo
            | BinaryOperator::StringConcat
            | BinaryOperator::Gt
            | BinaryOperator::Lt
            | BinaryOperator::GtEq
            | BinaryOperator::LtEq
            | BinaryOperator::Spaceship
            | BinaryOperator::Eq
            | BinaryOperator::NotEq
            | BinaryOperator::And
            | BinaryOperator::Or
            | BinaryOperator::Xor
            | BinaryOperator::Arrow
            | BinaryOperator::LongArrow
            | BinaryOperator::HashArrow
            | BinaryOperator::HashLongArrow
    )
}
