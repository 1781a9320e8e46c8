//! Routes as they are kept: a pattern, and targets as people write them.

use policy::{Pattern, Route, RouteTarget, Scope};
use serde_json::json;
use sqlx::any::AnyRow;

use crate::EVERY_TENANT;
use crate::change::{Change, Done};
use crate::error::{StoreError, taken, unreadable};
use crate::open::Store;
use crate::row::Columns;
use crate::tenant;

/// A route as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteRow {
    pub id: String,
    /// `None` for a route that holds for every tenant.
    pub tenant_id: Option<String>,
    pub pattern: String,
    /// `PROVIDER[/MODEL]`, divided by commas, in the order in which they are to be tried.
    pub targets: String,
}

/// A route to be set.
#[derive(Debug, Clone, Copy)]
pub struct NewRoute<'a> {
    /// Kept when the pattern has no route yet.
    pub id: &'a str,
    pub tenant_id: Option<&'a str>,
    pub pattern: &'a str,
    pub targets: &'a str,
}

const TABLE: &str = "routes";

impl Store {
    /// Sets the route of a pattern, in place of the one that it may have.
    ///
    /// # Errors
    /// When the pattern or a target is none, or there is no such tenant.
    pub async fn set_route(&self, change: &Change<'_>, new: &NewRoute<'_>) -> Result<RouteRow, StoreError> {
        let invalid = |what, why| StoreError::Invalid { what, why };
        Pattern::parse(new.pattern).map_err(|error| invalid("the route's pattern", error.to_string()))?;
        read_targets(new.targets).map_err(|why| invalid("the route's targets", why))?;
        let scope = new.tenant_id.unwrap_or(EVERY_TENANT);
        let mut changing = self.begin_change().await?;
        if let Some(tenant_id) = new.tenant_id {
            tenant::require(changing.connection(), tenant_id).await?;
        }
        let row = sqlx::query(
            "INSERT INTO routes (scope, pattern, id, targets) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (scope, pattern) DO UPDATE SET targets = excluded.targets \
             RETURNING id, scope, pattern, targets",
        )
        .bind(scope)
        .bind(new.pattern)
        .bind(new.id)
        .bind(new.targets)
        .fetch_one(changing.connection())
        .await
        .map_err(taken(|| format!("a route `{}`", new.id)))?;
        let route = RouteRow::read(&row)?;
        let done = Done {
            action: "route.set",
            tenant_id: new.tenant_id,
            subject: &route.id,
            detail: json!({ "pattern": new.pattern, "targets": new.targets }),
        };
        changing.finish(change, done).await?;
        Ok(route)
    }

    /// The routes of a tenant or, without one, those that hold for every tenant; by pattern.
    ///
    /// # Errors
    /// When the database does not answer, or a row makes no sense.
    pub async fn list_routes(&self, tenant_id: Option<&str>) -> Result<Vec<RouteRow>, StoreError> {
        let scope = tenant_id.unwrap_or(EVERY_TENANT);
        let rows =
            sqlx::query("SELECT id, scope, pattern, targets FROM routes WHERE scope = $1 ORDER BY pattern")
                .bind(scope)
                .fetch_all(&self.pool)
                .await
                .map_err(unreadable(TABLE, scope))?;
        rows.iter().map(RouteRow::read).collect()
    }

    /// Removes a route of a tenant or, without one, one that holds for every tenant.
    ///
    /// # Errors
    /// When there is no such route.
    pub async fn remove_route(
        &self,
        change: &Change<'_>,
        tenant_id: Option<&str>,
        id: &str,
    ) -> Result<(), StoreError> {
        let mut changing = self.begin_change().await?;
        let removed = sqlx::query("DELETE FROM routes WHERE scope = $1 AND id = $2")
            .bind(tenant_id.unwrap_or(EVERY_TENANT))
            .bind(id)
            .execute(changing.connection())
            .await?;
        if removed.rows_affected() == 0 {
            return Err(StoreError::not_found(format!("route `{id}`")));
        }
        let done = Done {
            action: "route.remove",
            tenant_id,
            subject: id,
            detail: json!({}),
        };
        changing.finish(change, done).await
    }
}

impl RouteRow {
    fn read(row: &AnyRow) -> Result<Self, StoreError> {
        let columns = Columns::of(TABLE, row)?;
        Ok(Self {
            id: columns.id(),
            tenant_id: Some(columns.text("scope")?).filter(|scope| scope != EVERY_TENANT),
            pattern: columns.text("pattern")?,
            targets: columns.text("targets")?,
        })
    }
}

/// A row as the rule that it means.
pub(crate) fn read_rule(row: &AnyRow) -> Result<Route, StoreError> {
    let kept = RouteRow::read(row)?;
    let poison = |why: String| StoreError::poison(TABLE, &kept.id, why);
    Ok(Route {
        id: kept.id.clone(),
        scope: match kept.tenant_id {
            Some(_) => Scope::Tenant,
            None => Scope::Global,
        },
        pattern: Pattern::parse(&kept.pattern).map_err(|error| poison(error.to_string()))?,
        targets: read_targets(&kept.targets).map_err(poison)?,
    })
}

/// What can be said of a row that is no rule: which names it was about.
pub(crate) fn read_pattern_alone(row: &AnyRow) -> Option<Route> {
    let columns = Columns::of(TABLE, row).ok()?;
    Some(Route {
        id: columns.id(),
        scope: Scope::Global,
        pattern: Pattern::parse(&columns.text("pattern").ok()?).ok()?,
        targets: Vec::new(),
    })
}

fn read_targets(text: &str) -> Result<Vec<RouteTarget>, String> {
    text.split(',')
        .map(|target| {
            target
                .trim()
                .parse::<RouteTarget>()
                .map_err(|error| error.to_string())
        })
        .collect()
}
