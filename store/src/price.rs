//! Prices of the operator's own, as they are kept: for one tenant, or for all.

use std::sync::Arc;

use policy::price::{ModelPrice, Price, PriceList};
use serde_json::json;
use sqlx::AnyConnection;
use sqlx::any::AnyRow;

use crate::EVERY_TENANT;
use crate::change::{Change, Done};
use crate::error::{StoreError, taken, unreadable};
use crate::name;
use crate::open::Store;
use crate::row::Columns;
use crate::tenant;

/// A price as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PriceRow {
    pub id: String,
    /// `None` for a price that holds for every tenant.
    pub tenant_id: Option<String>,
    pub provider: String,
    pub model: String,
    pub from_ms: i64,
    /// As [`Price`] reads it.
    pub price: String,
    pub context: Option<i64>,
    pub max_output: Option<i64>,
    pub source: String,
}

/// A price to be set.
#[derive(Debug, Clone)]
pub struct NewPrice {
    /// Kept when the model has no price from this instant on yet.
    pub id: String,
    pub provider: String,
    pub model: String,
    pub from_ms: i64,
    pub price: Price,
    pub context: Option<u64>,
    pub max_output: Option<u64>,
    pub source: String,
}

const TABLE: &str = "prices";
const MODEL_BYTES_MAX: usize = 256;
const SOURCE_BYTES_MAX: usize = 512;

impl Store {
    /// Sets prices, each in place of the one that its model may have from the same instant on: all of them, or none.
    ///
    /// # Errors
    /// When one of them makes no sense, or there is no such tenant.
    pub async fn set_prices(
        &self,
        change: &Change<'_>,
        tenant_id: Option<&str>,
        prices: &[NewPrice],
    ) -> Result<Vec<PriceRow>, StoreError> {
        let mut changing = self.begin_change().await?;
        if let Some(tenant_id) = tenant_id {
            tenant::require(changing.connection(), tenant_id).await?;
        }
        let mut rows = Vec::with_capacity(prices.len());
        for new in prices {
            new.check()?;
            let scope = tenant_id.unwrap_or(EVERY_TENANT);
            rows.push(new.insert(changing.connection(), scope).await?);
        }
        let (subject, detail) = match rows.as_slice() {
            [one] => (
                one.id.as_str(),
                json!({ "provider": one.provider, "model": one.model, "from_ms": one.from_ms, "price": one.price }),
            ),
            many => ("*", json!({ "prices": many.len() })),
        };
        let done = Done {
            action: "price.set",
            tenant_id,
            subject,
            detail,
        };
        changing.finish(change, done).await?;
        Ok(rows)
    }

    /// The prices of a tenant or, without one, those that hold for every tenant: by provider and model, of each the latest
    /// first.
    ///
    /// # Errors
    /// When the database does not answer, or a row makes no sense.
    pub async fn list_prices(&self, tenant_id: Option<&str>) -> Result<Vec<PriceRow>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        let rows = select_prices(&mut connection, tenant_id.unwrap_or(EVERY_TENANT)).await?;
        rows.iter().map(PriceRow::read).collect()
    }

    /// Removes a price of a tenant or, without one, one that holds for every tenant.
    ///
    /// # Errors
    /// When there is no such price.
    pub async fn remove_price(
        &self,
        change: &Change<'_>,
        tenant_id: Option<&str>,
        id: &str,
    ) -> Result<(), StoreError> {
        let mut changing = self.begin_change().await?;
        let removed = sqlx::query("DELETE FROM prices WHERE scope = $1 AND id = $2")
            .bind(tenant_id.unwrap_or(EVERY_TENANT))
            .bind(id)
            .execute(changing.connection())
            .await?;
        if removed.rows_affected() == 0 {
            return Err(StoreError::not_found(format!("price `{id}`")));
        }
        let done = Done {
            action: "price.remove",
            tenant_id,
            subject: id,
            detail: json!({}),
        };
        changing.finish(change, done).await
    }
}

impl NewPrice {
    fn check(&self) -> Result<(), StoreError> {
        name::check("the price's provider", &self.provider)?;
        let is_a_word = |text: &str, max| {
            (1..=max).contains(&text.len()) && !text.contains(|letter: char| letter.is_control())
        };
        if !is_a_word(&self.model, MODEL_BYTES_MAX) || self.model.contains(char::is_whitespace) {
            return Err(StoreError::Invalid {
                what: "the price's model",
                why: format!("a model's name is 1 to {MODEL_BYTES_MAX} bytes without spaces"),
            });
        }
        if !is_a_word(&self.source, SOURCE_BYTES_MAX) {
            return Err(StoreError::Invalid {
                what: "the price's source",
                why: format!("it is 1 to {SOURCE_BYTES_MAX} bytes in one line"),
            });
        }
        Ok(())
    }

    async fn insert(&self, connection: &mut AnyConnection, scope: &str) -> Result<PriceRow, StoreError> {
        let row = sqlx::query(
            "INSERT INTO prices (scope, provider, model, from_ms, id, price, context, max_output, source) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
             ON CONFLICT (scope, provider, model, from_ms) DO UPDATE SET price = excluded.price, \
                 context = excluded.context, max_output = excluded.max_output, source = excluded.source \
             RETURNING scope, provider, model, from_ms, id, price, context, max_output, source",
        )
        .bind(scope)
        .bind(&self.provider)
        .bind(&self.model)
        .bind(self.from_ms)
        .bind(&self.id)
        .bind(self.price.to_string())
        .bind(self.context.map(column))
        .bind(self.max_output.map(column))
        .bind(&self.source)
        .fetch_one(connection)
        .await
        .map_err(taken(|| format!("a price `{}`", self.id)))?;
        PriceRow::read(&row)
    }
}

fn column(tokens: u64) -> i64 {
    i64::try_from(tokens).unwrap_or(i64::MAX)
}

impl PriceRow {
    fn read(row: &AnyRow) -> Result<Self, StoreError> {
        let columns = Columns::of(TABLE, row)?;
        Ok(Self {
            id: columns.id(),
            tenant_id: Some(columns.text("scope")?).filter(|scope| scope != EVERY_TENANT),
            provider: columns.text("provider")?,
            model: columns.text("model")?,
            from_ms: columns.number("from_ms")?,
            price: columns.text("price")?,
            context: columns.number_or_null("context")?,
            max_output: columns.number_or_null("max_output")?,
            source: columns.text("source")?,
        })
    }

    fn model_price(&self) -> Result<ModelPrice, StoreError> {
        let poison = |why: String| StoreError::poison(TABLE, &self.id, why);
        let tokens = |name: &str, count: Option<i64>| {
            let count = count.map(u64::try_from).transpose();
            count.map_err(|_| poison(format!("{name} is negative")))
        };
        Ok(ModelPrice {
            from_ms: Some(self.from_ms),
            price: self
                .price
                .parse()
                .map_err(|error: policy::price::PriceError| poison(error.to_string()))?,
            context: tokens("context", self.context)?,
            max_output: tokens("max_output", self.max_output)?,
        })
    }

    /// What is left of a price that makes no sense: a model that nobody knows the price of. Another list's price would not
    /// be what was meant.
    fn broken(&self) -> ModelPrice {
        ModelPrice {
            from_ms: Some(self.from_ms),
            price: Price::unknown(),
            context: None,
            max_output: None,
        }
    }
}

/// A tenant's prices.
pub(crate) async fn load_prices(
    connection: &mut AnyConnection,
    scope: &str,
) -> Result<Arc<PriceList>, StoreError> {
    let mut list = PriceList::default();
    for row in &select_prices(connection, scope).await? {
        let kept = PriceRow::read(row)?;
        list.add(&kept.provider, &kept.model, Arc::new(kept.model_price()?));
    }
    Ok(Arc::new(list))
}

/// The prices for every tenant. What makes no sense is told, and leaves the others as they are.
pub(crate) async fn load_global_prices(
    connection: &mut AnyConnection,
    broken: &mut Vec<StoreError>,
) -> Result<Arc<PriceList>, StoreError> {
    let mut list = PriceList::default();
    for row in &select_prices(connection, EVERY_TENANT).await? {
        let kept = match PriceRow::read(row) {
            Ok(kept) => kept,
            Err(why) => {
                broken.push(why);
                continue;
            }
        };
        let price = kept.model_price().unwrap_or_else(|why| {
            broken.push(why);
            kept.broken()
        });
        list.add(&kept.provider, &kept.model, Arc::new(price));
    }
    Ok(Arc::new(list))
}

async fn select_prices(connection: &mut AnyConnection, scope: &str) -> Result<Vec<AnyRow>, StoreError> {
    sqlx::query(
        "SELECT scope, provider, model, from_ms, id, price, context, max_output, source FROM prices \
         WHERE scope = $1 ORDER BY provider, model, from_ms DESC",
    )
    .bind(scope)
    .fetch_all(connection)
    .await
    .map_err(unreadable(TABLE, scope))
}
