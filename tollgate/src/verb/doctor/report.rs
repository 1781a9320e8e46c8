//! What was found: one line for each check that is well, and one for each thing that is not.

use serde_json::{Value, json};

use crate::failure::Failure;
use crate::output::{Form, print};

/// All findings, in the order in which they were made.
#[derive(Default)]
pub(super) struct Report {
    findings: Vec<Finding>,
}

struct Finding {
    verdict: Verdict,
    check: &'static str,
    what: String,
    /// Empty when nothing is to be done.
    remedy: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Ok,
    /// It works, but may not be what was meant, or not for long.
    Warning,
    Problem,
}

/// Findings of one check that are told one by one; the others are told as a number.
const TOLD_MAX: usize = 50;

impl Report {
    pub(super) fn ok(&mut self, check: &'static str, what: impl Into<String>) {
        self.add(Verdict::Ok, check, what, "");
    }

    pub(super) fn warning(
        &mut self,
        check: &'static str,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.add(Verdict::Warning, check, what, remedy);
    }

    pub(super) fn problem(
        &mut self,
        check: &'static str,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.add(Verdict::Problem, check, what, remedy);
    }

    /// Whether a check has found nothing.
    pub(super) fn is_silent(&self, check: &str) -> bool {
        self.findings.iter().all(|finding| finding.check != check)
    }

    pub(super) fn problems(&self) -> usize {
        let of_problem = |finding: &&Finding| finding.verdict == Verdict::Problem;
        self.findings.iter().filter(of_problem).count()
    }

    pub(super) fn tell(&self, form: Form) -> Result<(), Failure> {
        match form {
            Form::Json => {
                let rows: Vec<Value> = self.findings.iter().map(Finding::shown).collect();
                form.list(&[], &rows)
            }
            Form::Table | Form::Csv => self.tell_people(),
        }
    }

    /// Sentences do not fit into columns; each finding is a line, and what to do stands at its end.
    fn tell_people(&self) -> Result<(), Failure> {
        let mut told = std::collections::BTreeMap::new();
        for finding in &self.findings {
            let count = told.entry(finding.check).or_insert(0_usize);
            *count += 1;
            if *count <= TOLD_MAX {
                print(&finding.line())?;
            }
        }
        for (check, count) in told.into_iter().filter(|(_, count)| *count > TOLD_MAX) {
            print(&format!(
                "{check}: {} more; --output json has them all",
                count - TOLD_MAX
            ))?;
        }
        Ok(())
    }

    fn add(
        &mut self,
        verdict: Verdict,
        check: &'static str,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.findings.push(Finding {
            verdict,
            check,
            what: what.into(),
            remedy: remedy.into(),
        });
    }
}

impl Verdict {
    fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Problem => "problem",
        }
    }
}

impl Finding {
    fn line(&self) -> String {
        let Self {
            check, what, remedy, ..
        } = self;
        let verdict = self.verdict.as_str();
        let rest = if remedy.is_empty() {
            String::new()
        } else {
            format!("; {remedy}")
        };
        format!("{verdict:7}  {check}: {what}{rest}")
    }

    fn shown(&self) -> Value {
        let remedy = (!self.remedy.is_empty()).then_some(&self.remedy);
        json!({"verdict": self.verdict.as_str(), "check": self.check, "what": self.what, "remedy": remedy})
    }
}
