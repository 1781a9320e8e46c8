-- Instants are milliseconds since the Unix epoch. A flag is 0 or 1. A scope is a tenant's id, or '*' for what belongs
-- to every tenant. On SQLite, BYTEA is read as BLOB.

-- One row. Every change takes the next number, and so waits for the change before it.
CREATE TABLE revision_counter (
    id BIGINT NOT NULL PRIMARY KEY,
    revision BIGINT NOT NULL
);
INSERT INTO revision_counter (id, revision) VALUES (1, 0);

-- The last change of each scope. A removed tenant keeps its row, so that replicas learn of the removal.
CREATE TABLE revisions (
    scope TEXT NOT NULL PRIMARY KEY,
    revision BIGINT NOT NULL
);
CREATE INDEX revisions_by_revision ON revisions (revision);

-- Who changed what. Rows outlive the tenant that they are about.
CREATE TABLE audit (
    revision BIGINT NOT NULL PRIMARY KEY,
    at_ms BIGINT NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    scope TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail TEXT NOT NULL
);
CREATE INDEX audit_by_scope ON audit (scope, revision);

-- One row: a known text sealed under the current master key.
CREATE TABLE master_proof (
    id BIGINT NOT NULL PRIMARY KEY,
    master_version BIGINT NOT NULL,
    proof BYTEA NOT NULL
);

-- A data key for each tenant, and one of the installation.
CREATE TABLE data_keys (
    scope TEXT NOT NULL PRIMARY KEY,
    master_version BIGINT NOT NULL,
    wrapped BYTEA NOT NULL,
    created_at_ms BIGINT NOT NULL
);
CREATE INDEX data_keys_by_master_version ON data_keys (master_version, scope);

CREATE TABLE tenants (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    disabled BIGINT NOT NULL,
    created_at_ms BIGINT NOT NULL
);

CREATE TABLE gateway_keys (
    tenant_id TEXT NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    models TEXT,
    created_at_ms BIGINT NOT NULL,
    rotated_at_ms BIGINT,
    expires_at_ms BIGINT,
    revoked_at_ms BIGINT,
    PRIMARY KEY (tenant_id, id)
);
-- A revoked key gives its name back.
CREATE UNIQUE INDEX gateway_keys_by_name ON gateway_keys (tenant_id, name) WHERE revoked_at_ms IS NULL;

-- The current secret of a key has no end; one more may be there until a rotation's grace is over.
CREATE TABLE key_secrets (
    tenant_id TEXT NOT NULL,
    key_id TEXT NOT NULL,
    digest BYTEA NOT NULL,
    valid_until_ms BIGINT,
    PRIMARY KEY (tenant_id, key_id, digest),
    FOREIGN KEY (tenant_id, key_id) REFERENCES gateway_keys (tenant_id, id) ON DELETE CASCADE
);

CREATE TABLE admin_keys (
    id TEXT NOT NULL PRIMARY KEY,
    scope TEXT NOT NULL,
    name TEXT NOT NULL,
    role TEXT NOT NULL,
    digest BYTEA NOT NULL,
    created_at_ms BIGINT NOT NULL,
    revoked_at_ms BIGINT
);
CREATE UNIQUE INDEX admin_keys_by_name ON admin_keys (scope, name) WHERE revoked_at_ms IS NULL;

CREATE TABLE credentials (
    tenant_id TEXT NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    id TEXT NOT NULL UNIQUE,
    provider TEXT NOT NULL,
    name TEXT NOT NULL,
    weight BIGINT NOT NULL,
    base_url TEXT,
    base_url_by TEXT NOT NULL,
    disabled BIGINT NOT NULL,
    secret BYTEA,
    created_at_ms BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, provider, name)
);

CREATE TABLE routes (
    scope TEXT NOT NULL,
    pattern TEXT NOT NULL,
    id TEXT NOT NULL UNIQUE,
    targets TEXT NOT NULL,
    PRIMARY KEY (scope, pattern)
);

-- The ledger. Rows outlive the tenant, the key and the credential that they name.
CREATE TABLE attempts (
    tenant_id TEXT NOT NULL,
    attempt_id TEXT NOT NULL,
    call_id TEXT NOT NULL,
    attempt_number BIGINT NOT NULL,
    key_id TEXT NOT NULL,
    credential_id TEXT,
    provider TEXT NOT NULL,
    model_name TEXT NOT NULL,
    model TEXT NOT NULL,
    dialect TEXT NOT NULL,
    streamed BIGINT NOT NULL,
    started_at_ms BIGINT NOT NULL,
    duration_us BIGINT NOT NULL,
    first_byte_us BIGINT,
    status BIGINT NOT NULL,
    outcome TEXT NOT NULL,
    -- All null when the provider told no usage: unknown is not 0.
    input_tokens BIGINT,
    cached_input_tokens BIGINT,
    cache_write_tokens BIGINT,
    output_tokens BIGINT,
    reasoning_tokens BIGINT,
    audio_input_tokens BIGINT,
    audio_output_tokens BIGINT,
    PRIMARY KEY (tenant_id, attempt_id)
);
CREATE INDEX attempts_by_tenant_and_time ON attempts (tenant_id, started_at_ms);
CREATE INDEX attempts_by_time ON attempts (started_at_ms);
CREATE INDEX attempts_by_call ON attempts (call_id);

-- Attempts that the database would not take as they were: told here, so that the others are not held up.
CREATE TABLE refused_attempts (
    attempt_id TEXT NOT NULL PRIMARY KEY,
    why TEXT NOT NULL,
    attempt TEXT NOT NULL
);
