-- What models cost where the operator says so: a tenant, or everybody. Each price holds from its instant on.
CREATE TABLE prices (
    scope TEXT NOT NULL,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    from_ms BIGINT NOT NULL,
    id TEXT NOT NULL UNIQUE,
    price TEXT NOT NULL,
    -- Tokens that the model takes, and that its answers can have; null where nobody says.
    context BIGINT,
    max_output BIGINT,
    -- Where it is from, for people.
    source TEXT NOT NULL,
    PRIMARY KEY (scope, provider, model, from_ms)
);
