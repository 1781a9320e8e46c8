use super::*;

fn taken(import: &Import) -> Vec<(&str, &str, String)> {
    let shown = |taken: &'_ Taken| taken.price.to_string();
    import
        .taken
        .iter()
        .map(|taken| (taken.provider, taken.model.as_str(), shown(taken)))
        .collect()
}

fn skipped(import: &Import) -> Vec<(&str, &str)> {
    import
        .skipped
        .iter()
        .map(|skipped| (skipped.name.as_str(), skipped.why.as_str()))
        .collect()
}

#[test]
fn litellms_prices_are_dollars_for_a_token() {
    let file = r#"{
        "sample_spec": {"litellm_provider": "one of …", "input_cost_per_token": 0},
        "gpt-x": {"litellm_provider": "openai", "mode": "chat", "max_input_tokens": 272000, "max_output_tokens": "many",
            "input_cost_per_token": 1.25e-06, "output_cost_per_token": 1e-05, "cache_read_input_token_cost": 1.25e-07,
            "input_cost_per_token_flex": 6.25e-07, "output_cost_per_token_flex": 5e-06,
            "input_cost_per_token_above_200k_tokens": 2.5e-06, "output_cost_per_token_above_200k_tokens": 1.5e-05,
            "output_cost_per_token_priority": 2e-05, "search_context_cost_per_query": {"low": 0.01},
            "cache_creation_input_token_cost_above_12hr": 1e-05, "supports_vision": true},
        "anthropic/claude-x": {"litellm_provider": "anthropic", "mode": "chat", "input_cost_per_token": 0.000003,
            "output_cost_per_token": 1.5e-05, "cache_creation_input_token_cost": 3.75e-06,
            "cache_creation_input_token_cost_above_1hr": 6e-06, "output_cost_per_image": null},
        "claude-x": {"litellm_provider": "anthropic", "mode": "chat", "input_cost_per_token": 1, "output_cost_per_token": 1},
        "dashscope/qwen-x": {"litellm_provider": "dashscope", "mode": "chat", "tiered_pricing": [
            {"range": [0, 32000.0], "input_cost_per_token": 1.2e-06, "output_cost_per_token": 6e-06},
            {"range": [3.2e4, 128000.0], "input_cost_per_token": 2.4e-06, "output_cost_per_token": 1.2e-05}]}
    }"#;
    let import = import(file).unwrap();
    let expected = [
        (
            "openai",
            "gpt-x",
            "input 1.25, cached 0.125, output 10; flex: input 0.625, cached 0.125, output 5; over 200000: input 2.5, output 15"
                .to_owned(),
        ),
        ("anthropic", "claude-x", "input 3, cache_write 3.75, cache_write_1h 6, output 15".to_owned()),
        ("alibaba", "qwen-x", "input 1.2, output 6; over 32000: input 2.4, output 12".to_owned()),
    ];
    assert_eq!(taken(&import), expected);
    assert_eq!(
        (import.taken[0].context, import.taken[0].max_output),
        (Some(272_000), None)
    );
    let beside = [
        "cache_creation_input_token_cost_above_12hr",
        "search_context_cost_per_query",
    ];
    assert_eq!(import.taken[0].beside, beside);
    assert_eq!(
        skipped(&import),
        [("anthropic/claude-x", "it is there already, under another name")]
    );
}

#[test]
fn what_is_not_charged_by_tokens_is_told_and_not_guessed() {
    let file = r#"{
        "tts": {"litellm_provider": "openai", "mode": "audio_speech", "input_cost_per_character": 1.5e-05},
        "whisper": {"litellm_provider": "groq", "mode": "audio_transcription", "input_cost_per_second": 1e-5, "output_cost_per_second": 0},
        "painter": {"litellm_provider": "openai", "mode": "image_generation", "output_cost_per_image": 0.04},
        "video": {"litellm_provider": "openai", "mode": "video_generation", "input_cost_per_token": 1e-6, "output_cost_per_token": 1e-6},
        "bedrock/x": {"litellm_provider": "bedrock", "mode": "chat", "input_cost_per_token": 1e-6},
        "free": {"litellm_provider": "groq", "mode": "chat", "input_cost_per_token": 0, "output_cost_per_token": 0.0},
        "broken": {"litellm_provider": "groq", "mode": "chat", "input_cost_per_token": "1e-6"},
        "fine": {"litellm_provider": "groq", "mode": "chat", "input_cost_per_token": 1.5e-15},
        "words": "none"
    }"#;
    let import = import(file).unwrap();
    assert!(import.taken.is_empty(), "{:?}", import.taken);
    let expected = [
        (
            "tts",
            "it has no price for tokens of input; it is charged by input_cost_per_character",
        ),
        (
            "whisper",
            "it has no price for tokens of input; it is charged by input_cost_per_second, output_cost_per_second",
        ),
        (
            "painter",
            "it has no price for tokens of input; it is charged by output_cost_per_image",
        ),
        ("video", "it is for video_generation"),
        ("bedrock/x", "`bedrock` is none of our providers"),
        ("free", "its price is 0, which may mean free of charge or unknown"),
        ("broken", "its input_cost_per_token is \"1e-6\""),
        ("fine", "its input_cost_per_token is 1.5e-15"),
        ("words", "it is no object"),
    ];
    assert_eq!(skipped(&import), expected);
}

#[test]
fn the_prices_of_models_dev_are_dollars_for_a_million() {
    let file = r#"{
        "google": {"id": "google", "models": {
            "gemini-x": {"limit": {"context": 1048576, "output": 65536},
                "cost": {"input": 1.25, "output": 10, "cache_read": 0.125, "input_audio": 2, "cache_write": 0,
                    "context_over_200k": {"input": 2.5, "output": 15},
                    "tiers": [{"tier": {"type": "context", "size": 200000}, "input": 2.5, "output": 15, "cache_read": 0.25}]}},
            "gemini-free": {"cost": {"input": 0, "output": 0}},
            "gemini-odd": {"cost": {"input": 1, "output": 2, "per_image": 3}, "limit": {"input": 5, "context": 7}},
            "gemini-none": {"limit": {"context": 1}},
            "gemini-bad": {"cost": {"input": -1, "output": 0}}}},
        "some-reseller": {"models": {"a": {}, "b": {}}},
        "nobody": {}
    }"#;
    let import = import(file).unwrap();
    let expected = [
        (
            "gemini",
            "gemini-x",
            "input 1.25, cached 0.125, audio_input 2, output 10; over 200000: input 2.5, cached 0.25, output 15".to_owned(),
        ),
        ("gemini", "gemini-odd", "input 1, output 2".to_owned()),
    ];
    assert_eq!(taken(&import), expected);
    assert_eq!(
        (import.taken[0].context, import.taken[0].max_output),
        (Some(1_048_576), Some(65_536))
    );
    assert_eq!(
        (import.taken[1].context, import.taken[1].beside.as_slice()),
        (Some(5), &["per_image".to_owned()][..])
    );
    let expected = [
        (
            "google/gemini-free",
            "its price is 0, which may mean free of charge or unknown",
        ),
        ("google/gemini-none", "it has no price"),
        ("google/gemini-bad", "its input is -1"),
        ("some-reseller", "none of our providers, with 2 models"),
        ("nobody", "it has no models"),
    ];
    assert_eq!(skipped(&import), expected);
}

#[test]
fn what_is_no_file_of_prices_is_refused() {
    for none in ["", "[]", "3", "{", "nonsense"] {
        assert_eq!(import(none).err(), Some(ImportError::NotJson), "{none}");
    }
    for other in ["{}", r#"{"a": 1}"#, r#"{"a": {"b": 1}}"#] {
        assert_eq!(import(other).err(), Some(ImportError::UnknownForm), "{other}");
    }
}
