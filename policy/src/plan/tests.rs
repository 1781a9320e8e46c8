use proptest::prelude::*;

use super::*;
use crate::pattern::Pattern;

fn route(scope: Scope, pattern: &str, targets: &[&str]) -> Route {
    Route {
        id: format!("{}:{pattern}", scope.as_str()),
        scope,
        pattern: Pattern::parse(pattern).unwrap(),
        targets: targets.iter().map(|target| target.parse().unwrap()).collect(),
    }
}

fn is_provider(name: &str) -> bool {
    ["openai", "openrouter"].contains(&name)
}

fn planned(model_name: &str, tenant: &[Route], global: &[Route]) -> Option<String> {
    let built_in = [route(Scope::BuiltIn, "gpt-*", &["openai"])];
    let plan = plan(
        model_name,
        &Rules {
            tenant,
            global,
            built_in: &built_in,
            is_provider: &is_provider,
        },
    )?;
    let targets: Vec<String> = plan
        .targets
        .iter()
        .map(|target| format!("{} {}", target.provider, target.model))
        .collect();
    Some(targets.join(", "))
}

#[test]
fn built_in_prefixes_and_named_providers_need_no_route() {
    assert_eq!(planned("gpt-4o", &[], &[]).as_deref(), Some("openai gpt-4o"));
    assert_eq!(planned("openai/o3", &[], &[]).as_deref(), Some("openai o3"));
    assert_eq!(
        planned("openrouter/meta/llama-3", &[], &[]).as_deref(),
        Some("openrouter meta/llama-3")
    );
    for unknown in ["llama-3", "nobody/llama-3", "openai/", ""] {
        assert_eq!(planned(unknown, &[], &[]), None, "{unknown}");
    }
}

#[test]
fn the_tenant_comes_before_the_installation_and_both_before_the_rest() {
    let tenant = [route(Scope::Tenant, "gpt-*", &["openrouter"])];
    let global = [
        route(Scope::Global, "gpt-4o", &["openai/gpt-4o-2024-08-06"]),
        route(Scope::Global, "openai/*", &["openrouter/auto"]),
    ];
    assert_eq!(
        planned("gpt-4o", &tenant, &global).as_deref(),
        Some("openrouter gpt-4o")
    );
    assert_eq!(
        planned("gpt-4o", &[], &global).as_deref(),
        Some("openai gpt-4o-2024-08-06")
    );
    assert_eq!(
        planned("openai/o3", &tenant, &global).as_deref(),
        Some("openrouter auto")
    );
}

#[test]
fn an_alias_renames_and_a_list_keeps_its_order() {
    let tenant = [route(
        Scope::Tenant,
        "fast",
        &["openrouter/meta/llama-3", "openai/gpt-4o-mini", "openai"],
    )];
    let expected = "openrouter meta/llama-3, openai gpt-4o-mini, openai fast";
    assert_eq!(planned("fast", &tenant, &[]).as_deref(), Some(expected));
}

#[test]
fn an_explanation_says_what_was_looked_at_and_why() {
    let tenant = [
        route(Scope::Tenant, "*", &["openrouter"]),
        route(Scope::Tenant, "gpt-4o", &["openai"]),
    ];
    let built_in = [route(Scope::BuiltIn, "gpt-*", &["openai"])];
    let rules = Rules {
        tenant: &tenant,
        global: &[],
        built_in: &built_in,
        is_provider: &is_provider,
    };
    let explanation = explain("gpt-4o", &rules);
    let told: Vec<(&str, Verdict)> = explanation
        .considered
        .iter()
        .map(|considered| (considered.pattern.as_str(), considered.verdict))
        .collect();
    let expected = [
        ("gpt-4o", Verdict::Won),
        ("*", Verdict::Outranked),
        ("provider/model", Verdict::NoMatch),
        ("gpt-*", Verdict::Outranked),
    ];
    assert_eq!(told, expected);
}

fn patterns() -> impl Strategy<Value = Vec<String>> {
    proptest::collection::hash_set("[ab]{1,3}\\*?|\\*[ab]{0,2}|[ab]\\?[ab]?", 0..6)
        .prop_map(|set| set.into_iter().collect())
}

fn routes(scope: Scope, patterns: &[String]) -> Vec<Route> {
    patterns
        .iter()
        .map(|pattern| route(scope, pattern, &["openai"]))
        .collect()
}

proptest! {
    #[test]
    fn the_plan_is_the_one_explained_and_does_not_depend_on_the_order_of_rules(
        name in "[ab]{1,4}", tenant in patterns(), global in patterns(),
    ) {
        let (tenant, global) = (routes(Scope::Tenant, &tenant), routes(Scope::Global, &global));
        let (tenant_turned, global_turned): (Vec<_>, Vec<_>) =
            (tenant.iter().rev().cloned().collect(), global.iter().rev().cloned().collect());
        let rules = Rules { tenant: &tenant, global: &global, built_in: &[], is_provider: &is_provider };
        let turned = Rules { tenant: &tenant_turned, global: &global_turned, ..rules };
        let explanation = explain(&name, &rules);
        prop_assert_eq!(plan(&name, &rules), plan(&name, &turned));
        prop_assert_eq!(plan(&name, &rules), explanation.plan.clone());

        let won: Vec<&Considered> =
            explanation.considered.iter().filter(|considered| considered.verdict == Verdict::Won).collect();
        prop_assert_eq!(won.first().map(|considered| &considered.rule), explanation.plan.as_ref().map(|plan| &plan.rule));
        prop_assert!(won.len() <= 1);
        // What stands before the winner does not match: nothing nearer or more specific was passed over.
        let before = explanation.considered.iter().take_while(|considered| considered.verdict != Verdict::Won);
        if !won.is_empty() {
            prop_assert!(before.into_iter().all(|considered| considered.verdict == Verdict::NoMatch));
        }
    }
}
