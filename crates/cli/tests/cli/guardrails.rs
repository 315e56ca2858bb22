//! The steps of docs/guardrails.md run as written, each section in a folder of its own.
//!
//! How the page is read is what it tells its readers under "Before you start":
//!
//! - a `yaml` block goes into `passgate.yml`, its members in the place of those of the same name
//! - each line of a `sh` block is a command; `# allow` or `# exit N: REASON` is how a `call` ends, `the API gets X` what the
//!   API answers with, since it answers with what it gets, and `prints X` what any other command prints
//! - a `text` block is what the command before it prints, with `…` for what differs, on a line of its own for some lines
//! - a word such as `areq_…` stands for the last word printed that begins like it

use std::fs;
use std::io::{BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;

use serde_json::json;
use tempfile::TempDir;

use crate::readme::{shell, spliced};
use crate::support::{Run, Served, next_request};

pub(crate) const GUIDE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/guardrails.md");
const SET_UP: &str = "Before you start";
/// Blocks that other tests take their commands from.
const ELSEWHERE: [&str; 1] = ["passgate budgets held"];

/// The lines below a heading, up to the next.
fn section(title: &str) -> String {
    let is_heading = |line: &&str| line.starts_with("## ") || line.starts_with("### ");
    let is_wanted = |line: &&str| is_heading(line) && line.trim_start_matches('#').trim() == title;
    let mut fenced = false;
    let guide = fs::read_to_string(GUIDE).unwrap();
    let below = guide.lines().skip_while(|line| !is_wanted(line)).skip(1).take_while(|line| {
        fenced ^= line.starts_with("```");
        fenced || !is_heading(line)
    });
    below.map(|line| format!("{line}\n")).collect()
}

/// The fenced blocks of a section: language and text.
fn blocks(section: &str) -> Vec<(&str, &str)> {
    let inside = section.split("```").skip(1).step_by(2);
    inside.map(|block| block.split_once('\n').unwrap()).map(|(language, text)| (language, text.trim_end())).collect()
}

/// Command and comment.
fn parts(line: &str) -> (&str, &str) {
    let (command, comment) = line.split_once("  #").unwrap_or((line, ""));
    (command.trim(), comment.trim())
}

/// Whether a text is the pattern, in which `…` is anything.
fn fits(pattern: &str, text: &str) -> bool {
    let mut pieces = pattern.split('…');
    let first = pieces.next().unwrap();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut last = None;
    for piece in pieces {
        // What stands last has to end the text, so it is looked for from there.
        if let Some(before) = last.replace(piece) {
            let Some(found) = rest.split_once(before) else { return false };
            rest = found.1;
        }
    }
    last.map_or(rest.is_empty(), |last| rest.ends_with(last))
}

/// Whether lines are those of the pattern, in which `…` alone is any number of lines.
fn lines_fit(pattern: &[&str], lines: &[&str]) -> bool {
    match pattern.split_first() {
        None => lines.is_empty(),
        Some((&"…", rest)) => (0..=lines.len()).any(|skipped| lines_fit(rest, &lines[skipped..])),
        Some((first, rest)) => lines.first().is_some_and(|line| fits(first, line)) && lines_fit(rest, &lines[1..]),
    }
}

/// The API of the page.
struct Api {
    child: Child,
    url: String,
    log: PathBuf,
}

impl Api {
    /// Runs the script of the page on a free port.
    fn start(folder: &TempDir, script: &str) -> Self {
        assert!(script.contains("9000"), "the port that `init` writes: {script}");
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let (path, log) = (folder.path().join("api.py"), folder.path().join("api.log"));
        fs::write(&path, script.replace("9000", &address.port().to_string())).unwrap();
        let mut python = Command::new("python3");
        python.arg("-u").arg(&path).stdin(Stdio::null()).stderr(fs::File::create(&log).unwrap());
        let mut child = python.spawn().unwrap();
        while TcpStream::connect(address).is_err() {
            let ended = child.try_wait().unwrap();
            assert!(ended.is_none(), "{}", fs::read_to_string(&log).unwrap());
        }
        Self { child, url: format!("http://{address}"), log }
    }

    /// How many requests arrived.
    fn arrived(&self) -> usize {
        fs::read_to_string(&self.log).unwrap().lines().filter(|line| line.contains("HTTP/1.1\" 200")).count()
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _waited = self.child.wait();
    }
}

/// The URL of a model that wants records named one by one.
fn model() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let asked = next_request(&mut stream).unwrap();
            let said = if asked.contains("/records/all") {
                json!({ "verdict": "deny", "confidence": 90, "reason": "It names no record." })
            } else {
                json!({ "verdict": "allow", "confidence": 80, "reason": "It is one record." })
            };
            let body = json!({ "choices": [{ "message": { "content": said.to_string() } }] }).to_string();
            let head = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
            stream.get_mut().write_all([head, body].concat().as_bytes()).unwrap();
        }
    });
    url
}

/// A reader on the way through a section.
struct Walk {
    folder: TempDir,
    api: Api,
    served: Option<Served>,
    /// Where a model answers.
    model: String,
    /// All that the commands printed.
    printed: String,
    /// How many calls were allowed.
    allowed: usize,
}

impl Walk {
    /// Does what the page says to do first.
    fn begin() -> Self {
        let section = section(SET_UP);
        let blocks = blocks(&section);
        let of = |language: &str| -> Vec<&str> {
            blocks.iter().filter(|block| block.0 == language).map(|block| block.1).collect()
        };
        let (scripts, steps) = (of("python"), of("sh"));
        assert_eq!((scripts.len(), steps.len()), (1, 2), "an API; making a gate, and running both");
        let running: Vec<&str> = steps[1].lines().map(|line| parts(line).0).collect();
        assert_eq!(running, ["python3 api.py", "passgate serve"]);
        let folder = tempfile::tempdir().unwrap();
        shell(folder.path(), steps[0]).exits(0);
        let api = Api::start(&folder, scripts[0]);
        Self { folder, api, served: None, model: model(), printed: String::new(), allowed: 0 }
    }

    fn gate(&self) -> PathBuf {
        self.folder.path().join("gate")
    }

    fn stop(&mut self) {
        if let Some(served) = self.served.take() {
            assert_eq!(served.stop("-TERM"), 0);
        }
    }

    /// Puts a block where the page says that it goes. A gate that runs ends, so that the next step starts it with this.
    fn configure(&mut self, yaml: &str) {
        self.stop();
        let path = self.gate().join("passgate.yml");
        let config = fs::read_to_string(&path).unwrap();
        let yaml = self.with_own_key(yaml).replace("https://models.example.com", &self.model);
        fs::write(&path, spliced(&config, &yaml)).unwrap();
        shell(&self.gate(), "passgate policy check").exits(0);
    }

    /// The reader's own public key in the place of the page's.
    fn with_own_key(&self, yaml: &str) -> String {
        let Some((before, rest)) = yaml.split_once("encrypt_to: {") else { return yaml.to_owned() };
        let own = self.printed.lines().rfind(|line| line.contains("\"crv\":\"X25519\"")).unwrap();
        format!("{before}encrypt_to: {own}{}", rest.split_once('}').unwrap().1)
    }

    /// The last word printed that begins like this.
    fn last(&self, beginning: &str) -> &str {
        let mut words = self.printed.split(|c: char| !c.is_ascii_alphanumeric() && !"_-.".contains(c));
        let found = words.rfind(|word| word.starts_with(beginning));
        found.unwrap_or_else(|| panic!("no {beginning}: {}", self.printed)).trim_end_matches('.')
    }

    fn filled_in(&self, command: &str) -> String {
        let mut words: Vec<String> = command.split(' ').map(str::to_owned).collect();
        for word in &mut words {
            if let Some(beginning) = word.strip_suffix('…') {
                *word = self.last(beginning).to_owned();
            }
        }
        words.join(" ")
    }

    /// Runs a command and holds its end against the comment.
    fn step(&mut self, line: &str) -> Run {
        let (command, comment) = parts(line);
        let command = self.filled_in(command);
        if self.served.is_none() && needs_gate(&command) {
            let is_first = fs::read_to_string(self.gate().join("passgate.yml")).unwrap().contains(":8787");
            self.served =
                Some(if is_first { Served::start(&self.gate(), &self.api.url) } else { Served::again(&self.gate()) });
        }
        let url = self.served.as_ref().map_or("", |served| &served.url);
        let mut command = command.replace("http://127.0.0.1:8787", url);
        if command.starts_with("passgate approvals approve") {
            // A reader has a terminal and says `yes`.
            command.push_str(" --yes");
        }
        let run = shell(&self.gate(), &command);
        self.check(line, comment, &run);
        self.printed.push_str(&format!("{}\n{}\n", run.stdout, run.stderr));
        run
    }

    /// Holds what a command printed against what the page shows of it.
    fn prints(&mut self, (line, run): (&str, Run), shown: &str) {
        assert!(line.starts_with("passgate ledger query"), "{line}: changes what it shows");
        let pattern: Vec<&str> = shown.lines().collect();
        let fits = |run: &Run| lines_fit(&pattern, &run.stdout.lines().collect::<Vec<_>>());
        if fits(&run) {
            return;
        }
        // An outcome is written beside the answer, and before the gate ends.
        self.stop();
        let run = shell(&self.gate(), parts(line).0).exits(0);
        assert!(fits(&run), "the page shows\n{shown}\n\nand `{line}` prints\n{}", run.stdout);
    }

    fn check(&mut self, line: &str, comment: &str, run: &Run) {
        let told = || format!("{line}\n{}\n{}", run.stdout, run.stderr);
        let code = match comment.strip_prefix("exit ") {
            Some(end) => {
                let (code, reason) = end.split_once(": ").unwrap_or_else(|| panic!("{line}: without a reason"));
                let reason = reason.split(',').next().unwrap();
                assert!(run.stderr.contains(reason), "{}", told());
                code.parse().unwrap()
            }
            None => 0,
        };
        assert_eq!(run.code, code, "{}", told());
        if line.starts_with("passgate call") && code == 0 {
            assert!(comment.starts_with("allow"), "{line}: says not how it ends");
            assert!(run.stderr.contains("allow (HTTP 200"), "{}", told());
        }
        if line.starts_with("passgate call") {
            self.allowed += usize::from(run.stderr.contains("allow (") || run.stderr.contains("allow response_"));
        }
        for said in ["the API gets ", "prints "] {
            if let Some((_, text)) = comment.split_once(said) {
                assert!(fits(&format!("…{text}…"), &run.stdout), "{}", told());
            }
        }
        if comment.ends_with("areq_…") {
            let id = run.stderr.split("areq_").nth(1).unwrap().split(|c: char| !c.is_ascii_alphanumeric()).next();
            assert!(!self.printed.contains(&format!("areq_{}", id.unwrap())), "a new one: {}", told());
        }
    }
}

fn needs_gate(command: &str) -> bool {
    let asks = ["ledger", "approvals", "sessions", "budgets"].map(|noun| format!("passgate {noun} "));
    command.contains(":8787") || asks.iter().any(|asks| command.starts_with(asks))
}

/// Walks through a section as a reader does.
fn walk(title: &str) {
    let text = section(title);
    let blocks = blocks(&text);
    let mut walk = Walk::begin();
    let mut shown = String::new();
    let mut last = None;
    for (language, text) in &blocks {
        match *language {
            "yaml" => walk.configure(text),
            "js" | "python" => {}
            "sh" if ELSEWHERE.iter().any(|first| text.starts_with(first)) => {}
            "sh" => {
                for line in text.lines() {
                    last = Some((line, walk.step(line)));
                }
            }
            "text" => {
                walk.prints(last.take().unwrap_or_else(|| panic!("{title}: of which command?\n{text}")), text);
                shown.push_str(text);
            }
            other => panic!("{title}: a block of {other}"),
        }
    }
    let shows = |any: &[&str]| any.iter().any(|words| shown.contains(words));
    assert!(shows(&["  allow  "]) && shows(&["  pass\n"]), "{title}: what is let through, and its record");
    assert!(shows(&["  deny  ", "  step_up  ", "  withheld  "]), "{title}: what is refused");
    assert!(shows(&["  fail  ", "  step_up  "]), "{title}: the record of what is refused");
    assert_eq!(walk.api.arrived(), walk.allowed, "{title}: what is allowed gets to the API, and nothing else");
    shell(&walk.gate(), "passgate ledger verify").exits(0);
}

/// A test for each section, by its heading.
macro_rules! sections {
    ($($test:ident: $title:literal,)*) => {
        const SECTIONS: &[&str] = &[$($title),*];
        $(
            #[test]
            fn $test() {
                walk($title);
            }
        )*
    };
}

sections! {
    permission_scope: "Permission scope",
    spending: "Spending",
    sent_again: "Requests that are sent again",
    rates: "Rates",
    domains: "Domains",
    personal_data: "Personal data and secrets",
    encrypted_values: "Encrypted values",
    responses: "Responses",
    approvals: "Approvals",
    rules: "Rules",
    effect_classes: "Effect classes",
    sessions: "Sessions",
    guardian: "Guardian",
}

#[test]
fn every_section_is_walked_through() {
    let mut fenced = false;
    let guide = fs::read_to_string(GUIDE).unwrap();
    let outside = guide.lines().filter(|line| {
        fenced ^= line.starts_with("```");
        !fenced
    });
    let headings = outside.filter(|line| line.starts_with("##")).map(|line| line.trim_start_matches('#').trim());
    assert_eq!(headings.collect::<Vec<_>>(), [&[SET_UP], SECTIONS].concat());
}

#[test]
fn patterns_fit_what_they_show_and_nothing_else() {
    assert!(fits("a…b…c", "a1b2c") && fits("…", "") && fits("a", "a") && fits("…b", "abb"));
    assert!(!fits("a…b…c", "a1c") && !fits("a", "ab") && !fits("a…", "ba") && !fits("ab…b", "ab"));
    assert!(lines_fit(&["…", "a", "…"], &["1", "2", "a"]) && lines_fit(&["…"], &[]));
    assert!(!lines_fit(&["…", "a"], &["a", "b"]) && !lines_fit(&["a"], &[]) && !lines_fit(&[], &["a"]));
}
