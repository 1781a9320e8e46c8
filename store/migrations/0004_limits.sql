-- What a tenant, one of its keys, credentials or models may use in a period. No cap is no limit, which is not 0.
CREATE TABLE limits (
    tenant_id TEXT NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    id TEXT NOT NULL UNIQUE,
    subject TEXT NOT NULL,
    -- Empty for the tenant itself.
    subject_id TEXT NOT NULL,
    unit TEXT NOT NULL,
    period TEXT NOT NULL,
    zone TEXT NOT NULL,
    cap BIGINT,
    mode TEXT NOT NULL,
    firmness TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, subject, subject_id, unit, period)
);

-- What was granted of one window. It never exceeds the ceiling: the cap or, where a cap was lowered below what had been
-- granted before, that. Rows outlive the limit that they are about, for a while. The sums of leases that are over and no
-- longer kept one by one begin with past.
CREATE TABLE counters (
    tenant_id TEXT NOT NULL,
    limit_id TEXT NOT NULL,
    starts_at_ms BIGINT NOT NULL,
    ends_at_ms BIGINT NOT NULL,
    cap BIGINT,
    ceiling BIGINT NOT NULL,
    granted BIGINT NOT NULL,
    burnt BIGINT NOT NULL,
    contended_until_ms BIGINT NOT NULL,
    past_amount BIGINT NOT NULL,
    past_returned BIGINT NOT NULL,
    past_settled BIGINT NOT NULL,
    past_overdraft BIGINT NOT NULL,
    kept_until_ms BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, limit_id, starts_at_ms),
    CHECK (granted >= 0 AND granted <= ceiling),
    CHECK (burnt >= 0)
);
CREATE INDEX counters_by_keeping ON counters (kept_until_ms);

-- The part of a window that one replica holds, or held. What became of it: 0 it is open, 1 its holder has closed it, 2 its
-- holder is gone.
CREATE TABLE leases (
    id TEXT NOT NULL PRIMARY KEY,
    tenant_id TEXT NOT NULL,
    limit_id TEXT NOT NULL,
    starts_at_ms BIGINT NOT NULL,
    ends_at_ms BIGINT NOT NULL,
    replica TEXT NOT NULL,
    incarnation BIGINT NOT NULL,
    epoch BIGINT NOT NULL,
    asked_at_ms BIGINT NOT NULL,
    amount BIGINT NOT NULL,
    returned BIGINT NOT NULL,
    settled BIGINT NOT NULL,
    overdraft BIGINT NOT NULL,
    burnt BIGINT NOT NULL,
    closed BIGINT NOT NULL,
    CHECK (amount >= 0),
    CHECK (returned >= 0 AND returned <= amount)
);
CREATE INDEX leases_by_window ON leases (tenant_id, limit_id, starts_at_ms);
CREATE INDEX leases_open ON leases (replica, incarnation) WHERE closed = 0;
CREATE INDEX leases_by_time ON leases (asked_at_ms);

-- Who takes part. The incarnation grows by one with each start.
CREATE TABLE replicas (
    id TEXT NOT NULL PRIMARY KEY,
    incarnation BIGINT NOT NULL,
    seen_at_ms BIGINT NOT NULL,
    ended BIGINT NOT NULL
);

-- One row, once a replica has begun: a number that is another one after a restore, and what the server says of itself.
CREATE TABLE store_epoch (
    id BIGINT NOT NULL PRIMARY KEY,
    epoch BIGINT NOT NULL,
    origin TEXT
);
