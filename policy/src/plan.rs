//! From a model name to a plan: which rule wins, and what it names.
//!
//! Nearer rules win: the tenant's routes, then the installation's, then `provider/model` taken at its word, then the
//! prefixes that the program brings. Inside one scope the most specific pattern wins. Planning and explaining walk
//! the same [`winner`], so an explanation cannot disagree with what calls do.

use crate::route::{Route, Scope, Target};

/// The rules that hold for one caller.
#[derive(Clone, Copy)]
pub struct Rules<'a> {
    pub tenant: &'a [Route],
    pub global: &'a [Route],
    pub built_in: &'a [Route],
    /// Whether a name is that of a provider, for `provider/model`.
    pub is_provider: &'a dyn Fn(&str) -> bool,
}

/// The ordered targets for one call, and the rule they come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    pub model_name: String,
    pub rule: Rule,
    pub targets: Vec<Target>,
}

/// What decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// The route with this id.
    Route { id: String, scope: Scope },
    /// The model name itself, read as `provider/model`.
    NamedProvider,
}

/// How a plan came about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// Every rule, in the order in which they count.
    pub considered: Vec<Considered>,
    /// `None` when no rule knows the model name.
    pub plan: Option<Plan>,
}

/// One rule that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Considered {
    pub rule: Rule,
    /// The route's pattern, or `provider/model`.
    pub pattern: String,
    pub verdict: Verdict,
}

/// What became of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It decides.
    Won,
    /// It matches, but one before it decided.
    Outranked,
    /// It is about other names.
    NoMatch,
}

impl Verdict {
    /// The reason in words for people.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Won => "the nearest and most specific rule that matches",
            Self::Outranked => "matches, but a nearer or more specific rule comes first",
            Self::NoMatch => "does not match this model name",
        }
    }
}

/// The plan for a model name; `None` when no rule knows it.
pub fn plan(model_name: &str, rules: &Rules<'_>) -> Option<Plan> {
    winner(model_name, rules).map(|winner| winner.plan(model_name))
}

/// All rules in the order in which they count, which of them won, and the plan that follows.
pub fn explain(model_name: &str, rules: &Rules<'_>) -> Explanation {
    let winner = winner(model_name, rules);
    let considered = in_order(rules)
        .into_iter()
        .map(|candidate| Considered {
            verdict: match &winner {
                Some(winner) if winner.is(&candidate) => Verdict::Won,
                _ if candidate.matches(model_name, rules) => Verdict::Outranked,
                _ => Verdict::NoMatch,
            },
            rule: candidate.rule(),
            pattern: candidate.pattern().to_owned(),
        })
        .collect();
    Explanation {
        considered,
        plan: winner.map(|winner| winner.plan(model_name)),
    }
}

/// A rule that may decide.
#[derive(Clone, Copy)]
enum Candidate<'a> {
    Route(&'a Route),
    NamedProvider,
}

fn winner<'a>(model_name: &str, rules: &Rules<'a>) -> Option<Candidate<'a>> {
    most_specific(model_name, rules.tenant)
        .or_else(|| most_specific(model_name, rules.global))
        .or_else(|| named_provider(model_name, rules).map(|_| Candidate::NamedProvider))
        .or_else(|| most_specific(model_name, rules.built_in))
}

fn most_specific<'a>(model_name: &str, routes: &'a [Route]) -> Option<Candidate<'a>> {
    let matching = routes.iter().filter(|route| route.pattern.matches(model_name));
    matching
        .min_by(|a, b| a.pattern.compare_specificity(&b.pattern))
        .map(Candidate::Route)
}

fn named_provider<'n>(model_name: &'n str, rules: &Rules<'_>) -> Option<(&'n str, &'n str)> {
    let (provider, model) = model_name.split_once('/')?;
    (!model.is_empty() && (rules.is_provider)(provider)).then_some((provider, model))
}

fn in_order<'a>(rules: &Rules<'a>) -> Vec<Candidate<'a>> {
    let sorted = |routes: &'a [Route]| {
        let mut routes: Vec<&Route> = routes.iter().collect();
        routes.sort_by(|a, b| a.pattern.compare_specificity(&b.pattern));
        routes.into_iter().map(Candidate::Route)
    };
    let mut candidates: Vec<Candidate<'a>> = sorted(rules.tenant).chain(sorted(rules.global)).collect();
    candidates.push(Candidate::NamedProvider);
    candidates.extend(sorted(rules.built_in));
    candidates
}

impl Candidate<'_> {
    fn plan(&self, model_name: &str) -> Plan {
        let targets = match self {
            Self::Route(route) => route
                .targets
                .iter()
                .map(|target| target.resolve(model_name))
                .collect(),
            Self::NamedProvider => {
                let named = model_name.split_once('/');
                named
                    .map(|(provider, model)| Target {
                        provider: provider.to_owned(),
                        model: model.to_owned(),
                    })
                    .into_iter()
                    .collect()
            }
        };
        Plan {
            model_name: model_name.to_owned(),
            rule: self.rule(),
            targets,
        }
    }

    fn rule(&self) -> Rule {
        match self {
            Self::Route(route) => Rule::Route {
                id: route.id.clone(),
                scope: route.scope,
            },
            Self::NamedProvider => Rule::NamedProvider,
        }
    }

    fn pattern(&self) -> &str {
        match self {
            Self::Route(route) => route.pattern.as_str(),
            Self::NamedProvider => "provider/model",
        }
    }

    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Route(one), Self::Route(another)) => std::ptr::eq(*one, *another),
            (Self::NamedProvider, Self::NamedProvider) => true,
            _ => false,
        }
    }

    fn matches(&self, model_name: &str, rules: &Rules<'_>) -> bool {
        match self {
            Self::Route(route) => route.pattern.matches(model_name),
            Self::NamedProvider => named_provider(model_name, rules).is_some(),
        }
    }
}

#[cfg(test)]
mod tests;
