//! `tollgate prices …`

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Subcommand, value_parser};
use policy::price::{Found, Import, Layer, Price, PriceBook, PriceList, Taken, import, shipped_sources};
use provider::Catalog;
use serde_json::{Value, json};
use store::{NewPrice, PriceRow};
use vault::gateway_key::random_id;

use crate::desk::Desk;
use crate::failure::{Failure, Kind};
use crate::output::{Form, print};
use crate::time::{instant, instant_ms, now_ms};

#[derive(Subcommand)]
pub(crate) enum Verb {
    /// Shows prices that were set, or what a model costs and who says so.
    List {
        /// What this model costs now, at each provider that has a price for it.
        #[arg(long)]
        model: Option<String>,
        /// At this provider alone.
        #[arg(long)]
        provider: Option<String>,
        /// The tenant's name or id: its own prices or, with --model, what it pays.
        #[arg(long)]
        tenant: Option<String>,
        /// Also the prices that come with the program.
        #[arg(long, conflicts_with = "model")]
        shipped: bool,
    },
    /// Sets what a model costs, in dollars for a million tokens.
    Set {
        provider: String,
        model: String,
        /// Such as `input 2.5, cached 1.25, output 10; batch: input 1.25, output 5`.
        price: String,
        /// For this tenant alone, by name or id. Without, for all.
        #[arg(long)]
        tenant: Option<String>,
        /// Since when: a day or an instant. Without, from now on.
        #[arg(long, value_name = "DAY", value_parser = instant_ms)]
        from: Option<i64>,
        /// How many tokens of input the model takes.
        #[arg(long, value_name = "TOKENS", value_parser = value_parser!(u64).range(1..))]
        context: Option<u64>,
        /// How many tokens an answer can have.
        #[arg(long, value_name = "TOKENS", value_parser = value_parser!(u64).range(1..))]
        max_output: Option<u64>,
    },
    /// Removes a price by its id.
    Remove {
        id: String,
        /// The tenant's name or id.
        #[arg(long)]
        tenant: Option<String>,
    },
    /// Takes prices from LiteLLM's file of prices or the api.json of models.dev.
    Import {
        file: PathBuf,
        /// Those of these providers alone.
        #[arg(long, value_delimiter = ',')]
        provider: Vec<String>,
        /// For this tenant alone, by name or id. Without, for all.
        #[arg(long)]
        tenant: Option<String>,
        /// Since when: a day or an instant. Without, from now on.
        #[arg(long, value_name = "DAY", value_parser = instant_ms)]
        from: Option<i64>,
        /// Says what would be taken, and takes nothing.
        #[arg(long)]
        dry_run: bool,
    },
}

pub(super) async fn run(desk: &Desk, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::List {
            model: Some(model),
            provider,
            tenant,
            ..
        } => what_it_costs(desk, &model, provider.as_deref(), tenant.as_deref()).await,
        Verb::List {
            provider,
            tenant,
            shipped,
            ..
        } => list(desk, provider.as_deref(), tenant.as_deref(), shipped).await,
        Verb::Set {
            provider,
            model,
            price,
            tenant,
            from,
            context,
            max_output,
        } => {
            known_provider(&provider)?;
            let price: Price = price
                .parse()
                .map_err(|error| Failure::other(format!("the price: {error}")))?;
            let new = NewPrice {
                id: random_id("pr")?,
                provider,
                model,
                from_ms: from.unwrap_or_else(now_ms),
                price,
                context,
                max_output,
                source: "by hand".to_owned(),
            };
            let tenant_id = desk.tenant_id(tenant.as_deref()).await?;
            let rows = desk
                .store
                .set_prices(&desk.change(), tenant_id.as_deref(), &[new])
                .await?;
            rows.iter().try_for_each(|row| desk.form.one(&shown(row)))
        }
        Verb::Remove { id, tenant } => {
            let tenant_id = desk.tenant_id(tenant.as_deref()).await?;
            desk.store
                .remove_price(&desk.change(), tenant_id.as_deref(), &id)
                .await?;
            desk.form.one(&json!({"removed": id}))
        }
        Verb::Import {
            file,
            provider,
            tenant,
            from,
            dry_run,
        } => {
            let text = tokio::fs::read_to_string(&file).await;
            let text = text.map_err(|error| Failure::other(format!("{}: {error}", file.display())))?;
            let found =
                import(&text).map_err(|error| Failure::other(format!("{}: {error}", file.display())))?;
            let found = of_providers(found, &provider)?;
            if !dry_run {
                let name = file.file_name().unwrap_or_default().to_string_lossy();
                let from_ms = from.unwrap_or_else(now_ms);
                take(desk, &found.taken, &name, from_ms, tenant.as_deref()).await?;
            }
            told(desk, &found, dry_run)
        }
    }
}

async fn list(
    desk: &Desk,
    provider: Option<&str>,
    tenant: Option<&str>,
    shipped: bool,
) -> Result<(), Failure> {
    let tenant_id = desk.tenant_id(tenant).await?;
    let prices = desk.store.list_prices(tenant_id.as_deref()).await?;
    let mut rows: Vec<Value> = prices.iter().map(shown).collect();
    if shipped {
        let sources = shipped_sources().map_err(|error| Failure::other(error.to_string()))?;
        rows.extend(sources.iter().map(|source| {
            json!({
                "id": null,
                "tenant_id": null,
                "provider": source.provider,
                "model": source.model,
                "from": source.price.from_ms.map(instant),
                "price": source.price.price.to_string(),
                "context": source.price.context,
                "max_output": source.price.max_output,
                "source": format!("{} ({})", source.page, source.seen),
            })
        }));
    }
    rows.retain(|row| provider.is_none_or(|provider| row["provider"] == provider));
    let columns = [
        "provider",
        "model",
        "from",
        "price",
        "context",
        "max_output",
        "source",
        "id",
    ];
    desk.form.list(&columns, &rows)
}

/// Found by the very code that prices calls, in the very lists that calls see.
async fn what_it_costs(
    desk: &Desk,
    model: &str,
    provider: Option<&str>,
    tenant: Option<&str>,
) -> Result<(), Failure> {
    let own = match tenant {
        None => None,
        Some(tenant) => {
            let tenant = desk.tenant(tenant).await?;
            let bundle = desk.store.load_tenant(&tenant.id).await?;
            let bundle = bundle.ok_or_else(|| Failure::new(Kind::NotFound, "the tenant is gone"))?;
            Some((tenant.id, bundle.prices))
        }
    };
    let global = desk.store.load_global().await?;
    let (tenant_id, list) = own.unzip();
    let book = PriceBook::new(list, Some(Arc::clone(&global.prices)));
    let kept = kept_rows(desk, tenant_id.as_deref()).await?;
    let providers = match provider {
        Some(provider) => vec![known_provider(provider)?],
        None => catalog()?.iter().map(|provider| provider.name.clone()).collect(),
    };
    let now = now_ms();
    let rows: Vec<Value> = providers
        .iter()
        .filter_map(|provider| {
            let found = book.find(provider, model, now)?;
            Some(held(provider, model, &found, &kept))
        })
        .collect();
    if rows.is_empty() && matches!(desk.form, Form::Table) {
        return print("nobody has said what it costs: calls are served and marked unpriced");
    }
    let columns = [
        "provider",
        "of",
        "price",
        "since",
        "by",
        "source",
        "context",
        "max_output",
    ];
    desk.form.list(&columns, &rows)
}

async fn kept_rows(desk: &Desk, tenant_id: Option<&str>) -> Result<Vec<PriceRow>, Failure> {
    let mut rows = desk.store.list_prices(None).await?;
    if let Some(tenant_id) = tenant_id {
        rows.extend(desk.store.list_prices(Some(tenant_id)).await?);
    }
    Ok(rows)
}

/// Which price holds, and where it is from.
fn held(provider: &str, model: &str, found: &Found, kept: &[PriceRow]) -> Value {
    let named = if found.of_family {
        policy::price::family(model).unwrap_or(model)
    } else {
        model
    };
    let is_it = |row: &&PriceRow| {
        row.provider == provider
            && row.model == named
            && Some(row.from_ms) == found.price.from_ms
            && row.tenant_id.is_some() == (found.layer == Layer::Tenant)
    };
    let source = match found.layer {
        Layer::Shipped => shipped_sources().ok().and_then(|sources| {
            let mut sources = sources.into_iter();
            let source = sources.find(|source| {
                source.provider == provider
                    && source.model == named
                    && source.price.from_ms == found.price.from_ms
            })?;
            Some(format!("{} ({})", source.page, source.seen))
        }),
        Layer::Tenant | Layer::Global => kept.iter().find(is_it).map(|row| row.source.clone()),
    };
    json!({
        "provider": provider,
        "of": named,
        "price": found.price.price.to_string(),
        "since": found.price.from_ms.map(instant),
        "by": match found.layer {
            Layer::Tenant => "the tenant's own",
            Layer::Global => "for all tenants",
            Layer::Shipped => "comes with the program",
        },
        "source": source,
        "context": found.price.context,
        "max_output": found.price.max_output,
    })
}

/// Leaves those of other providers out, and says so.
fn of_providers(mut found: Import, wanted: &[String]) -> Result<Import, Failure> {
    for provider in wanted {
        known_provider(provider)?;
    }
    if !wanted.is_empty() {
        found
            .taken
            .retain(|taken| wanted.iter().any(|wanted| wanted == taken.provider));
    }
    Ok(found)
}

async fn take(
    desk: &Desk,
    taken: &[Taken],
    file: &str,
    from_ms: i64,
    tenant: Option<&str>,
) -> Result<(), Failure> {
    let tenant_id = desk.tenant_id(tenant).await?;
    let mut known = PriceList::default();
    let mut prices = Vec::with_capacity(taken.len());
    for taken in taken {
        let model = policy::price::ModelPrice {
            from_ms: Some(from_ms),
            price: taken.price.clone(),
            context: taken.context,
            max_output: taken.max_output,
        };
        if known.add(taken.provider, &taken.model, Arc::new(model)) {
            prices.push(NewPrice {
                id: random_id("pr")?,
                provider: taken.provider.to_owned(),
                model: taken.model.clone(),
                from_ms,
                price: taken.price.clone(),
                context: taken.context,
                max_output: taken.max_output,
                source: file.to_owned(),
            });
        }
    }
    if prices.is_empty() {
        return Ok(());
    }
    desk.store
        .set_prices(&desk.change(), tenant_id.as_deref(), &prices)
        .await?;
    Ok(())
}

/// What became of each entry.
fn told(desk: &Desk, found: &Import, dry_run: bool) -> Result<(), Failure> {
    let taken = found.taken.iter().map(|taken| {
        json!({
            "provider": taken.provider,
            "model": taken.model,
            "price": taken.price.to_string(),
            "context": taken.context,
            "max_output": taken.max_output,
            "not_counted": taken.beside,
        })
    });
    let skipped = found
        .skipped
        .iter()
        .map(|skipped| json!({"name": skipped.name, "why": skipped.why}));
    let (taken, skipped): (Vec<Value>, Vec<Value>) = (taken.collect(), skipped.collect());
    if let Form::Json = desk.form {
        return desk
            .form
            .one(&json!({"dry_run": dry_run, "taken": taken, "skipped": skipped}));
    }
    let done = if dry_run { "would be taken" } else { "taken" };
    desk.form
        .list(&["provider", "model", "price", "not_counted"], &taken)?;
    print("")?;
    desk.form.list(&["name", "why"], &skipped)?;
    print(&format!("\n{} {done}, {} left out", taken.len(), skipped.len()))
}

fn known_provider(name: &str) -> Result<String, Failure> {
    match catalog()?.get(name) {
        Some(provider) => Ok(provider.name.clone()),
        None => Err(Failure::new(
            Kind::NotFound,
            format!("there is no provider {name}"),
        )),
    }
}

fn catalog() -> Result<Catalog, Failure> {
    Catalog::built_in().map_err(|error| Failure::other(error.to_string()))
}

fn shown(row: &PriceRow) -> Value {
    json!({
        "id": row.id,
        "tenant_id": row.tenant_id,
        "provider": row.provider,
        "model": row.model,
        "from": instant(row.from_ms),
        "price": row.price,
        "context": row.context,
        "max_output": row.max_output,
        "source": row.source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_price_that_comes_with_the_program_is_of_a_provider_of_the_catalogue() {
        let catalog = catalog().unwrap();
        for source in shipped_sources().unwrap() {
            assert!(catalog.get(&source.provider).is_some(), "{}", source.provider);
        }
    }
}
