//! Where Vertex AI is for a service account. Its paths name a project and a region; whoever leaves them out means the project
//! that the key file names, and the region that the host does.

use serde::Deserialize;
use vault::Secret;

#[derive(Deserialize)]
struct KeyFile {
    project_id: String,
}

const GLOBAL_HOST: &str = "aiplatform.googleapis.com";
const GLOBAL: &str = "global";

/// The whole base URL, made of the one that is given: none, one that ends with its host, or a whole one, which stays as it
/// is. None where the key file would have to name a project and does not.
pub fn base_url(given: Option<&str>, key_file: &Secret) -> Option<String> {
    let given = given.map(|given| given.trim_end_matches('/'));
    let host = given.map_or(GLOBAL_HOST, |given| {
        given.split_once("://").map_or(given, |(_, host)| host)
    });
    if host.contains(['/', '?']) {
        return given.map(str::to_owned);
    }
    let KeyFile { project_id } = serde_json::from_str(key_file.expose()).ok()?;
    // A domain may stand before it, with a colon.
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '.' | ':');
    if project_id.is_empty() || !project_id.chars().all(is_plain) {
        return None;
    }
    let region = host
        .strip_suffix(GLOBAL_HOST)
        .and_then(|region| region.strip_suffix('-'));
    let region = region.filter(|region| !region.is_empty()).unwrap_or(GLOBAL);
    let root = given.map_or_else(|| format!("https://{GLOBAL_HOST}"), str::to_owned);
    Some(format!(
        "{root}/v1/projects/{project_id}/locations/{region}/publishers/google"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn project_and_region_are_taken_from_where_they_stand() {
        let file = Secret::new(r#"{"type":"service_account","project_id":"my-project"}"#.to_owned());
        let path = "/v1/projects/my-project/locations";
        let europe = "https://europe-west4-aiplatform.googleapis.com";
        let whole =
            "https://us-east5-aiplatform.googleapis.com/v1/projects/p/locations/us-east5/publishers/google";
        for (given, expected) in [
            (
                None,
                format!("https://aiplatform.googleapis.com{path}/global/publishers/google"),
            ),
            (
                Some(europe),
                format!("{europe}{path}/europe-west4/publishers/google"),
            ),
            (
                Some("http://127.0.0.1:9/"),
                format!("http://127.0.0.1:9{path}/global/publishers/google"),
            ),
            (Some(whole), whole.to_owned()),
        ] {
            assert_eq!(base_url(given, &file), Some(expected));
        }
        for nameless in [
            "{}",
            r#"{"project_id":""}"#,
            r#"{"project_id":"a/../b"}"#,
            "no file",
        ] {
            let file = Secret::new(nameless.to_owned());
            assert_eq!(base_url(Some(europe), &file), None, "{nameless}");
            assert_eq!(base_url(Some(whole), &file).as_deref(), Some(whole));
        }
    }
}
