//! The program's settings file: everything that makes it more than a model is off.
//!
//! No tools, no files of context, no memory, no extensions, no servers of tools, no retries of its own (which would say the
//! text again), no compression, no statistics. What one call wants of the model stands there too, since there is no other
//! place to say it: which is why a process serves only calls that want the same.

use serde_json::{Map, Value, json};

/// The file for calls of this model with these members of `generationConfig`; none for what is usual.
pub(super) fn settings(model: &str, config: &Map<String, Value>) -> String {
    let mut settings = plain();
    if let (false, Some(members)) = (config.is_empty(), settings.as_object_mut()) {
        let change = json!({"match": {"model": model}, "modelConfig": {"generateContentConfig": config}});
        members.insert("modelConfigs".to_owned(), json!({"customOverrides": [change]}));
    }
    settings.to_string()
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
