//! What providers listed of late.

use std::sync::Arc;
use std::time::Duration;

use dialect::openai_chat::ModelEntry;
use moka::future::Cache;

/// Lists by credential: two credentials of one provider may see different models.
pub(crate) struct ModelLists {
    lists: Cache<String, Arc<Vec<ModelEntry>>>,
}

const LISTS_MAX: u64 = 10_000;

impl ModelLists {
    /// `age`: how long a list is believed.
    pub(crate) fn new(age: Duration) -> Self {
        Self {
            lists: Cache::builder().max_capacity(LISTS_MAX).time_to_live(age).build(),
        }
    }

    /// The list of a credential, asked for when it is not known. However many ask at once, the provider is asked once.
    pub(crate) async fn of(
        &self,
        credential_id: &str,
        ask: impl Future<Output = Option<Vec<ModelEntry>>>,
    ) -> Option<Arc<Vec<ModelEntry>>> {
        let asked = async { ask.await.map(Arc::new) };
        self.lists
            .optionally_get_with(credential_id.to_owned(), asked)
            .await
    }
}
