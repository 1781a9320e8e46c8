-- What an attempt was for, where its usage is known from, what it cost, and what it had reserved. A row whose usage_source is
-- null was written by a program that does not know of it, and is not yet in usage_hours.
ALTER TABLE attempts ADD COLUMN operation TEXT NOT NULL DEFAULT '';
ALTER TABLE attempts ADD COLUMN usage_source TEXT;
ALTER TABLE attempts ADD COLUMN cost_nano BIGINT;
ALTER TABLE attempts ADD COLUMN price_version TEXT;
ALTER TABLE attempts ADD COLUMN reserved_tokens BIGINT;
CREATE INDEX attempts_unsummed ON attempts (attempt_id) WHERE usage_source IS NULL;

-- The sums of the attempts that began in one hour, counted from the Unix epoch. Without a credential, its id is empty.
CREATE TABLE usage_hours (
    tenant_id TEXT NOT NULL,
    hour BIGINT NOT NULL,
    key_id TEXT NOT NULL,
    credential_id TEXT NOT NULL,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    operation TEXT NOT NULL,
    calls BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    failed BIGINT NOT NULL,
    unmetered BIGINT NOT NULL,
    unpriced BIGINT NOT NULL,
    input_tokens BIGINT NOT NULL,
    cached_input_tokens BIGINT NOT NULL,
    cache_write_tokens BIGINT NOT NULL,
    output_tokens BIGINT NOT NULL,
    reasoning_tokens BIGINT NOT NULL,
    audio_input_tokens BIGINT NOT NULL,
    audio_output_tokens BIGINT NOT NULL,
    cost_nano BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, hour, key_id, credential_id, provider, model, operation)
);
CREATE INDEX usage_hours_by_hour ON usage_hours (hour);

-- The same index, which can also tell when an attempt began, without looking at its row.
CREATE INDEX attempts_by_id_and_time ON attempts (attempt_id, started_at_ms);
DROP INDEX attempts_by_id;
