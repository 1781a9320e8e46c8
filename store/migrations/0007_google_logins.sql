-- Who is signed in on a page. The id is a keyed digest of what the browser holds.
CREATE TABLE ui_sessions (
    id TEXT NOT NULL PRIMARY KEY,
    tenant_id TEXT NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    key_id TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    seen_at_ms BIGINT NOT NULL
);
CREATE INDEX ui_sessions_by_age ON ui_sessions (created_at_ms);
CREATE INDEX ui_sessions_by_tenant ON ui_sessions (tenant_id);

-- Logins with Google that were begun. The id is a keyed digest of the state, browser one of the login's own cookie.
CREATE TABLE google_login_attempts (
    tenant_id TEXT NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    id TEXT NOT NULL UNIQUE,
    session_id TEXT NOT NULL,
    browser TEXT NOT NULL,
    credential_name TEXT NOT NULL,
    project_id TEXT,
    consent_text BIGINT NOT NULL,
    verifier BYTEA,
    created_at_ms BIGINT NOT NULL,
    expires_at_ms BIGINT NOT NULL,
    used_at_ms BIGINT,
    PRIMARY KEY (tenant_id, id)
);
CREATE INDEX google_login_attempts_by_end ON google_login_attempts (expires_at_ms);

-- What is known of a credential that is a login with Google. Its tokens are the credential's secret.
CREATE TABLE google_logins (
    tenant_id TEXT NOT NULL,
    credential_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    email TEXT,
    tier TEXT,
    project_id TEXT,
    expires_at_ms BIGINT NOT NULL,
    token_version BIGINT NOT NULL,
    -- Who is getting a new token, and until when nobody else tries.
    claimed_by TEXT,
    claimed_until_ms BIGINT,
    failures BIGINT NOT NULL,
    retry_at_ms BIGINT,
    revoked_at_ms BIGINT,
    last_error TEXT,
    last_error_at_ms BIGINT,
    consent_by TEXT,
    consent_at_ms BIGINT,
    consent_text BIGINT,
    PRIMARY KEY (tenant_id, credential_id),
    FOREIGN KEY (tenant_id, credential_id) REFERENCES credentials (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX google_logins_by_end ON google_logins (expires_at_ms);
