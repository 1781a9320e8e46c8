use std::collections::HashSet;
use std::sync::Arc;

use dialect::Usage;
use proptest::prelude::*;

use super::*;

const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

fn rates(text: &str) -> Rates {
    text.parse().unwrap()
}

fn list(prices: &[(&str, &str, Option<i64>, &str)]) -> Option<Arc<PriceList>> {
    let mut list = PriceList::default();
    for (provider, model, from_ms, price) in prices {
        let price = ModelPrice {
            from_ms: *from_ms,
            price: price.parse().unwrap(),
            context: None,
            max_output: None,
        };
        assert!(list.add(provider, model, Arc::new(price)));
    }
    Some(Arc::new(list))
}

fn input(input_tokens: u64) -> Usage {
    Usage {
        input_tokens,
        ..Usage::default()
    }
}

fn nano(priced: &Priced) -> Option<u64> {
    match priced {
        Priced::Cost { nano_dollars, .. } => Some(*nano_dollars),
        Priced::Unpriced => None,
    }
}

#[test]
fn a_rate_is_read_exactly_or_not_at_all() {
    let table = [
        ("2.5", 2_500_000_000),
        ("0", 0),
        ("0.000000001", 1),
        ("15", 15_000_000_000),
        ("0.0750", 75_000_000),
        ("3.10", 3_100_000_000),
        ("2.0000000000000", 2_000_000_000),
        ("18446744073.709551615", u64::MAX),
    ];
    for (text, nano) in table {
        assert_eq!(text.parse(), Ok(Rate(nano)), "{text}");
    }
    for text in [
        "",
        ".",
        "1.",
        ".5",
        "-1",
        "+1",
        "1e-6",
        "0.0000000001",
        "1,5",
        " 1",
        "NaN",
        "18446744073.709551616",
        "99999999999999999999",
    ] {
        assert_eq!(
            text.parse::<Rate>(),
            Err(PriceError::Rate(text.to_owned())),
            "{text}"
        );
    }
}

#[test]
fn each_token_is_charged_once_by_what_it_is() {
    let all = rates(
        "input 1, cached 0.1, cache_write 1.25, cache_write_1h 2, audio_input 32, output 5, reasoning 7, \
         audio_output 64, image_output 30",
    );
    let usage = Usage {
        input_tokens: 1_000,
        cached_input_tokens: 300,
        cache_write_tokens: 200,
        cache_write_1h_tokens: 50,
        audio_input_tokens: 100,
        output_tokens: 500,
        reasoning_tokens: 200,
        audio_output_tokens: 60,
        image_output_tokens: 40,
        tier: None,
    };
    // A thousandth of a dollar for a million tokens is a nano-dollar for each.
    let thousandths = 400 * 1_000 + 300 * 100 + 150 * 1_250 + 50 * 2_000 + 100 * 32_000;
    let of_output = 200 * 5_000 + 200 * 7_000 + 60 * 64_000 + 40 * 30_000;
    assert_eq!(all.cost(&usage), Some(thousandths + of_output));
    let plain = rates("input 1, output 5");
    assert_eq!(plain.cost(&usage), Some(1_000 * 1_000 + 500 * 5_000));
    // What was written for an hour costs what is written, where nothing else is said.
    let written = rates("input 1, cache_write 1.25, output 5");
    assert_eq!(
        written.cost(&usage),
        Some(800 * 1_000 + 200 * 1_250 + 500 * 5_000)
    );
}

#[test]
fn counts_that_do_not_add_up_charge_no_token_twice() {
    let all = rates("input 1, cached 0.5, cache_write 2, audio_input 3, output 1, reasoning 2");
    let usage = Usage {
        input_tokens: 10,
        cached_input_tokens: 8,
        cache_write_tokens: 8,
        cache_write_1h_tokens: 9,
        audio_input_tokens: 9,
        output_tokens: 4,
        reasoning_tokens: 9,
        ..Usage::default()
    };
    assert_eq!(all.cost(&usage), Some(8 * 500 + 2 * 2_000 + 4 * 2_000));
}

#[test]
fn a_row_loses_at_most_half_a_nano_dollar() {
    let smallest = rates("input 0.000000001");
    assert_eq!(smallest.cost(&input(499_999)), Some(0));
    assert_eq!(smallest.cost(&input(500_000)), Some(1));
    assert_eq!(smallest.cost(&input(1_499_999)), Some(1));
    assert_eq!(smallest.cost(&input(0)), Some(0));
    assert_eq!(
        rates("input 18446744073").cost(&input(u64::MAX)),
        None,
        "nobody can pay that"
    );
}

#[test]
fn output_without_a_price_is_not_free() {
    let embedding = rates("input 0.02");
    assert_eq!(embedding.cost(&input(50)), Some(1_000));
    let with_output = Usage {
        output_tokens: 1,
        ..input(50)
    };
    assert_eq!(embedding.cost(&with_output), None);
}

#[test]
fn a_long_input_changes_the_price_of_all_of_the_call() {
    let price: Price = "input 2, output 10\nover 1000: input 4, output 15\nover 5000: input 6, output 20"
        .parse()
        .unwrap();
    let at = |tokens| {
        price
            .rates(Tier::Standard, tokens)
            .unwrap()
            .rate(Component::Output)
    };
    for (tokens, output) in [(0, 10), (1_000, 10), (1_001, 15), (5_000, 15), (5_001, 20)] {
        assert_eq!(at(tokens), Some(Rate(output * NANO_DOLLARS)), "{tokens}");
    }
}

#[test]
fn a_tier_without_a_price_is_charged_as_usual_where_that_is_no_less() {
    let price: Price = "input 2, output 10; priority: input 3, output 20; over 1000: input 4, output 15"
        .parse()
        .unwrap();
    let input_rate = |tier, tokens| {
        let rates = price.rates(tier, tokens)?;
        rates.rate(Component::Input).map(|rate| rate.0 / NANO_DOLLARS)
    };
    assert_eq!(input_rate(Tier::Priority, 10), Some(3));
    assert_eq!(input_rate(Tier::Priority, 2_000), Some(4));
    assert_eq!(input_rate(Tier::Flex, 10), Some(2));
    assert_eq!(input_rate(Tier::Batch, 2_000), Some(4));
    assert_eq!(
        input_rate(Tier::Fast, 10),
        None,
        "which may be dearer, and nobody says by how much"
    );
}

#[test]
fn what_vendors_call_their_tiers_is_understood() {
    let table = [
        (None, Tier::Standard),
        (Some("default"), Tier::Standard),
        (Some("ON_DEMAND"), Tier::Standard),
        (Some("flex"), Tier::Flex),
        (Some("priority"), Tier::Priority),
        (Some("PRIORITY"), Tier::Priority),
        (Some("batch"), Tier::Batch),
    ];
    for (word, tier) in table {
        assert_eq!(Tier::of_vendor(word), tier, "{word:?}");
    }
}

#[test]
fn what_is_no_price_is_refused_with_the_reason() {
    use PriceError::{Head, NoInput, NoSuchKind, NotARate, Rate, Twice};
    let table = [
        ("", NoInput),
        ("output 1", NoInput),
        ("batch: input 1", NoInput),
        ("input 1; batch: output 1", NoInput),
        ("input", NotARate("input".to_owned())),
        ("input 1,", NotARate(String::new())),
        ("input 1 2", NotARate("input 1 2".to_owned())),
        ("inputs 1", NoSuchKind("inputs".to_owned())),
        ("input 1, input 2", Twice("input".to_owned())),
        ("input 1; standard: input 2", Twice("standard".to_owned())),
        (
            "input 1; over 5 flex: input 2; over 5 flex: input 2",
            Twice("over 5 flex".to_owned()),
        ),
        ("input 1; cheap: input 2", Head("cheap".to_owned())),
        ("input 1; over 0: input 2", Head("over 0".to_owned())),
        ("input 1; over x: input 2", Head("over x".to_owned())),
        (
            "input 1; over 5 flex so: input 2",
            Head("over 5 flex so".to_owned()),
        ),
        ("input -1", Rate("-1".to_owned())),
    ];
    for (text, why) in table {
        assert_eq!(text.parse::<Price>(), Err(why), "{text}");
    }
}

#[test]
fn a_call_is_charged_by_the_price_of_its_day() {
    let own = list(&[
        ("openai", "m", Some(10 * DAY_MS), "input 2, output 4"),
        ("openai", "m", Some(20 * DAY_MS), "input 1, output 2"),
        ("openai", "n", None, "input 7, output 7"),
        ("openai", "n", Some(5 * DAY_MS), "input 8, output 8"),
    ]);
    let book = PriceBook::new(None, own);
    let at = |model, at_ms| nano(&book.cost("openai", model, at_ms, &input(1_000), Tier::Standard));
    let table = [
        ("m", 10 * DAY_MS - 1, None),
        ("m", 10 * DAY_MS, Some(2_000_000)),
        ("m", 20 * DAY_MS - 1, Some(2_000_000)),
        ("m", 20 * DAY_MS, Some(1_000_000)),
        ("m", i64::MAX, Some(1_000_000)),
        ("n", i64::MIN, Some(7_000_000)),
        ("n", 5 * DAY_MS, Some(8_000_000)),
    ];
    for (model, at_ms, cost) in table {
        assert_eq!(at(model, at_ms), cost, "{model} at {at_ms}");
    }
}

#[test]
fn the_nearest_price_counts_and_the_very_name_before_its_family() {
    let tenant = list(&[
        ("openai", "gpt-4o", None, "input 100, output 1"),
        ("custom", "mine", Some(5), "input 1, output 1"),
    ]);
    let global = list(&[
        ("openai", "gpt-4o-2024-11-20", None, "input 200, output 1"),
        ("custom", "mine", None, "input 300, output 1"),
        ("custom", "ft:mine", None, "input 400, output 1"),
    ]);
    let book = PriceBook::new(tenant, global);
    let found = |provider, model, at_ms| {
        let found = book.find(provider, model, at_ms)?;
        let rate = found
            .price
            .price
            .rates(Tier::Standard, 1)?
            .rate(Component::Input)?;
        Some((found.layer, found.of_family, rate.0 / 1_000_000))
    };
    let table = [
        ("openai", "gpt-4o", 9, Some((Layer::Tenant, false, 100_000))),
        (
            "openai",
            "gpt-4o-2024-08-06",
            9,
            Some((Layer::Tenant, true, 100_000)),
        ),
        (
            "openai",
            "gpt-4o-2024-11-20",
            9,
            Some((Layer::Global, false, 200_000)),
        ),
        // The program knows that this one costs something else.
        (
            "openai",
            "gpt-4o-2024-05-13",
            9,
            Some((Layer::Shipped, false, 5_000)),
        ),
        ("openai", "gpt-4o-mini", 9, Some((Layer::Shipped, false, 150))),
        (
            "azure",
            "gpt-4o-mini-2024-07-18",
            9,
            Some((Layer::Shipped, true, 150)),
        ),
        ("custom", "mine", 9, Some((Layer::Tenant, false, 1_000))),
        ("custom", "mine", 4, Some((Layer::Global, false, 300_000))),
        (
            "custom",
            "ft:mine:acme::7",
            9,
            Some((Layer::Global, true, 400_000)),
        ),
        ("custom", "gpt-4o", 9, None),
        ("openai", "gpt-4o-of-tomorrow", 9, None),
        ("no-such", "mine", 9, None),
    ];
    for (provider, model, at_ms, expected) in table {
        assert_eq!(
            found(provider, model, at_ms),
            expected,
            "{provider} {model} {at_ms}"
        );
    }
}

#[test]
fn a_dated_name_has_the_name_without_its_date_for_family() {
    let table = [
        ("gpt-4o-2024-08-06", Some("gpt-4o")),
        ("claude-haiku-4-5-20251001", Some("claude-haiku-4-5")),
        ("claude-haiku-4-5@20251001", Some("claude-haiku-4-5")),
        ("mistral-large-latest", Some("mistral-large")),
        (
            "ft:gpt-4o-mini-2024-07-18:acme::x1",
            Some("ft:gpt-4o-mini-2024-07-18"),
        ),
        ("gpt-4o", None),
        ("gpt-4-0613", None),
        ("kimi-k2-0905", None),
        ("-20240101", None),
        ("-latest", None),
        ("ft:gpt-4o", None),
        ("größe-2024-08-0ß", None),
        ("", None),
    ];
    for (model, expected) in table {
        assert_eq!(family(model), expected, "{model}");
    }
}

#[test]
fn equal_instants_are_not_two_prices() {
    let mut list = PriceList::default();
    let price = |text: &str| {
        Arc::new(ModelPrice {
            from_ms: Some(1),
            price: text.parse().unwrap(),
            context: None,
            max_output: None,
        })
    };
    assert!(list.add("p", "m", price("input 1")));
    assert!(!list.add("p", "m", price("input 2")));
    assert_eq!(list.exact("p", "m", 1), Some(&price("input 1")));
}

#[test]
fn shipped_prices_are_each_there_once_with_page_and_day_and_make_sense() {
    let mut seen = HashSet::new();
    let sources = shipped_sources().unwrap();
    for source in &sources {
        let name = format!("{}/{}", source.provider, source.model);
        assert!(
            seen.insert((&source.provider, &source.model, source.price.from_ms)),
            "{name} is there twice"
        );
        assert!(source.page.starts_with("https://"), "{name}: {}", source.page);
        assert!(
            (2025..2100).contains(&source.seen.year),
            "{name}: {}",
            source.seen
        );
        assert!(source.price.context.is_none_or(|tokens| tokens >= 512), "{name}");
        assert!(
            source.price.max_output.is_none_or(|tokens| tokens >= 512),
            "{name}"
        );
        hold_sane(&name, &source.price.price);
        assert_eq!(
            source.price.price.to_string().parse(),
            Ok(source.price.price.clone()),
            "{name}"
        );
    }
    let vendors: HashSet<&str> = sources.iter().map(|source| source.provider.as_str()).collect();
    assert!(vendors.len() >= 15, "{vendors:?}");
    assert!(sources.len() > 300, "{}", sources.len());
}

/// Nobody asks more for what was cached, less for what is written to the cache, or more for what can wait.
fn hold_sane(name: &str, price: &Price) {
    for (over, tier, rates) in price.parts() {
        let at = format!("{name} over {over} {}", tier.as_str());
        let rate = |component| rates.rate(component);
        assert!(rate(Component::Cached) <= rate(Component::Input), "{at}");
        assert!(
            rate(Component::CacheWrite1h) >= rate(Component::CacheWrite),
            "{at}"
        );
        assert!(rate(Component::AudioInput) >= rate(Component::Input), "{at}");
        // A thousand dollars for a million tokens nobody has asked yet: somebody took a token for a million.
        for component in Component::ALL {
            assert!(rate(component) <= Some(Rate(1_000 * NANO_DOLLARS)), "{at}");
        }
        let usual = price.rates(Tier::Standard, over.saturating_add(1)).unwrap();
        let shorter = price.rates(tier, over.max(1)).unwrap();
        for component in [Component::Input, Component::Cached, Component::Output] {
            let (own, usual) = (rate(component), usual.rate(component));
            match tier {
                Tier::Batch | Tier::Flex => assert!(own <= usual, "{at}: {own:?} {usual:?}"),
                Tier::Priority | Tier::Fast => assert!(own >= usual, "{at}: {own:?} {usual:?}"),
                Tier::Standard => {}
            }
            assert!(over == 0 || own >= shorter.rate(component), "{at}");
        }
    }
}

#[test]
fn the_main_models_have_the_prices_that_their_vendors_show() {
    let book = PriceBook::default();
    let usage = Usage {
        input_tokens: 100_000,
        output_tokens: 10_000,
        ..Usage::default()
    };
    let table = [
        ("openai", "gpt-4o-2024-08-06", Tier::Standard, 350_000_000),
        ("openai", "gpt-5.6", Tier::Standard, 600_000_000),
        ("openai", "gpt-5.6", Tier::Flex, 300_000_000),
        ("openai", "gpt-5-mini", Tier::Standard, 45_000_000),
        ("openai", "text-embedding-3-small", Tier::Standard, 2_000_000),
        ("anthropic", "claude-opus-5-5", Tier::Standard, 600_000_000),
        (
            "anthropic",
            "claude-sonnet-4-5-20250929",
            Tier::Standard,
            450_000_000,
        ),
        ("anthropic", "claude-sonnet-5", Tier::Batch, 150_000_000),
        ("gemini", "gemini-2.5-pro", Tier::Standard, 225_000_000),
        ("vertex", "gemini-3.1-pro-preview", Tier::Standard, 320_000_000),
        ("deepseek", "deepseek-v4-flash", Tier::Standard, 42_000_000),
        ("groq", "openai/gpt-oss-120b", Tier::Standard, 21_000_000),
    ];
    for (provider, model, tier, expected) in table {
        let usage = match model {
            "text-embedding-3-small" => input(100_000),
            _ => usage,
        };
        assert_eq!(
            nano(&book.cost(provider, model, 0, &usage, tier)),
            Some(expected),
            "{model}"
        );
    }
    assert_eq!(book.max_output("openai", "gpt-4o", 0), Some(16_384));
}

fn any_rates() -> impl Strategy<Value = Rates> {
    let rate = || proptest::option::of(0..100 * NANO_DOLLARS);
    (
        0..100 * NANO_DOLLARS,
        proptest::collection::vec(rate(), Component::ALL.len()),
    )
        .prop_map(|(input, others)| {
            let mut rates = Rates::default();
            for (component, rate) in Component::ALL.into_iter().zip(others) {
                if let Some(rate) = rate {
                    rates.set(component, Rate(rate));
                }
            }
            rates.set(Component::Input, Rate(input));
            rates
        })
}

fn any_price() -> impl Strategy<Value = Price> {
    let part = (0..5_u64, 0..Tier::ALL.len(), any_rates());
    (any_rates(), proptest::collection::vec(part, 0..5)).prop_map(|(usual, others)| {
        let mut parts = vec![(0, Tier::Standard, usual)];
        for (over, tier, rates) in others {
            let (over, tier) = (over * 1_000, Tier::ALL[tier]);
            if !parts.iter().any(|(o, t, _)| (*o, *t) == (over, tier)) {
                parts.push((over, tier, rates));
            }
        }
        Price::of(parts).unwrap()
    })
}

fn any_usage() -> impl Strategy<Value = Usage> {
    proptest::array::uniform9(0..10_000_u64).prop_map(|counts| Usage {
        input_tokens: counts[0],
        cached_input_tokens: counts[1],
        cache_write_tokens: counts[2],
        cache_write_1h_tokens: counts[3],
        output_tokens: counts[4],
        reasoning_tokens: counts[5],
        audio_input_tokens: counts[6],
        audio_output_tokens: counts[7],
        image_output_tokens: counts[8],
        tier: None,
    })
}

proptest! {
    #[test]
    fn a_price_is_written_as_it_is_read(price in any_price()) {
        prop_assert_eq!(price.to_string().parse(), Ok(price));
    }

    /// A month's rows, each with the version that it was priced by, sum up to the same when every list is another by now.
    #[test]
    fn a_closed_month_costs_the_same_ever_after(
        prices in proptest::collection::vec((any_price(), proptest::option::of(0..30_i64)), 1..6),
        rows in proptest::collection::vec((any_usage(), 0..31 * DAY_MS, 0..Tier::ALL.len()), 1..40),
    ) {
        let mut list = PriceList::default();
        for (price, from) in prices {
            let from_ms = from.map(|day| day * DAY_MS);
            list.add("p", "m", Arc::new(ModelPrice { from_ms, price, context: None, max_output: None }));
        }
        let book = PriceBook::new(Some(Arc::new(list)), None);
        let (mut then, mut later) = (0_u128, 0_u128);
        for (usage, at_ms, tier) in rows {
            if let Priced::Cost { nano_dollars, version } = book.cost("p", "m", at_ms, &usage, Tier::ALL[tier]) {
                then += u128::from(nano_dollars);
                later += u128::from(Rates::of_version(&version).unwrap().cost(&usage).unwrap());
            }
        }
        prop_assert_eq!(then, later);
    }

    #[test]
    fn the_most_that_a_call_can_cost_is_no_less_than_what_it_costs(
        price in any_price(), usage in any_usage(), more in 0..100_u64, tier in 0..Tier::ALL.len(),
    ) {
        let tier = Tier::ALL[tier];
        let Some(cost) = price.rates(tier, usage.input_tokens).and_then(|rates| rates.cost(&usage)) else {
            return Ok(());
        };
        let (input, output) = (usage.input_tokens + more, usage.output_tokens + more);
        let bounds = price
            .all_rates_up_to(tier, input)
            .map(|rates| rates.and_then(|rates| rates.cost_at_most(input, output)));
        // Where one of the prices has no rate for output, there is no bound at all.
        if let Some(most) = bounds.collect::<Option<Vec<u64>>>() {
            prop_assert!(most.into_iter().max() >= Some(cost));
        }
    }
}
