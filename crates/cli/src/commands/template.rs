//! `template`: policies to begin with.

mod library;

use std::path::{Path, PathBuf};

use clap::Subcommand;
use passgate_host::config::{self, Config};
use passgate_host::files::{self as host_files, Existing};
use passgate_host::policy::{PolicyFile, TemplateDoc};
use serde_json::{Value, json};

use crate::commands::policy;
use crate::context::Context;
use crate::exit::{Exit, Failure, Outcome};
use crate::inert::inert;

/// The operator's own templates, beside the configuration.
const OWN_FOLDER: &str = "templates";
/// Where templates are copied to.
const POLICIES_FOLDER: &str = "policies";

/// Verbs of `template`.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the templates: those that come with the program, and those in the folder templates/
    List,
    /// Print a template and its tests
    Show {
        /// The template
        name: String,
    },
    /// Copy a template and its tests to policies/, and add it to the configuration
    Apply {
        /// The template
        name: String,
    },
}

/// A template, and where it comes from.
struct Template {
    name: String,
    text: String,
    /// Its tests, if it has any.
    tests: Option<String>,
    is_own: bool,
}

pub(crate) fn run(command: &Command, context: &Context) -> Outcome {
    match command {
        Command::List => list(context),
        Command::Show { name } => show(name, context),
        Command::Apply { name } => apply(name, context),
    }
}

/// The names of all of them, in order.
fn names(context: &Context) -> Vec<String> {
    let mut names: Vec<String> = library::TEMPLATES.iter().map(|(name, _, _)| (*name).to_owned()).collect();
    let entries = context.base().join(OWN_FOLDER).read_dir().into_iter().flatten().filter_map(Result::ok);
    let files = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names.extend(files.filter_map(|file| file.strip_suffix(".yml").map(str::to_owned)));
    names.retain(|name| !name.ends_with("_test"));
    names.sort();
    names.dedup();
    names
}

/// The operator's own template of this name, else the one that comes with the program.
fn named(name: &str, context: &Context) -> Result<Template, Failure> {
    if !names(context).iter().any(|known| known == name) {
        return Err(Failure::usage(format_args!("there is no template `{}`", inert(name)))
            .hint("`passgate template list` shows them"));
    }
    let folder = context.base().join(OWN_FOLDER);
    let path = folder.join(format!("{name}.yml"));
    let shipped = library::TEMPLATES.iter().find(|(known, _, _)| *known == name);
    if let Some((name, text, tests)) = shipped.filter(|_| !path.exists()) {
        let (text, tests) = ((*text).to_owned(), Some((*tests).to_owned()));
        return Ok(Template { name: (*name).to_owned(), text, tests, is_own: false });
    }
    let text = std::fs::read_to_string(&path).map_err(|error| Failure::io("read", &path, &error))?;
    let tests = std::fs::read_to_string(folder.join(format!("{name}_test.yml"))).ok();
    Ok(Template { name: name.to_owned(), text, tests, is_own: true })
}

impl Template {
    fn described(&self) -> Result<TemplateDoc, Failure> {
        let path = PathBuf::from(format!("{}.yml", self.name));
        let file: PolicyFile = config::parse_document(&path, &self.text)?;
        let missing = || Failure::config(format_args!("{}: member `template` is missing", path.display()));
        file.template.ok_or_else(missing)
    }
}

fn list(context: &Context) -> Outcome {
    let mut rows = Vec::new();
    for name in names(context) {
        match named(&name, context).and_then(|template| Ok((template.described()?, template))) {
            Ok(row) => rows.push(row),
            Err(failure) => context.output.failure(&failure),
        }
    }
    rows.sort_by(|(a, x), (b, y)| (&a.group, &x.name).cmp(&(&b.group, &y.name)));
    if context.output.is_json() {
        let row = |(doc, template): &(TemplateDoc, Template)| json!({"name": template.name, "title": doc.title, "group": doc.group, "level": doc.level, "own": template.is_own});
        let rows: Vec<Value> = rows.iter().map(row).collect();
        context.output.json(json!({ "templates": rows }))?;
        return Ok(Exit::Ok);
    }
    let mut group = String::new();
    for (doc, template) in rows {
        if doc.group != group {
            context.output.data(&inert(&doc.group))?;
            group = doc.group;
        }
        context.output.data(&format!("  {:32}  {:?}  {}", inert(&template.name), doc.level, inert(&doc.title)))?;
    }
    Ok(Exit::Ok)
}

fn show(name: &str, context: &Context) -> Outcome {
    let template = named(name, context)?;
    if context.output.is_json() {
        context.output.json(json!({"name": template.name, "policy": template.text, "tests": template.tests}))?;
        return Ok(Exit::Ok);
    }
    context.output.raw(template.text.as_bytes())?;
    if let Some(tests) = template.tests {
        context.output.data("---")?;
        context.output.raw(tests.as_bytes())?;
    }
    Ok(Exit::Ok)
}

fn apply(name: &str, context: &Context) -> Outcome {
    let template = named(name, context)?;
    let path = context.config_path()?;
    let base = path.parent().map(Path::to_owned).unwrap_or_default();
    let folder = base.join(POLICIES_FOLDER);
    let before = std::fs::read_to_string(&path).map_err(|error| Failure::io("read", &path, &error))?;
    let entry = format!("{POLICIES_FOLDER}/{name}.yml");
    let after = with_entry(&before, &entry).ok_or_else(|| {
        Failure::usage("the configuration lists policy files already")
            .hint(format_args!("add `{entry}` to them by hand"))
    })?;
    std::fs::create_dir_all(&folder).map_err(|error| Failure::io("make", &folder, &error))?;
    let written =
        [(format!("{name}.yml"), Some(&template.text)), (format!("{name}_test.yml"), template.tests.as_ref())];
    for (file, text) in written {
        let Some(text) = text else { continue };
        copy(&folder.join(file), text, &entry)?;
    }
    policy::write_schemas(&base)?;
    host_files::rewrite(&path, after.as_bytes()).map_err(Failure::usage)?;
    if let Err(error) = Config::load(&path) {
        host_files::rewrite(&path, before.as_bytes()).map_err(Failure::usage)?;
        return Err(Failure::from(error)
            .hint(format_args!("the configuration is as it was; adapt {entry}, and add it to `policy_files`")));
    }
    for step in template.described()?.adapt {
        context.output.say(&format!("adapt: {}", inert(&step)));
    }
    context
        .output
        .data(&format!("{entry} is part of {}; try `passgate policy test {POLICIES_FOLDER}`", path.display()))?;
    Ok(Exit::Ok)
}

/// Copies a file of the template, unless it is there as it comes.
fn copy(path: &Path, text: &str, entry: &str) -> Result<(), Failure> {
    match std::fs::read_to_string(path) {
        Ok(found) if found == text => Ok(()),
        Ok(_) => Err(Failure::usage(format_args!("{} is there already, and not as it comes", path.display())).hint(
            format_args!("to use it as it is, add `{entry}` to `policy_files`; to begin anew, move it away first"),
        )),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            host_files::write_public(path, text.as_bytes(), Existing::Keep).map_err(Failure::usage)
        }
        Err(error) => Err(Failure::io("read", path, &error)),
    }
}

/// The configuration with one more policy file; none when it lists some in a way of its own.
fn with_entry(text: &str, entry: &str) -> Option<String> {
    let lines: Vec<&str> = text.lines().collect();
    let Some(at) = lines.iter().position(|line| line.starts_with("policy_files:")) else {
        let gap = if text.ends_with('\n') { "" } else { "\n" };
        return Some(format!("{text}{gap}policy_files:\n  - {entry}\n"));
    };
    let is_block = lines.get(at).is_some_and(|line| line.trim_end() == "policy_files:");
    if !is_block || text.contains(entry) {
        return None;
    }
    let next = lines.get(at + 1).filter(|line| line.trim_start().starts_with("- "));
    let indent = next.map_or("  ", |line| line.split('-').next().unwrap_or_default()).to_owned();
    let mut lines: Vec<String> = lines.into_iter().map(str::to_owned).collect();
    lines.insert(at + 1, format!("{indent}- {entry}"));
    Some(lines.join("\n") + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policy_files_are_added_one_after_the_other() {
        let first = with_entry("version: 1", "policies/a.yml").unwrap();
        assert_eq!(first, "version: 1\npolicy_files:\n  - policies/a.yml\n");
        let second = with_entry(&first, "policies/b.yml").unwrap();
        assert_eq!(second, "version: 1\npolicy_files:\n  - policies/b.yml\n  - policies/a.yml\n");
        assert_eq!(with_entry(&second, "policies/a.yml"), None);
        assert_eq!(with_entry("policy_files: [x.yml]\n", "policies/a.yml"), None);
        let flush = with_entry("policy_files:\n- x.yml\n", "policies/a.yml").unwrap();
        assert_eq!(flush, "policy_files:\n- policies/a.yml\n- x.yml\n");
    }
}
