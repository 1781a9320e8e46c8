//! The program's settings file: everything that makes it more than a model is off.
//!
//! No tools, no files of context, no memory, no extensions, no servers of tools, no retries of its own (which would say the
//! text again), no compression, no statistics. What one call wants of the model stands there too, since there is no other
//! place to say it: which is why a process serves only calls that want the same.

use serde_json::{Map, Value, json};

use super::caps;

const MODELS: &str = "modelConfigs";

/// The file for a process that is kept: the same, and beside the model others of it, with caps.
pub(super) fn settings_with_caps(model: &str, config: &Map<String, Value>) -> String {
    let mut settings = changed(model, config);
    if caps::are_there(model)
        && let Some(members) = settings.as_object_mut()
        && let Some(models) = members.entry(MODELS).or_insert_with(|| json!({})).as_object_mut()
    {
        models.insert("customAliases".to_owned(), Value::Object(caps::named(model)));
    }
    settings.to_string()
}

/// The file for calls of this model with these members of `generationConfig`; none for what is usual.
pub(super) fn settings(model: &str, config: &Map<String, Value>) -> String {
    changed(model, config).to_string()
}

fn changed(model: &str, config: &Map<String, Value>) -> Value {
    let mut settings = plain();
    if let (false, Some(members)) = (config.is_empty(), settings.as_object_mut()) {
        let change = json!({"match": {"model": model}, "modelConfig": {"generateContentConfig": config}});
        members.insert(MODELS.to_owned(), json!({"customOverrides": [change]}));
    }
    settings
}

fn plain() -> Value {
    json!({
        "general": {
            "enableAutoUpdate": false,
            "enableAutoUpdateNotification": false,
            "checkpointing": {"enabled": false},
            "sessionRetention": {"enabled": false},
            "plan": {"enabled": false},
            "maxAttempts": 1,
            "retryFetchErrors": false,
            "topicUpdateNarration": false,
        },
        "privacy": {"usageStatisticsEnabled": false},
        "telemetry": {"enabled": false},
        "security": {
            "auth": {"selectedType": "oauth-personal"},
            "folderTrust": {"enabled": false},
            "disableYoloMode": true,
            "disableAlwaysAllow": true,
            "blockGitExtensions": true,
        },
        "tools": {"core": [], "useRipgrep": false},
        "context": {
            "fileName": ["none.md"],
            "includeDirectoryTree": false,
            "discoveryMaxDirs": 0,
            "memoryBoundaryMarkers": [],
            "fileFiltering": {"enableRecursiveFileSearch": false},
        },
        "mcp": {"allowed": []},
        "admin": {
            "mcp": {"enabled": false},
            "extensions": {"enabled": false},
            "skills": {"enabled": false},
        },
        "skills": {"enabled": false},
        "hooksConfig": {"enabled": false},
        "experimental": {"enableAgents": false, "extensionManagement": false},
        "model": {
            "maxSessionTurns": 1,
            "disableLoopDetection": true,
            "skipNextSpeakerCheck": true,
            "compressionThreshold": 1000,
        },
        "advanced": {"autoConfigureMemory": false, "ignoreLocalEnv": true},
    })
}
